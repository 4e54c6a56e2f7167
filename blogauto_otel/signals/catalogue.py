"""Every metric we emit under the namespace, as data: names, units, attributes and how many series they can make."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from blogauto_otel import semconv
from blogauto_otel.signals.spec import (
    DEFAULT_MAX_VALUES,
    OTHER_VALUE,
    AttributeSpec,
    Kind,
    MetricSpec,
    prometheus_name,
)

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
_OPERATION_SECONDS: Final = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)

_REQUESTS: Final = (
    MetricSpec(
        name="api.requests",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{request}",
        description="HTTP requests finished, crashes included.",
        domain="http",
        attributes={"method": _METHOD, "endpoint": _ENDPOINT, "status": _STATUS},
    ),
    MetricSpec(
        name="api.request.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        description="Time from the request to the last byte of its response; background tasks are not part of it.",
        domain="http",
        attributes={"method": _METHOD, "endpoint": _ENDPOINT},
        boundaries=_REQUEST_SECONDS,
    ),
    MetricSpec(
        name="api.requests.in_progress",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{request}",
        description="HTTP requests being answered now.",
        domain="http",
        attributes={"method": _METHOD, "endpoint": _ENDPOINT},
    ),
    MetricSpec(
        name="errors",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{error}",
        description="HTTP requests that ended in an exception, handled or not, by the exception's class.",
        domain="http",
        attributes={"type": AttributeSpec(max_values=100), "endpoint": _ENDPOINT},
    ),
)

_SYSTEM: Final = (
    MetricSpec(
        name="cpu.usage",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="%",
        description="CPU in use, of the container's quota or else of the host, from 0 to 100.",
        domain="system",
    ),
    MetricSpec(
        name="memory.usage",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="By",
        description="Memory in use, of the container when it has a limit, or else of the host.",
        domain="system",
    ),
    MetricSpec(
        name="memory.available",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="By",
        description="Memory that can still be taken without swapping.",
        domain="system",
    ),
    MetricSpec(
        name="memory.total",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="By",
        description="The container's memory limit, or else the host's memory.",
        domain="system",
    ),
    MetricSpec(
        name="disk.usage",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="%",
        description="Space in use on the root filesystem, from 0 to 100.",
        domain="system",
    ),
    MetricSpec(
        name="active_connections",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{connection}",
        description="Network connections that are open now.",
        domain="system",
        attributes={"type": AttributeSpec(values=("tcp",))},
    ),
)

_BUSINESS: Final = (
    MetricSpec(
        name="keywords.analyzed",
        kind=Kind.COUNTER,
        unit="{keyword}",
        description="Keywords analyzed.",
        domain="business",
    ),
    MetricSpec(
        name="titles.generated",
        kind=Kind.COUNTER,
        unit="{title}",
        description="Titles generated.",
        domain="business",
    ),
    MetricSpec(
        name="content.generated",
        kind=Kind.COUNTER,
        unit="{content}",
        description="Articles generated.",
        domain="business",
    ),
    MetricSpec(
        name="wordpress.posts.published",
        kind=Kind.COUNTER,
        unit="{post}",
        description="Posts sent to WordPress, by result.",
        domain="business",
        attributes={"status": AttributeSpec(values=("success", "failed"))},
    ),
    MetricSpec(
        name="api_keys.stored",
        kind=Kind.COUNTER,
        unit="{key}",
        description="API keys stored, by the service they are for.",
        domain="business",
        attributes={"service": AttributeSpec(max_values=50)},
    ),
)

_SECURITY: Final = (
    MetricSpec(
        name="rate_limit.rejected",
        kind=Kind.COUNTER,
        unit="{request}",
        description="Requests refused by the rate limit.",
        domain="security",
        attributes={"endpoint": _ENDPOINT},
    ),
    MetricSpec(
        name="blocked_ips_total",  # the contract's name of a gauge: the literal suffix survives both translations
        kind=Kind.GAUGE,
        unit="{ip}",
        description="IP addresses blocked now.",
        domain="security",
    ),
    MetricSpec(
        name="security.events",
        kind=Kind.COUNTER,
        unit="{event}",
        description="Security events such as auth_failure and suspicious_pattern.",
        domain="security",
        attributes={"type": AttributeSpec(max_values=50)},
    ),
)

_OPERATIONS: Final = (
    MetricSpec(
        name="operation.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        description="Time that a named operation of the application took.",
        domain="operation",
        attributes={
            "operation": AttributeSpec(max_values=100),
            "outcome": AttributeSpec(values=("success", "error", "cancelled")),
        },
        boundaries=_OPERATION_SECONDS,
    ),
    MetricSpec(
        name="operation.errors",
        kind=Kind.COUNTER,
        unit="{error}",
        description="Named operations that ended in an exception, by the exception's class.",
        domain="operation",
        attributes={"operation": AttributeSpec(max_values=100), "type": AttributeSpec(max_values=50)},
    ),
)

CATALOGUE: Final[tuple[MetricSpec, ...]] = (*_REQUESTS, *_SYSTEM, *_BUSINESS, *_SECURITY, *_OPERATIONS)

_BY_NAME: Final[Mapping[str, MetricSpec]] = MappingProxyType({metric.name: metric for metric in CATALOGUE})


def spec(name: str) -> MetricSpec:
    """The metric of that name, without the namespace.

    Raises:
        KeyError: the catalogue has none of that name.
    """
    return _BY_NAME[name]
