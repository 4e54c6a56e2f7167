"""What a metric is before anything is measured: its name, kind, unit, and the attributes that bound its series."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

from blogauto_otel import semconv

# What stands for a value that is not allowed or that came after the last free place, so that totals stay right.
OTHER_VALUE: Final = "_OTHER"

# Distinct values of an open attribute when its declaration does not say.
DEFAULT_MAX_VALUES: Final = 100

# Metrics of these domains are recorded by our instrumentation, all others by application code.
SCOPES: Final[Mapping[str, str]] = {
    "http": semconv.SCOPE_HTTP,
    "system": semconv.SCOPE_SYSTEM,
    "operation": semconv.SCOPE_OPERATION,
    "self": semconv.SCOPE_SELF,
}


class Kind(str, Enum):
    """The OpenTelemetry instrument kinds (specification: metrics/api, "Instrument")."""

    COUNTER = "counter"
    UP_DOWN_COUNTER = "up_down_counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    OBSERVABLE_COUNTER = "observable_counter"
    OBSERVABLE_UP_DOWN_COUNTER = "observable_up_down_counter"
    OBSERVABLE_GAUGE = "observable_gauge"

    @property
    def monotonic(self) -> bool:
        """True when it only ever grows, which is what Prometheus calls a counter."""
        return self in {Kind.COUNTER, Kind.OBSERVABLE_COUNTER}

    @property
    def observable(self) -> bool:
        """True when a callback reports it at collection time."""
        return self.value.startswith("observable_")

    @property
    def prometheus_type(self) -> str:
        """The word after the name in a `# TYPE` line."""
        if self is Kind.HISTOGRAM:
            return "histogram"
        return "counter" if self.monotonic else "gauge"


@dataclass(frozen=True)
class AttributeSpec:
    """The values an attribute may take: a closed set, or any text but at most `max_values` different ones."""

    values: tuple[str, ...] = ()
    max_values: int = DEFAULT_MAX_VALUES

    @property
    def closed(self) -> bool:
        """True when the allowed values are known beforehand."""
        return bool(self.values)

    @property
    def size(self) -> int:
        """How many different values there can be."""
        return len(self.values) or self.max_values


@dataclass(frozen=True)
class MetricSpec:
    """One metric, without the namespace: `name="api.requests"` becomes `blogauto.api.requests`.

    `unit` is a UCUM code (`s`, `By`, `%`) or, for what is counted, an annotation in braces (`{request}`); never `1` on
    a gauge: those are the units that the Collector and a scrape translate alike. `domain` says who records it.
    `boundaries` are the bucket edges of a histogram, in its unit.
    """

    name: str
    kind: Kind
    unit: str
    description: str
    domain: str
    attributes: Mapping[str, AttributeSpec] = field(default_factory=lambda: MappingProxyType({}))
    boundaries: tuple[float, ...] = ()

    def otel_name(self, namespace: str) -> str:
        """The instrument's name, such as `blogauto.api.requests`."""
        return f"{namespace}.{self.name}"

    def prometheus_name(self, namespace: str) -> str:
        """The family's name in Prometheus, such as `blogauto_api_requests_total`."""
        return prometheus_name(self.otel_name(namespace), unit=self.unit, kind=self.kind)

    @property
    def scope(self) -> str:
        """The instrumentation scope that records it."""
        return SCOPES.get(self.domain, semconv.SCOPE_DOMAIN)

    @property
    def max_series(self) -> int:
        """How many attribute combinations there can be at most (`Settings.series_limit` may stop earlier)."""
        return math.prod(attribute.size for attribute in self.attributes.values())


# fmt: off
# https://github.com/prometheus/otlptranslator unit_namer.go (v1.0.0): units that become words of the name.
_UNIT_WORDS: Final[Mapping[str, str]] = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds",
    "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds",
    "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes", "TiBy": "tibibytes",
    "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes",
    "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams",
    "Cel": "celsius", "Hz": "hertz", "1": "", "%": "percent",
}
_PER_UNIT_WORDS: Final[Mapping[str, str]] = {
    "s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year",
}
# fmt: on
_SEPARATORS: Final = re.compile(r"[^a-zA-Z0-9:]+")


def prometheus_name(name: str, *, unit: str, kind: Kind) -> str:
    """Translate an instrument's name as the Collector and Prometheus do (otlptranslator's default strategy)."""
    tokens = [token for token in _SEPARATORS.split(name.lower()) if token]
    tokens += [word for word in _unit_words(unit) if word not in tokens]
    if kind.monotonic:
        tokens = _moved_to_the_end("total", tokens)
    elif unit == "1" and kind is not Kind.HISTOGRAM:
        tokens = _moved_to_the_end("ratio", tokens)
    translated = "_".join(tokens)
    return f"_{translated}" if translated[:1].isdigit() else translated


def _unit_words(unit: str) -> list[str]:
    main, _, per = (part.strip() for part in unit.partition("/"))
    words = []
    if main and not _is_annotation(main):
        words.append(_UNIT_WORDS.get(main, main))
    if per and not _is_annotation(per):
        words.append(f"per_{_PER_UNIT_WORDS.get(per, per)}")
    return [cleaned for word in words if (cleaned := _SEPARATORS.sub("_", word).strip("_"))]


def _is_annotation(unit: str) -> bool:
    return "{" in unit or "}" in unit


def _moved_to_the_end(word: str, tokens: list[str]) -> list[str]:
    return [*(token for token in tokens if token != word), word]
