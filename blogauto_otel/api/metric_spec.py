"""The declaration of a metric: its name, kind, unit, and the attributes that bound its series."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from enum import Enum
from types import MappingProxyType
from typing import Final

from blogauto_otel import semconv
from blogauto_otel._dataclass import dataclass
from blogauto_otel.prometheus_names import label_name, metric_name

# In place of a value that is not allowed or exceeds the number of values, so that totals stay right.
OTHER_VALUE: Final = "_OTHER"

# Distinct values of an open attribute when its declaration does not say.
DEFAULT_MAX_VALUES: Final = 100

# Metrics of these domains are recorded by our instrumentation, all others by application code.
SCOPES: Final[Mapping[str, str]] = {
    "http": semconv.SCOPE_HTTP,
    "system": semconv.SCOPE_SYSTEM,
    "process": semconv.SCOPE_SYSTEM,
    "database": semconv.SCOPE_SQL,
    "operation": semconv.SCOPE_OPERATION,
    "self": semconv.SCOPE_SELF,
    "ai": semconv.SCOPE_AI,
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
    `boundaries` are the bucket edges of a histogram, in its unit. With `namespaced=False` the name is the full one of
    OpenTelemetry's semantic conventions.
    """

    name: str
    kind: Kind
    unit: str
    description: str
    domain: str
    attributes: Mapping[str, AttributeSpec] = field(default_factory=lambda: MappingProxyType({}))
    boundaries: tuple[float, ...] = ()
    namespaced: bool = True

    def otel_name(self, namespace: str) -> str:
        """The instrument's name, such as `blogauto.api.requests`."""
        return f"{namespace}.{self.name}" if self.namespaced else self.name

    def prometheus_name(self, namespace: str) -> str:
        """The family's name in Prometheus, such as `blogauto_api_requests_total`."""
        return prometheus_name(self.otel_name(namespace), unit=self.unit, kind=self.kind)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its attributes in Prometheus."""
        return tuple(map(label_name, self.attributes))

    @property
    def scope(self) -> str:
        """The instrumentation scope that records it."""
        return SCOPES.get(self.domain, semconv.SCOPE_DOMAIN)

    @property
    def max_series(self) -> int:
        """How many attribute combinations there can be at most (`Settings.series_limit` may stop earlier)."""
        return math.prod(attribute.size for attribute in self.attributes.values())


def prometheus_name(name: str, *, unit: str, kind: Kind) -> str:
    """Translate an instrument's name, which the SDK lower-cases, as the Collector and Prometheus do."""
    is_ratio = not kind.monotonic and kind is not Kind.HISTOGRAM
    return metric_name(name.lower(), unit, kind.prometheus_type, is_ratio=is_ratio)
