"""Prometheus names of metrics and labels, exactly as the Collector translates them.

The rules are those of github.com/prometheus/otlptranslator with `UnderscoreEscapingWithSuffixes`, which Prometheus and
the Collector's exporters share, so that names at `/metrics` and behind the Collector agree.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Final

from blogauto_otel._lazy_pattern import lazy_pattern

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

_NOT_IN_NAMES: Final = lazy_pattern(r"[^a-zA-Z0-9:]+")
_NOT_IN_LABELS: Final = lazy_pattern(r"[^a-zA-Z0-9]+")


@functools.lru_cache(maxsize=4096)
def metric_name(name: str, unit: str, kind: str, *, is_ratio: bool = False) -> str:
    """The name of a metric family, with `_total` for a counter.

    Args:
        name: Name of the instrument.
        unit: Unit of the instrument, in UCUM.
        kind: `counter`, `gauge` or `histogram`.
        is_ratio: True for a gauge, to whose name the unit `1` adds `_ratio`.

    Returns:
        An empty string when no character of the name is valid.
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
    if not unit or "{" in unit or "}" in unit:  # `{request}` is an annotation, not a unit
        return ""
    return re.sub("_+", "_", _NOT_IN_NAMES.sub("_", known.get(unit, unit))).strip("_")


@functools.lru_cache(maxsize=4096)
def label_name(key: str) -> str:
    """The label name of an attribute key; an empty string when no character of the key is valid.

    A run of invalid characters becomes one underscore, so no name starts with the two that Prometheus reserves.
    """
    name = _NOT_IN_LABELS.sub("_", key)
    if not name.strip("_"):
        return ""
    return f"key_{name}" if name[0].isdigit() else name
