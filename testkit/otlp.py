"""OTLP messages built and sent without the package, as a service in any language would send them."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Exemplar,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from testkit.processes import TIMEOUT

Message = ExportTraceServiceRequest | ExportMetricsServiceRequest | ExportLogsServiceRequest
Attributes = Mapping[str, Any]

PATHS: Mapping[type[Any], str] = {
    ExportTraceServiceRequest: "/v1/traces",
    ExportMetricsServiceRequest: "/v1/metrics",
    ExportLogsServiceRequest: "/v1/logs",
}
BLOG: Attributes = {"service.name": "blogauto-backend", "service.version": "1.0", "service.instance.id": "worker-1"}
SCOPE = InstrumentationScope(name="tests")
SERVER = Span.SPAN_KIND_SERVER
CLIENT = Span.SPAN_KIND_CLIENT
ERROR = Status.STATUS_CODE_ERROR
MINUTE = 60_000_000_000  # nanoseconds

# Of a typical server span.
SERVER_ATTRIBUTES: Attributes = {
    "http.request.method": "GET",
    "http.route": "/api/content/saved/{content_id}",
    "http.response.status_code": 200,
    "url.scheme": "http",
    "network.protocol.version": "1.1",
    "server.address": "api.example.org",
    "server.port": 8000,
    "client.address": "192.0.2.7",
    "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
}

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def post(endpoint: str, message: Message, *, timeout: float = TIMEOUT, headers: Mapping[str, str] | None = None) -> int:
    """Send one request; the status of the response, 0 without one."""
    request = urllib.request.Request(
        endpoint + PATHS[type(message)],
        data=message.SerializeToString(),
        headers={"Content-Type": "application/x-protobuf", **(headers or {})},
    )
    try:
        with _opener.open(request, timeout=timeout) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def traces(spans: Iterable[Span], resource: Attributes = BLOG) -> ExportTraceServiceRequest:
    scope_spans = [ScopeSpans(scope=SCOPE, spans=spans)]
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=_resource(resource), scope_spans=scope_spans)]
    )


def logs(records: Iterable[LogRecord], resource: Attributes = BLOG) -> ExportLogsServiceRequest:
    scope_logs = [ScopeLogs(scope=SCOPE, log_records=records)]
    return ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=_resource(resource), scope_logs=scope_logs)])


def metrics(found: Iterable[Metric], resource: Attributes = BLOG) -> ExportMetricsServiceRequest:
    scope_metrics = [ScopeMetrics(scope=SCOPE, metrics=found)]
    return ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(resource=_resource(resource), scope_metrics=scope_metrics)]
    )


def span(
    name: str = "GET /api/keywords",
    *,
    trace_id: bytes | None = None,
    kind: Span.SpanKind.ValueType = SERVER,
    attributes: Attributes | None = None,
    status: Status | None = None,
    events: Sequence[Span.Event] = (),
    seconds: float = 0.1,
) -> Span:
    end = time.time_ns()
    return Span(
        trace_id=trace_id or os.urandom(16),
        span_id=os.urandom(8),
        name=name,
        kind=kind,
        start_time_unix_nano=end - int(seconds * 1e9),
        end_time_unix_nano=end,
        attributes=pairs(attributes or {}),
        status=status,
        events=events,
    )


def event(name: str, attributes: Attributes) -> Span.Event:
    return Span.Event(name=name, time_unix_nano=time.time_ns(), attributes=pairs(attributes))


def record(body: Any, *, severity: int = 9, text: str = "INFO", attributes: Attributes | None = None) -> LogRecord:
    return LogRecord(
        time_unix_nano=time.time_ns(),
        severity_number=severity,  # type: ignore[arg-type]
        severity_text=text,
        body=value(body),
        attributes=pairs(attributes or {}),
    )


def counter(name: str, amount: int, attributes: Attributes | None = None, *, unit: str = "", since: int = 0) -> Metric:
    now = time.time_ns()
    point = NumberDataPoint(
        as_int=amount,
        start_time_unix_nano=since or now - MINUTE,
        time_unix_nano=now,
        attributes=pairs(attributes or {}),
    )
    return Metric(
        name=name,
        unit=unit,
        sum=Sum(
            data_points=[point],
            is_monotonic=True,
            aggregation_temporality=AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE,
        ),
    )


def gauge(name: str, amount: float, attributes: Attributes | None = None, *, unit: str = "") -> Metric:
    point = NumberDataPoint(as_double=amount, time_unix_nano=time.time_ns(), attributes=pairs(attributes or {}))
    return Metric(name=name, unit=unit, gauge=Gauge(data_points=[point]))


def histogram(
    name: str,
    values: Sequence[float],
    edges: Sequence[float],
    attributes: Attributes | None = None,
    *,
    unit: str = "s",
    trace_id: bytes = b"",
) -> Metric:
    buckets = [0] * (len(edges) + 1)
    for one in values:
        buckets[sum(one > edge for edge in edges)] += 1
    now = time.time_ns()
    exemplars = [Exemplar(time_unix_nano=now, as_double=max(values), trace_id=trace_id, span_id=os.urandom(8))]
    point = HistogramDataPoint(
        start_time_unix_nano=now - MINUTE,
        time_unix_nano=now,
        count=len(values),
        sum=sum(values),
        bucket_counts=buckets,
        explicit_bounds=edges,
        attributes=pairs(attributes or {}),
        exemplars=exemplars if trace_id else [],
    )
    return Metric(
        name=name,
        unit=unit,
        histogram=Histogram(
            data_points=[point], aggregation_temporality=AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        ),
    )


def pairs(attributes: Attributes) -> list[KeyValue]:
    return [KeyValue(key=key, value=value(content)) for key, content in attributes.items()]


def value(content: Any) -> AnyValue:
    if isinstance(content, bool):
        return AnyValue(bool_value=content)
    if isinstance(content, int):
        return AnyValue(int_value=content)
    if isinstance(content, float):
        return AnyValue(double_value=content)
    if isinstance(content, Mapping):
        return AnyValue(kvlist_value=KeyValueList(values=pairs(content)))
    if isinstance(content, list):
        return AnyValue(array_value=ArrayValue(values=[value(item) for item in content]))
    return AnyValue(string_value=str(content))


def _resource(attributes: Attributes) -> Resource:
    return Resource(attributes=pairs(attributes))
