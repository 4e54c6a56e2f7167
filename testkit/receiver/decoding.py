"""Export requests decoded into plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from testkit.receiver.telemetry import Attributes, Event, Exemplar, Link, LogRecord, Point, Request, Span

SPAN_KINDS: Final = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
STATUS_CODES: Final = ("UNSET", "OK", "ERROR")
TEMPORALITIES: Final = ("unspecified", "delta", "cumulative")


class DecodedTelemetry:
    """Everything that was received, decoded; equal resources are one object."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.logs: list[LogRecord] = []
        self.points: list[Point] = []
        self.resources: list[Attributes] = []

    def add(self, request: Request) -> None:
        kind = request.path.rstrip("/").rpartition("/")[2]
        if kind == "traces":
            self.spans.extend(decode_spans(request.payload, self._resource))
        elif kind == "logs":
            self.logs.extend(decode_logs(request.payload, self._resource))
        elif kind == "metrics":
            self.points.extend(decode_points(request.payload, self._resource))

    def _resource(self, attributes: Attributes) -> Attributes:
        for known in self.resources:
            if known == attributes:
                return known
        self.resources.append(attributes)
        return attributes


def _same(attributes: Attributes) -> Attributes:
    return attributes


def decode_spans(payload: bytes, resource_of: Callable[[Attributes], Attributes] = _same) -> Iterator[Span]:
    """The spans of an ExportTraceServiceRequest."""
    for group in ExportTraceServiceRequest.FromString(payload).resource_spans:
        resource = resource_of(_attributes(group.resource.attributes))
        for scoped in group.scope_spans:
            for span in scoped.spans:
                yield _span(span, scoped.scope, resource)


def decode_logs(payload: bytes, resource_of: Callable[[Attributes], Attributes] = _same) -> Iterator[LogRecord]:
    """The records of an ExportLogsServiceRequest."""
    for group in ExportLogsServiceRequest.FromString(payload).resource_logs:
        resource = resource_of(_attributes(group.resource.attributes))
        for scoped in group.scope_logs:
            for record in scoped.log_records:
                yield _log(record, scoped.scope, resource)


def decode_points(payload: bytes, resource_of: Callable[[Attributes], Attributes] = _same) -> Iterator[Point]:
    """The data points of an ExportMetricsServiceRequest."""
    for group in ExportMetricsServiceRequest.FromString(payload).resource_metrics:
        resource = resource_of(_attributes(group.resource.attributes))
        for scoped in group.scope_metrics:
            for metric in scoped.metrics:
                kind = metric.WhichOneof("data")
                if kind is not None:
                    data = getattr(metric, kind)
                    for point in data.data_points:
                        yield _point(metric, kind, data, point, scoped.scope, resource)


def _span(span: Any, scope: Any, resource: Attributes) -> Span:
    return Span(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        trace_state=span.trace_state,
        kind=SPAN_KINDS[span.kind],
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        events=tuple(Event(e.name, e.time_unix_nano, _attributes(e.attributes)) for e in span.events),
        links=tuple(
            Link(link.trace_id.hex(), link.span_id.hex(), link.trace_state, _attributes(link.attributes), link.flags)
            for link in span.links
        ),
        status=STATUS_CODES[span.status.code],
        status_message=span.status.message,
        flags=span.flags,
        dropped_attributes=span.dropped_attributes_count,
        dropped_events=span.dropped_events_count,
        dropped_links=span.dropped_links_count,
        scope=scope.name,
        scope_version=scope.version,
        resource=resource,
    )


def _log(record: Any, scope: Any, resource: Attributes) -> LogRecord:
    return LogRecord(
        body=_value(record.body),
        severity=record.severity_text,
        severity_number=record.severity_number,
        time=record.time_unix_nano,
        observed_time=record.observed_time_unix_nano,
        event_name=record.event_name,
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex(),
        flags=record.flags,
        attributes=_attributes(record.attributes),
        dropped_attributes=record.dropped_attributes_count,
        scope=scope.name,
        resource=resource,
    )


def _point(metric: Any, kind: str, data: Any, point: Any, scope: Any, resource: Attributes) -> Point:
    number = kind in {"sum", "gauge"}
    return Point(
        name=metric.name,
        kind=kind,
        unit=metric.unit,
        description=metric.description,
        attributes=_attributes(point.attributes),
        value=_number(point) if number else None,
        count=None if number else point.count,
        sum=None if number else point.sum,
        bounds=tuple(point.explicit_bounds) if kind == "histogram" else (),
        buckets=tuple(point.bucket_counts) if kind == "histogram" else (),
        exemplars=tuple(
            Exemplar(
                _number(e), e.trace_id.hex(), e.span_id.hex(), e.time_unix_nano, _attributes(e.filtered_attributes)
            )
            for e in point.exemplars
        ),
        start=point.start_time_unix_nano,
        time=point.time_unix_nano,
        monotonic=kind == "sum" and data.is_monotonic,
        temporality="" if kind == "gauge" else TEMPORALITIES[data.aggregation_temporality],
        scope=scope.name,
        resource=resource,
    )


def _number(message: Message) -> float:
    kind = message.WhichOneof("value")
    return 0 if kind is None else getattr(message, kind)


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return getattr(value, kind)
