"""Names in Prometheus: of metrics, units and labels, letter by letter as the Collector makes them.

The rules are those of github.com/prometheus/otlptranslator with `UnderscoreEscapingWithSuffixes`, which Prometheus and
the Collector's exporters share; so `/metrics` and the way through the Collector agree.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Final

UNITS: Final[Mapping[str, str]] = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "1": "",
    "%": "percent",
}
PER_UNITS: Final[Mapping[str, str]] = {
    "s": "second",
    "m": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
    "y": "year",
}

_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_IN_LABELS: Final = re.compile(r"[^a-zA-Z0-9]+")


@functools.lru_cache(maxsize=4096)
def metric_name(name: str, unit: str, kind: str, *, is_ratio: bool = False) -> str:
    """The name of a family, its `_total` included.

    Args:
        name: Of the instrument.
        unit: In UCUM, as OpenTelemetry has it.
        kind: `counter`, `gauge` or `histogram`.
        is_ratio: True for the point of a gauge instrument, to whose name the unit `1` adds `_ratio`.

    Returns:
        An empty text when nothing of the name is left.
    """
    words = [word for word in _NOT_IN_NAMES.split(name) if word]
    words += [word for word in _unit_words(unit) if word and word not in words]
    if kind == "counter":
        words = [*(word for word in words if word != "total"), "total"]
    if is_ratio and unit == "1":
        words = [*(word for word in words if word != "ratio"), "ratio"]
    joined = "_".join(words)
    return f"_{joined}" if joined[:1].isdigit() else joined


def _unit_words(unit: str) -> tuple[str, str]:
    main, _, per = unit.partition("/")
    return _unit_word(main, UNITS), f"per_{word}" if (word := _unit_word(per, PER_UNITS)) else ""


def _unit_word(unit: str, known: Mapping[str, str]) -> str:
    unit = unit.strip()
    if not unit or "{" in unit or "}" in unit:  # `{request}` says what is counted, and is no unit
        return ""
    return re.sub("_+", "_", _NOT_IN_NAMES.sub("_", known.get(unit, unit))).strip("_")


@functools.lru_cache(maxsize=4096)
def label_name(key: str) -> str:
    """The label of an attribute; an empty text when nothing of the key is left.

    Names that begin with two underscores are Prometheus' own, and are taken from nobody.
    """
    name = _NOT_IN_LABELS.sub("_", key)
    if not name.strip("_"):
        return ""
    return f"key_{name}" if name[0].isdigit() else name
