"""What we say of ourselves: how much was delivered, waits or was lost, and what went wrong in our own code."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from blogauto_otel import semconv
from blogauto_otel.api.metric_spec import AttributeSpec, Kind, MetricSpec

# These are ours in every service: the namespace of the application's metrics does not apply.
SDK_METRICS_NAMESPACE: Final = semconv.DISTRO_NAME

_SIGNAL: Final = {"signal": AttributeSpec(values=("traces", "metrics", "logs", "sentry", "sentry_traces"))}
_WHY: Final = {**_SIGNAL, "reason": AttributeSpec(max_values=40)}
_WHERE: Final = {"where": AttributeSpec(max_values=100)}

_COUNTER: Final = Kind.OBSERVABLE_COUNTER
_LEVEL: Final = Kind.OBSERVABLE_UP_DOWN_COUNTER  # adds up over processes
_GAUGE: Final = Kind.OBSERVABLE_GAUGE  # does not


def _self(
    name: str, kind: Kind, unit: str, description: str, attributes: Mapping[str, AttributeSpec] | None = None
) -> MetricSpec:
    return MetricSpec(name, kind, unit, description, domain="self", attributes=attributes or {})


# fmt: off
SDK_METRICS: Final[tuple[MetricSpec, ...]] = (
    _self("items.accepted", _COUNTER, "{item}", "Items that were queued for delivery.", _SIGNAL),
    _self("items.sent", _COUNTER, "{item}", "Items that the receiver took.", _SIGNAL),
    _self("items.spooled", _COUNTER, "{item}", "Items that went to disk because they could not be sent.", _SIGNAL),
    _self("items.redelivered", _COUNTER, "{item}", "Items from disk that the receiver took.", _SIGNAL),
    _self("items.dropped", _COUNTER, "{item}", "Items that were lost, by reason.", _WHY),
    _self("items.superseded", _COUNTER, "{item}", "Items that newer ones made needless.", _SIGNAL),
    _self("items.withheld", _COUNTER, "{item}", "Items not made: there were enough like them.", _SIGNAL),
    _self("export.requests", _COUNTER, "{request}", "Export requests sent.", _SIGNAL),
    _self("export.retries", _COUNTER, "{request}", "Export requests that had to be sent again.", _SIGNAL),
    _self("export.duration", _COUNTER, "s", "Time that export requests took, all in all.", _SIGNAL),
    _self("queue.items", _LEVEL, "{item}", "Items that wait or are on their way.", _SIGNAL),
    _self("queue.bytes", _LEVEL, "By", "Bytes that wait or are on their way.", _SIGNAL),
    _self("queue.capacity", _LEVEL, "By", "Bytes that may wait.", _SIGNAL),
    _self("queue.high_water", _GAUGE, "{item}", "The most items that ever waited at once.", _SIGNAL),
    _self("queue.oldest_item_age", _GAUGE, "s", "How long the oldest item has been waiting.", _SIGNAL),
    _self("spool.files", _GAUGE, "{file}", "Files that wait on disk, of all processes of the service on this host."),
    _self("spool.bytes", _GAUGE, "By", "Bytes that wait on disk, of all processes of the service on this host."),
    _self("spool.capacity", _GAUGE, "By", "Bytes that may wait on disk."),
    _self("spool.oldest_file_age", _GAUGE, "s", "How long the oldest file has been waiting on disk."),
    _self("spool.damaged", _COUNTER, "{file}", "Files on disk that could not be read and were put aside."),
    _self("spool.errors", _COUNTER, "{error}", "Times that the disk could not be used."),
    _self("errors.swallowed", _COUNTER, "{error}", "Errors of our own that the application was spared.", _WHERE),
    _self("process.start_time", _GAUGE, "s", "When this process began to record, in seconds since 1970."),
)
# fmt: on

_BY_NAME: Final[Mapping[str, MetricSpec]] = MappingProxyType({metric.name: metric for metric in SDK_METRICS})


def sdk_metric_spec(name: str) -> MetricSpec:
    """The metric of that name, without `blogauto_otel.`.

    Raises:
        KeyError: there is none of that name.
    """
    return _BY_NAME[name]
