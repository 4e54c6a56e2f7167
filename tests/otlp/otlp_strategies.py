"""Spans, log records and metrics of every shape, as the SDK builds them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import ReadWriteLogRecord
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics._internal.point import Buckets
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

RESOURCE = Resource({"service.name": "shop", "process.pid": 7, "tags": ("a", "b")}, "https://example.org/schema")

texts = st.text(st.characters(codec="utf-8"), max_size=40)
keys = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
times = st.integers(0, 2**64 - 1)
trace_ids = st.integers(1, 2**128 - 1)
span_ids = st.integers(1, 2**64 - 1)
scalars = st.one_of(
    texts,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=20).filter(bytes),
)
values = st.recursive(
    scalars | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)
attributes = st.dictionaries(keys, values, max_size=6)


def _bounded_attributes(given: dict[str, Any], dropped: int) -> BoundedAttributes:
    made = BoundedAttributes(None, given)
    made.dropped = dropped
    return made


bounded = st.builds(_bounded_attributes, attributes, st.integers(0, 5))
states = st.sampled_from([TraceState(), TraceState([("vendor", "value"), ("a", "b")])])
contexts = st.builds(SpanContext, trace_ids, span_ids, st.booleans(), st.integers(0, 3).map(TraceFlags), states)
scopes = st.builds(
    InstrumentationScope,
    keys,
    st.none() | texts,
    st.none() | texts,
    st.none() | st.dictionaries(keys, texts, max_size=2),
)


def _bounded_list(items: list[Any], extra: int) -> BoundedList[Any]:
    made: BoundedList[Any] = BoundedList(max(len(items), 1))
    made.extend(items)
    made.dropped = extra
    return made


events = st.builds(Event, texts, bounded, times)
links = st.builds(Link, contexts, bounded)
statuses = st.sampled_from([Status(StatusCode.UNSET), Status(StatusCode.OK)]) | st.builds(
    lambda text: Status(StatusCode.ERROR, text), st.none() | texts
)
spans = st.builds(
    ReadableSpan,
    name=texts,
    context=contexts,
    parent=st.none() | contexts,
    resource=st.just(RESOURCE),
    attributes=bounded,
    events=st.builds(_bounded_list, st.lists(events, max_size=3), st.integers(0, 5)),
    links=st.builds(_bounded_list, st.lists(links, max_size=3), st.integers(0, 5)),
    kind=st.sampled_from(SpanKind),
    status=statuses,
    start_time=times,
    end_time=times,
    instrumentation_scope=scopes,
)


def _record(
    context: SpanContext | None, given: dict[str, Any], scope: InstrumentationScope, **fields: Any
) -> ReadWriteLogRecord:
    where = set_span_in_context(NonRecordingSpan(context)) if context else None
    record = LogRecord(context=where, attributes=given, **fields)
    return ReadWriteLogRecord(record, RESOURCE, scope)


log_records = st.builds(
    _record,
    context=st.none() | contexts,
    given=attributes,
    scope=scopes,
    timestamp=times,
    observed_timestamp=times,
    severity_text=st.none() | texts,
    severity_number=st.none() | st.sampled_from(SeverityNumber),
    body=values,
    event_name=st.none() | texts,
)

counts = st.integers(0, 2**40)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
exemplars = st.builds(
    lambda given, value, time, ids: Exemplar(given, value, time, *ids),
    attributes, numbers, times, st.just((None, None)) | st.tuples(span_ids, trace_ids),
)  # fmt: skip
exemplar_lists = st.lists(exemplars, max_size=2)
number_points = st.builds(NumberDataPoint, attributes, st.integers(1, 2**63), times, numbers, exemplar_lists)
gauge_points = st.builds(NumberDataPoint, attributes, st.none(), times, numbers, exemplar_lists)
finite = st.floats(allow_nan=False, allow_infinity=False)


def _histogram_point(
    given: Any, start: int, time: int, bounds: list[float], count: int, low: float, more: Any
) -> HistogramDataPoint:
    buckets = [count + index for index in range(len(bounds) + 1)]
    return HistogramDataPoint(
        given, start, time, sum(buckets) + 1, 1.5, buckets, sorted(bounds), low, abs(low) + 1, more
    )


histogram_points = st.builds(
    _histogram_point,
    attributes,
    st.integers(1, 2**63),
    times,
    st.lists(finite, max_size=5),
    counts,
    finite,
    exemplar_lists,
)
buckets = st.builds(Buckets, st.integers(-(2**31), 2**31 - 1), st.lists(counts, min_size=0, max_size=4))
exponential_points = st.builds(
    lambda given, start, time, count, scale, zero, positive, negative, flags, low, more: ExponentialHistogramDataPoint(
        given, start, time, count, 2.5, scale, zero, positive, negative, flags, low, abs(low) + 1, more
    ),
    attributes, st.integers(1, 2**63), times, counts, st.integers(-10, 20), counts, buckets, buckets,
    st.integers(0, 1), finite, exemplar_lists,
)  # fmt: skip
temporalities = st.sampled_from([AggregationTemporality.DELTA, AggregationTemporality.CUMULATIVE])
points_of = {
    Gauge: st.builds(Gauge, st.lists(gauge_points, min_size=1, max_size=3)),
    Sum: st.builds(Sum, st.lists(number_points, min_size=1, max_size=3), temporalities, st.booleans()),
    Histogram: st.builds(Histogram, st.lists(histogram_points, min_size=1, max_size=3), temporalities),
    ExponentialHistogram: st.builds(
        ExponentialHistogram, st.lists(exponential_points, min_size=1, max_size=3), temporalities
    ),
}
metrics = st.builds(Metric, keys, texts, texts, st.one_of(*points_of.values()))


def metrics_data(scope: InstrumentationScope, found: list[Metric]) -> MetricsData:
    scoped = ScopeMetrics(scope, found, scope.schema_url or "")
    return MetricsData([ResourceMetrics(RESOURCE, [scoped], RESOURCE.schema_url)])
