"""Our encoder writes what the official encoder writes."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import ReadWriteLogRecord
from opentelemetry.sdk.metrics.export import Metric, NumberDataPoint, Sum
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext

from blogauto_otel.otlp.encoder import Encoder, encode_resource, encode_scope
from blogauto_otel.otlp.protobuf import message
from blogauto_otel.otlp.values import ITEM
from tests.export.redactors import Nothing
from tests.otlp import otlp_strategies as shapes

NOTHING = Nothing()
ENCODER = Encoder(NOTHING)  # one for all examples: its caches must not change the result
examples = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def request(resource: Resource, scope: InstrumentationScope | None, *items: bytes) -> bytes:
    scoped = message(ITEM, encode_scope(scope) + b"".join(items))
    return message(b"\x0a", encode_resource(resource, NOTHING) + scoped)


@pytest.mark.needs("opentelemetry-proto>=1.45")
@examples
@given(shapes.spans)
def test_a_span_is_encoded_as_the_official_encoder_does(span: ReadableSpan) -> None:
    ours = ExportTraceServiceRequest.FromString(request(span.resource, span.instrumentation_scope, ENCODER.span(span)))
    theirs = encode_spans([span])
    for ours_group, theirs_group in zip(ours.resource_spans, theirs.resource_spans, strict=True):
        mine, official = ours_group.scope_spans[0].spans[0], theirs_group.scope_spans[0].spans[0]
        # The specification has the trace flags in the lower byte; the official encoder leaves it empty.
        assert span.context is not None
        assert mine.flags == official.flags | span.context.trace_flags
        mine.flags = official.flags
        for link, official_link, given_link in zip(mine.links, official.links, span.links, strict=True):
            assert link.flags == official_link.flags | given_link.context.trace_flags
            assert link.trace_state == given_link.context.trace_state.to_header()  # the official encoder omits it
            link.flags, link.trace_state = official_link.flags, ""
    assert normal(ours) == normal(theirs)


@examples
@given(shapes.log_records)
def test_a_log_record_is_encoded_as_the_official_encoder_does(record: ReadWriteLogRecord) -> None:
    item = ENCODER.log_record(record.log_record, dropped_attributes=record.dropped_attributes)
    assert record.resource is not None
    ours = ExportLogsServiceRequest.FromString(request(record.resource, record.instrumentation_scope, item))
    theirs = encode_logs([record])  # type: ignore[list-item]
    assert normal(ours) == normal(theirs)


@pytest.mark.needs("opentelemetry-proto>=1.45")
@examples
@given(shapes.scopes, st.lists(shapes.metrics, min_size=1, max_size=3))
def test_metrics_are_encoded_as_the_official_encoder_does(scope: InstrumentationScope, metrics: list[Metric]) -> None:
    data = shapes.metrics_data(scope, metrics)
    pairs = ENCODER.metrics(data)
    assert {scope_bytes for scope_bytes, _ in pairs} == {encode_scope(scope)}
    ours = ExportMetricsServiceRequest.FromString(request(shapes.RESOURCE, scope, *(item for _, item in pairs)))
    assert normal(ours) == normal(encode_metrics(data))


def normal(decoded: Message) -> object:
    """The content of a message: an absent message equals an empty one, unless it is one of several choices."""
    said: dict[str, object] = {}
    for field, value in decoded.ListFields():
        if field.is_repeated:
            said[field.name] = [normal(item) for item in value] if field.message_type else list(value)
        elif field.message_type is None:
            said[field.name] = value
        elif field.containing_oneof or normal(value):
            said[field.name] = normal(value)
    return said


def test_a_metric_with_very_many_series_is_split() -> None:
    points = [NumberDataPoint({"user": f"{index:0100}"}, 1, 2, index) for index in range(20_000)]
    data = shapes.metrics_data(InstrumentationScope("s"), [Metric("m", "", "", Sum(points, 2, True))])  # type: ignore[arg-type]
    items = [item for _, item in ENCODER.metrics(data)]
    assert len(items) > 3
    assert max(map(len, items)) < 600_000
    decoded = ExportMetricsServiceRequest.FromString(request(shapes.RESOURCE, InstrumentationScope("s"), *items))
    metrics = decoded.resource_metrics[0].scope_metrics[0].metrics
    assert {(metric.name, metric.sum.is_monotonic, metric.sum.aggregation_temporality) for metric in metrics} == {
        ("m", True, 2)
    }
    assert [point.as_int for metric in metrics for point in metric.sum.data_points] == list(range(20_000))


def test_a_scope_without_a_name_and_no_scope_at_all_are_encoded() -> None:
    assert encode_scope(None)
    assert encode_scope(InstrumentationScope("", None, None))


@pytest.mark.parametrize("value", [True, 1, 1.0, "1"])
def test_cached_values_of_equal_value_and_other_type_are_distinct(value: object) -> None:
    encoder = Encoder(NOTHING)
    for first in (True, 1, 1.0, "1"):
        encoder.span(span_with({"k": first}))
    decoded = decode(encoder.span(span_with({"k": value})))
    kinds = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}
    assert decoded.attributes[0].value.WhichOneof("value") == kinds[type(value)]


def span_with(attributes: dict[str, Any], **fields: Any) -> ReadableSpan:
    context = SpanContext(1, 2, False)
    return ReadableSpan(
        "name", context, attributes=attributes, resource=shapes.RESOURCE, **{"start_time": 1, "end_time": 2, **fields}
    )


def decode(item: bytes) -> Any:
    decoded = ExportTraceServiceRequest.FromString(request(shapes.RESOURCE, None, item))
    return decoded.resource_spans[0].scope_spans[0].spans[0]
