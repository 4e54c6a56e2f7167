"""Every metric we emit under the namespace, as data: names, units, attributes and how many series they can make."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Final

from blogauto_otel import semconv
from blogauto_otel.api import ai, business, conventions, security, statements
from blogauto_otel.api.instruments import Instrument
from blogauto_otel.api.metric_spec import (
    DEFAULT_MAX_VALUES,
    OTHER_VALUE,
    AttributeSpec,
    Kind,
    MetricSpec,
    prometheus_name,
)
from blogauto_otel.api.operation import operation_duration, operation_errors

__all__ = [
    "CATALOGUE",
    "DEFAULT_MAX_VALUES",
    "HTTP_METHODS",
    "OTHER_VALUE",
    "AttributeSpec",
    "Kind",
    "MetricSpec",
    "prometheus_name",
    "spec",
]

# RFC 9110 and PATCH, as the HTTP semantic conventions list them; anything else is counted under `_OTHER`.
HTTP_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")

_METHOD: Final = AttributeSpec(values=(*HTTP_METHODS, semconv.OTHER_METHOD))
_ENDPOINT: Final = AttributeSpec(max_values=200)  # route templates, and `unmatched`
_STATUS: Final = AttributeSpec(max_values=63)  # the registered status codes

# From 5 ms to 30 s, because AI providers answer in seconds; 2 s is an edge, because the alert asks there.
_REQUEST_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0)

_REQUESTS: Final = (
    MetricSpec(
        name="api.requests",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{request}",
        description="Finished HTTP requests, including those that crashed.",
        domain="http",
        attributes={"method": _METHOD, "endpoint": _ENDPOINT, "status": _STATUS},
    ),
    MetricSpec(
        name="api.request.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        description="Time from an HTTP request to the last byte of its response, without background tasks, in seconds.",
        domain="http",
        attributes={"method": _METHOD, "endpoint": _ENDPOINT},
        boundaries=_REQUEST_SECONDS,
    ),
    MetricSpec(
        name="api.requests.in_progress",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{request}",
        description="HTTP requests in progress.",
        domain="http",
        attributes={"method": _METHOD, "endpoint": _ENDPOINT},
    ),
    MetricSpec(
        name="errors",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{error}",
        description="HTTP requests that raised an exception, handled or not, by exception class.",
        domain="http",
        attributes={"type": AttributeSpec(max_values=100), "endpoint": _ENDPOINT},
    ),
    MetricSpec(
        name="websockets.open",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{websocket}",
        description="Open websocket sessions.",
        domain="http",
        attributes={"endpoint": _ENDPOINT},
    ),
)

_SYSTEM: Final = (
    MetricSpec(
        name="cpu.usage",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="%",
        description="CPU usage of the container's quota, or of the host without one, in percent (0 to 100).",
        domain="system",
    ),
    MetricSpec(
        name="memory.usage",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="By",
        description="Memory usage of the container, or of the host without a container limit, in bytes.",
        domain="system",
    ),
    MetricSpec(
        name="memory.available",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="By",
        description="Memory available without swapping, in bytes.",
        domain="system",
    ),
    MetricSpec(
        name="memory.total",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="By",
        description="Memory limit of the container, or the memory of the host without one, in bytes.",
        domain="system",
    ),
    MetricSpec(
        name="disk.usage",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="%",
        description="Space usage of the root filesystem, in percent (0 to 100).",
        domain="system",
    ),
    MetricSpec(
        name="active_connections",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{connection}",
        description="Open network connections.",
        domain="system",
        attributes={"type": AttributeSpec(values=("tcp",))},
    ),
)

_EVENT_LOOP_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)

_EVENT_LOOP: Final = MetricSpec(
    name="event_loop.lag",
    kind=Kind.HISTOGRAM,
    unit="s",
    description="Delay of a timer of asyncio's event loop, measured four times a second, in seconds.",
    domain="process",
    boundaries=_EVENT_LOOP_SECONDS,
)


def _declared_in(*modules: ModuleType) -> tuple[MetricSpec, ...]:
    """Those that application code records: their declarations are functions with types, in the order of the file."""
    return tuple(it.spec for module in modules for it in vars(module).values() if isinstance(it, Instrument))


CATALOGUE: Final[tuple[MetricSpec, ...]] = (
    *_REQUESTS,
    *_SYSTEM,
    _EVENT_LOOP,
    *_declared_in(business, security),
    operation_duration.spec,
    operation_errors.spec,
    *_declared_in(statements, ai),
    *conventions.METRICS,
)

_BY_NAME: Final[Mapping[str, MetricSpec]] = MappingProxyType({metric.name: metric for metric in CATALOGUE})


def spec(name: str) -> MetricSpec:
    """The metric of that name, without the namespace.

    Raises:
        KeyError: the catalogue has none of that name.
    """
    return _BY_NAME[name]
