"""The metrics of this SDK about itself: items exported, waiting and dropped, and internal errors."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from blogauto_otel import semconv
from blogauto_otel.api.metric_spec import AttributeSpec, Kind, MetricSpec

# The same in every service: the namespace of the application's metrics does not apply.
SDK_METRICS_NAMESPACE: Final = semconv.DISTRO_NAME

_SIGNAL: Final = {"signal": AttributeSpec(values=("traces", "metrics", "logs", "sentry", "sentry_traces"))}
_WHY: Final = {**_SIGNAL, "reason": AttributeSpec(max_values=40)}
_WHERE: Final = {"where": AttributeSpec(max_values=100)}

_COUNTER: Final = Kind.OBSERVABLE_COUNTER
_LEVEL: Final = Kind.OBSERVABLE_UP_DOWN_COUNTER  # can be summed over processes
_GAUGE: Final = Kind.OBSERVABLE_GAUGE  # cannot


def _self(
    name: str, kind: Kind, unit: str, description: str, attributes: Mapping[str, AttributeSpec] | None = None
) -> MetricSpec:
    return MetricSpec(name, kind, unit, description, domain="self", attributes=attributes or {})


# fmt: off
SDK_METRICS: Final[tuple[MetricSpec, ...]] = (
    _self("items.accepted", _COUNTER, "{item}", "Items accepted into the export queue.", _SIGNAL),
    _self("items.sent", _COUNTER, "{item}", "Items accepted by the receiver.", _SIGNAL),
    _self("items.spooled", _COUNTER, "{item}", "Items written to the disk spool after a failed export.", _SIGNAL),
    _self("items.redelivered", _COUNTER, "{item}", "Items from the disk spool that the receiver accepted.", _SIGNAL),
    _self("items.dropped", _COUNTER, "{item}", "Items lost, by reason.", _WHY),
    _self("items.superseded", _COUNTER, "{item}", "Metric collections replaced by newer ones before export.", _SIGNAL),
    _self("items.withheld", _COUNTER, "{item}", "Items not created because of a rate limit.", _SIGNAL),
    _self("export.requests", _COUNTER, "{request}", "Export requests sent.", _SIGNAL),
    _self("export.retries", _COUNTER, "{request}", "Export requests sent again after a failure.", _SIGNAL),
    _self("export.duration", _COUNTER, "s", "Total time spent in export requests, in seconds.", _SIGNAL),
    _self("queue.items", _LEVEL, "{item}", "Items waiting or in flight.", _SIGNAL),
    _self("queue.bytes", _LEVEL, "By", "Bytes waiting or in flight.", _SIGNAL),
    _self("queue.capacity", _LEVEL, "By", "Capacity of the export queue, in bytes.", _SIGNAL),
    _self("queue.high_water", _GAUGE, "{item}", "Largest number of items that waited at once.", _SIGNAL),
    _self("queue.oldest_item_age", _GAUGE, "s", "Age of the oldest waiting item, in seconds.", _SIGNAL),
    _self("spool.files", _GAUGE, "{file}", "Files in the disk spool, of all processes of the service on this host."),
    _self("spool.bytes", _GAUGE, "By", "Bytes in the disk spool, of all processes of the service on this host."),
    _self("spool.capacity", _GAUGE, "By", "Capacity of the disk spool, in bytes."),
    _self("spool.oldest_file_age", _GAUGE, "s", "Age of the oldest file in the disk spool, in seconds."),
    _self("spool.damaged", _COUNTER, "{file}", "Unreadable files in the disk spool that were quarantined."),
    _self("spool.errors", _COUNTER, "{error}", "Failed operations on the disk spool."),
    _self("errors.swallowed", _COUNTER, "{error}", "Internal errors caught before they reach the application.", _WHERE),
    _self("process.start_time", _GAUGE, "s", "Start time of this process's recording, in seconds since 1970."),
)
# fmt: on

_BY_NAME: Final[Mapping[str, MetricSpec]] = MappingProxyType({metric.name: metric for metric in SDK_METRICS})


def sdk_metric_spec(name: str) -> MetricSpec:
    """The metric of that name, without `blogauto_otel.`.

    Raises:
        KeyError: there is none of that name.
    """
    return _BY_NAME[name]
