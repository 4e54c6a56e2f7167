"""A bound series measures like its histogram, and uses the histogram where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    ExemplarFilter,
    Histogram,
    MeterProvider,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import DropAggregation, ExponentialBucketHistogramAggregation, View
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from blogauto_otel.sdk.bound_histogram import BoundHistogram

LABELS = {"method": "GET", "endpoint": "/x"}
VALUES = (0.001, 0.3, 0.3, 1.9, 2.0, 2.1, 60.0)
SAMPLED = set_span_in_context(NonRecordingSpan(SpanContext(1, 2, False, TraceFlags(1))), Context())
UNSAMPLED = set_span_in_context(NonRecordingSpan(SpanContext(3, 4, False, TraceFlags(0))), Context())

VIEWS: dict[str, list[View]] = {
    "none": [],
    "fewer attributes": [View(instrument_name="duration", attribute_keys={"endpoint"})],
    "two streams": [
        View(instrument_name="duration"),
        View(instrument_name="duration", name="again", attribute_keys=set()),
    ],
    "exponential": [View(instrument_name="duration", aggregation=ExponentialBucketHistogramAggregation())],
    "dropped": [View(instrument_name="duration", aggregation=DropAggregation())],
}


class Measured:
    """A histogram of a provider, and what its reader sees."""

    def __init__(self, views: list[View] = [], **options: Any) -> None:  # noqa: B006 - never changed
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], views=views, shutdown_on_exit=False, **options)
        meter = self.provider.get_meter("tests")
        self.histogram = meter.create_histogram("duration", "s", explicit_bucket_boundaries_advisory=(0.5, 1.0, 2.0))

    def points(self, reader: InMemoryMetricReader | None = None) -> Any:
        data = (reader or self.reader).get_metrics_data()
        return [
            (metric.name, _facts(point))
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        ]


def _facts(point: Any) -> Any:
    exemplars = sorted((exemplar.value, exemplar.trace_id, exemplar.span_id) for exemplar in point.exemplars)
    buckets = getattr(point, "bucket_counts", None) or point.positive
    return dict(point.attributes), point.count, point.sum, point.min, point.max, buckets, exemplars


@pytest.mark.parametrize("views", VIEWS)
def test_it_measures_what_the_histogram_measures_under_any_view(views: str) -> None:
    plain, bound = Measured(VIEWS[views]), Measured(VIEWS[views])
    series = BoundHistogram(bound.histogram, LABELS)
    for value in VALUES:
        for context in (SAMPLED, UNSAMPLED):
            plain.histogram.record(value, LABELS, context)
            series.record(value, context, sampled=context is SAMPLED)
    assert bound.points() == plain.points()
    assert (bound.points() == []) is (views == "dropped")


@pytest.mark.parametrize("chosen", [TraceBasedExemplarFilter, AlwaysOnExemplarFilter, AlwaysOffExemplarFilter])
@pytest.mark.parametrize("context", [SAMPLED, UNSAMPLED])
def test_the_filter_decides_what_is_an_exemplar(chosen: type[ExemplarFilter], context: Context) -> None:
    plain, bound = Measured(exemplar_filter=chosen()), Measured(exemplar_filter=chosen())
    series = BoundHistogram(bound.histogram, LABELS)
    for value in VALUES:
        plain.histogram.record(value, LABELS, context)
        series.record(value, context, sampled=context is SAMPLED)
    assert bound.points() == plain.points()


def test_after_the_first_measurement_the_histogram_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    measured, asked = Measured(), []
    record = Histogram.record

    def asking(*arguments: Any, **named: Any) -> None:
        asked.append(1)
        record(*arguments, **named)

    monkeypatch.setattr(type(measured.histogram), "record", asking)
    series = BoundHistogram(measured.histogram, LABELS)
    for value in VALUES:
        series.record(value, UNSAMPLED, sampled=False)
    assert len(asked) == 1
    assert measured.points()[0][1][1] == len(VALUES)


@pytest.mark.needs("opentelemetry-sdk>=1.45")
def test_a_reader_that_is_added_later_receives_later_measurements() -> None:
    measured, later = Measured(), InMemoryMetricReader()
    series = BoundHistogram(measured.histogram, LABELS)
    series.record(0.1, UNSAMPLED, sampled=False)
    measured.provider.add_metric_reader(later)
    series.record(0.2, UNSAMPLED, sampled=False)
    series.record(0.3, UNSAMPLED, sampled=False)
    assert measured.points()[0][1][1] == 3
    assert measured.points(later)[0][1][1] == 2


def test_collecting_in_between_loses_nothing() -> None:
    measured = Measured()
    series = BoundHistogram(measured.histogram, LABELS)
    for value in VALUES:
        series.record(value, UNSAMPLED, sampled=False)
        measured.points()
    assert measured.points()[0][1][1] == len(VALUES)


BREAKS: dict[str, Callable[[Any], None]] = {
    "no storages": lambda consumer: delattr(consumer, "_reader_storages"),
    "no filter": lambda consumer: delattr(consumer._sdk_config, "exemplar_filter"),
    "no matches": lambda consumer: setattr(consumer, "_reader_storages", {"reader": object()}),
}


@pytest.mark.parametrize("missing", BREAKS)
def test_an_sdk_without_one_of_the_details_is_asked_each_time(missing: str) -> None:
    class Consumer:
        """Stands for the SDK's, so that breaking it breaks nothing else."""

    class Other:
        """A histogram of some other SDK."""

        def __init__(self, consumer: Any) -> None:
            self._measurement_consumer = consumer
            self.recorded: list[float] = []

        def record(self, value: float, attributes: Any, context: Any) -> None:
            self.recorded.append(value)

    known = Measured().histogram._measurement_consumer  # type: ignore[attr-defined]
    consumer: Any = Consumer()
    consumer._reader_storages, consumer._sdk_config = known._reader_storages, known._sdk_config
    BREAKS[missing](consumer)
    other: Any = Other(consumer)
    series = BoundHistogram(other, LABELS)
    for value in VALUES:
        series.record(value, UNSAMPLED, sampled=False)
    assert other.recorded == list(VALUES)


def test_the_apis_own_histogram_will_do() -> None:
    histogram = NoOpMeterProvider().get_meter("tests").create_histogram("duration")
    series = BoundHistogram(histogram, LABELS)
    for value in VALUES:
        series.record(value, UNSAMPLED, sampled=False)
    assert series._storages is None
