"""Prometheus' two text formats: the classic one, and OpenMetrics, which has exemplars.

https://prometheus.io/docs/instrumenting/exposition_formats/ and https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Final

from opentelemetry.sdk.metrics import Exemplar

from blogauto_otel.integrations.prometheus.families import Buckets, CooperativeYield, Family, Number

CLASSIC: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def chosen_format(accept: str) -> str:
    """The format that an `Accept` header prefers; the classic one when it does not matter."""
    weights = dict(_accepted(accept))
    openmetrics = weights.get("application/openmetrics-text", 0.0)
    classic = max(weights.get("text/plain", 0.0), weights.get("text/*", 0.0))
    return OPENMETRICS if openmetrics > 0.0 and openmetrics >= classic else CLASSIC


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the response may be compressed."""
    weights = dict(_accepted(accept_encoding))
    return weights.get("gzip", weights.get("*", 0.0)) > 0.0


def _accepted(header: str) -> Iterator[tuple[str, float]]:
    """Names with their weights; the best weight of a name comes last."""
    found: list[tuple[float, str]] = []
    for part in header[:4096].lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
        try:
            found.append((float(weight), name))
        except ValueError:
            found.append((0.0, name))
    return ((name, weight) for weight, name in sorted(found))


def render(families: Iterable[Family], content_type: str) -> bytes:
    """The families as text in UTF-8."""
    is_openmetrics = content_type == OPENMETRICS
    pause = CooperativeYield()
    lines: list[str] = []
    for family in families:
        _render_family(lines, family, pause, is_openmetrics=is_openmetrics)
    if is_openmetrics:
        lines.append("# EOF\n")
    return "".join(lines).encode("utf-8", "replace")


def _render_family(lines: list[str], family: Family, pause: CooperativeYield, *, is_openmetrics: bool) -> None:
    stem = family.name.removesuffix("_total") if is_openmetrics and family.kind == "counter" else family.name
    lines.append(f"# HELP {stem} {_help(family.help, is_openmetrics=is_openmetrics)}\n")
    lines.append(f"# TYPE {stem} {family.kind}\n")
    for labels, series in family.series.items():
        if isinstance(series, Buckets):
            _render_buckets(lines, family.name, labels, series, with_exemplars=is_openmetrics)
        else:
            braced = f"{{{labels}}}" if labels else ""
            shows_exemplar = is_openmetrics and family.kind == "counter"
            lines.append(f"{family.name}{braced} {number(series.value)}{_exemplar(series, shows=shows_exemplar)}\n")
        pause.count()


def _exemplar(series: Number, *, shows: bool) -> str:
    return exemplar_text(series.exemplar) if shows and series.exemplar is not None else ""


def _render_buckets(lines: list[str], name: str, labels: str, buckets: Buckets, *, with_exemplars: bool) -> None:
    opening = f'{name}_bucket{{{labels},le="' if labels else f'{name}_bucket{{le="'
    exemplars = buckets.exemplars if with_exemplars else {}
    for index, (bound, count) in enumerate(zip(bound_texts(buckets.bounds), buckets.counts, strict=True)):
        exemplar = exemplar_text(exemplars[index]) if index in exemplars else ""
        lines.append(f'{opening}{bound}"}} {count}.0{exemplar}\n')
    braced = f"{{{labels}}}" if labels else ""
    lines.append(f"{name}_sum{braced} {number(buckets.sum)}\n")
    lines.append(f"{name}_count{braced} {buckets.counts[-1]}.0\n")


def _help(text: str, *, is_openmetrics: bool) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text.replace('"', '\\"') if is_openmetrics else text


def exemplar_text(exemplar: Exemplar) -> str:
    """An exemplar behind its sample; its labels are far below the 128 characters that are allowed."""
    span = f',span_id="{exemplar.span_id:016x}"' if exemplar.span_id else ""
    seconds = exemplar.time_unix_nano / 1e9
    return f' # {{trace_id="{exemplar.trace_id:032x}"{span}}} {number(exemplar.value)} {seconds:.3f}'


_SPECIAL: Final = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}


def number(value: float) -> str:
    """A value; always with a point or an exponent, as OpenMetrics wants floats."""
    text = repr(float(value))
    return _SPECIAL.get(text, text)


@functools.lru_cache(maxsize=1024)
def bound_texts(bounds: tuple[float, ...]) -> tuple[str, ...]:
    """`le` values as Go writes them in OpenMetrics: `0.005`, `1.0`, `1e+06`, `+Inf`."""
    return tuple(map(_bound_text, bounds))


def _bound_text(bound: float) -> str:
    text = number(bound)
    whole, _, fraction = text.lstrip("-").partition(".")
    if len(whole) <= 6 or not whole.isdigit():
        return text
    digits = (whole + fraction).rstrip("0")
    mantissa = f"{digits[0]}.{digits[1:]}".rstrip(".")
    return f"{'-' if bound < 0 else ''}{mantissa}e+{len(whole) - 1:02d}"
