"""Our histogram measures what the SDK's measures: buckets, temporality, exemplars, views, readers."""

from __future__ import annotations

import gc
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import DropAggregation, ExponentialBucketHistogramAggregation, View
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from blogauto_otel import config
from blogauto_otel.export.pipeline import build_delivery
from blogauto_otel.redaction import build_redactor
from blogauto_otel.sdk import histogram as histograms
from blogauto_otel.sdk.histogram import bind_histogram
from blogauto_otel.sdk.meter_provider import BlogautoMeterProvider, build_meter_provider
from testkit.forking import in_child
from testkit.receiver import Receiver
from tests.sdk.providers import RESOURCE, providing

LABELS = {"method": "GET", "endpoint": "/x"}
VALUES = (0.001, 0.3, 0.3, 1.9, 2.0, 2.1, 60.0)
BOUNDARIES = (0.5, 1.0, 2.0)
SAMPLED = set_span_in_context(NonRecordingSpan(SpanContext(1, 2, False, TraceFlags(1))), Context())
UNSAMPLED = set_span_in_context(NonRecordingSpan(SpanContext(3, 4, False, TraceFlags(0))), Context())


@contextmanager
def ours(views: list[View] | None = None, **settings: Any) -> Iterator[BlogautoMeterProvider]:
    """A provider of ours, which exports nothing."""
    loaded = config.load({}, **{"metrics_exporter": "none", **settings}).settings
    delivery = build_delivery(loaded, RESOURCE)
    yield build_meter_provider(loaded, RESOURCE, delivery=delivery, redactor=build_redactor(loaded), views=views or [])
    delivery.shutdown(0.0)


@contextmanager
def theirs(views: list[View] | None = None) -> Iterator[tuple[MeterProvider, InMemoryMetricReader]]:
    """A provider of the SDK."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], RESOURCE, views=views or [], shutdown_on_exit=False)
    yield provider, reader
    provider.shutdown()


def duration(provider: Any, **options: Any) -> Any:
    return provider.get_meter("tests").create_histogram(
        "duration", "s", "how long", **{"explicit_bucket_boundaries_advisory": BOUNDARIES, **options}
    )


def facts(data: Any) -> list[Any]:
    """Everything of every point but its times."""
    return [
        (scope.scope.name, metric.name, metric.unit, metric.description, _temporality(metric), *_point(point))
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]


def _temporality(metric: Any) -> Any:
    return metric.data.aggregation_temporality


def _point(point: Any) -> Any:
    exemplars = sorted((exemplar.value, exemplar.trace_id, exemplar.span_id) for exemplar in point.exemplars)
    buckets = getattr(point, "bucket_counts", None) or point.positive
    return dict(point.attributes), point.count, point.sum, point.min, point.max, buckets, exemplars


def test_it_measures_what_the_sdks_histogram_measures() -> None:
    chance = random.Random(12)
    with ours() as mine, theirs() as (stock, reader):
        for provider in (mine, stock):
            chance.seed(12)
            histogram = duration(provider)
            for _ in range(500):
                value = chance.choice((0, 1, 0.5, 2.0, chance.random() * 5))
                attributes = chance.choice((LABELS, {}, None, {"n": 1}, {"n": True}, {"n": 1.0}, {"n": (1, 2)}))
                histogram.record(value, attributes, chance.choice((SAMPLED, UNSAMPLED)))
        assert facts(mine.reader.collect_now()) == facts(reader.get_metrics_data()) != []


def test_a_bound_series_is_the_one_of_its_attributes() -> None:
    with ours() as mine, theirs() as (stock, reader):
        for provider in (mine, stock):
            histogram = duration(provider)
            series = bind_histogram(histogram, LABELS)
            for value in VALUES:
                for context in (SAMPLED, UNSAMPLED):
                    histogram.record(value, LABELS, context)
                    series.record(value, context)
        assert facts(mine.reader.collect_now()) == facts(reader.get_metrics_data()) != []


@pytest.mark.parametrize(
    ("setting", "context", "expected"),
    [
        ("trace_based", SAMPLED, [(0.3, 1, 2)]),
        ("trace_based", SpanContext(1, 2, False, TraceFlags(1)), [(0.3, 1, 2)]),
        ("trace_based", UNSAMPLED, []),
        ("trace_based", None, []),
        ("always_on", UNSAMPLED, [(0.3, 3, 4)]),
        ("always_on", Context(), [(0.3, None, None)]),
        ("always_off", SAMPLED, []),
    ],
)
def test_the_setting_decides_what_is_an_exemplar(setting: str, context: Any, expected: list[Any]) -> None:
    with ours(exemplar_filter=setting) as provider:
        bind_histogram(duration(provider), LABELS).record(0.3, context)
        [point] = facts(provider.reader.collect_now())
    assert point[-1] == expected


def test_ids_of_a_sampled_span_are_an_exemplar_unless_the_setting_says_never() -> None:
    for setting, expected in (("trace_based", [(0.3, 1, 2)]), ("always_on", [(0.3, 1, 2)]), ("always_off", [])):
        with ours(exemplar_filter=setting) as provider, theirs() as (stock, reader):
            for one in (provider, stock):
                bind_histogram(duration(one), LABELS).record_sampled(0.3, 1, 2)
            [point], [public] = facts(provider.reader.collect_now()), facts(reader.get_metrics_data())
        assert (point[6], point[-1]) == (1, expected)
        assert public[-1] == [(0.3, 1, 2)]


@pytest.mark.parametrize("boundaries", [None, (), (1,), "what", [1.0, None]])
def test_boundaries_are_those_that_the_sdk_takes(boundaries: Any) -> None:
    with ours() as mine, theirs() as (stock, reader):
        for provider in (mine, stock):
            duration(provider, explicit_bucket_boundaries_advisory=boundaries).record(3.0)
        assert facts(mine.reader.collect_now()) == facts(reader.get_metrics_data()) != []


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf")])
def test_what_is_no_measurement_is_left_out_and_logged(amount: float, caplog: pytest.LogCaptureFixture) -> None:
    with ours() as provider:
        duration(provider).record(amount)
        assert provider.reader.collect_now() is None
    assert "duration cannot record" in caplog.text


# --- temporality ------------------------------------------------------------------------------------------------------


def test_deltas_are_those_of_the_sdk_while_a_scrape_stays_cumulative() -> None:
    reader = InMemoryMetricReader(preferred_temporality={Histogram: AggregationTemporality.DELTA})
    stock = MeterProvider([reader], RESOURCE, shutdown_on_exit=False)
    with ours(metrics_temporality="delta", metrics_exporter="otlp", endpoint="http://127.0.0.1:9") as mine:
        first, second = duration(mine), duration(stock)
        for round_ in range(4):
            for value in VALUES[: round_ * 2]:  # the first round is empty
                first.record(value, LABELS, SAMPLED)
                second.record(value, LABELS, SAMPLED)
            mine.reader.collect_now()
            pushed, expected = facts(mine.push_reader.collect_now()), facts(reader.get_metrics_data())
            assert [point[:7] + point[8:-1] for point in pushed] == [point[:7] + point[8:-1] for point in expected]
            assert [point[7] for point in pushed] == pytest.approx([point[7] for point in expected])
        [scraped] = facts(mine.reader.collect_now())
    assert scraped[4] is AggregationTemporality.CUMULATIVE
    assert (scraped[6], scraped[8], scraped[9]) == (12, 0.001, 2.1)


def test_the_times_of_a_delta_follow_each_other() -> None:
    with ours(metrics_temporality="delta", metrics_exporter="otlp", endpoint="http://127.0.0.1:9") as provider:
        series = bind_histogram(duration(provider), LABELS)
        seen = []
        for _ in range(2):
            series.record(1.0)
            data: Any = provider.push_reader.collect_now()
            [point] = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
            seen.append((point.start_time_unix_nano, point.time_unix_nano))
    assert seen[0][0] < seen[0][1] == seen[1][0] < seen[1][1]


# --- views and readers ------------------------------------------------------------------------------------------------

VIEWS: dict[str, list[View]] = {
    "fewer attributes": [View(instrument_name="duration", attribute_keys={"endpoint"})],
    "two streams": [
        View(instrument_name="duration"),
        View(instrument_name="duration", name="again", attribute_keys=set()),
    ],
    "exponential": [View(instrument_name="duration", aggregation=ExponentialBucketHistogramAggregation())],
    "dropped": [View(instrument_name="dur*", aggregation=DropAggregation())],
}


@pytest.mark.parametrize("views", VIEWS)
def test_a_histogram_that_a_view_matches_is_the_sdks_and_the_status_can_say_so(views: str) -> None:
    with ours(VIEWS[views]) as mine, theirs(VIEWS[views]) as (stock, reader):
        for provider in (mine, stock):
            series = bind_histogram(duration(provider), LABELS)
            for value in VALUES:
                series.record(value, SAMPLED)
        assert facts(mine.reader.collect_now()) == facts(reader.get_metrics_data())
        assert mine.histograms is not None
        assert mine.histograms.left_to_sdk == {"duration": "a view matches"}


def test_a_view_of_another_instrument_changes_nothing() -> None:
    with ours([View(instrument_name="other", aggregation=DropAggregation())]) as provider:
        duration(provider).record(1.0)
        assert provider.histograms is not None
        assert provider.histograms.left_to_sdk == {}
        assert len(facts(provider.reader.collect_now())) == 1


@pytest.mark.needs("opentelemetry-sdk>=1.45")
def test_a_reader_that_is_added_later_receives_later_measurements() -> None:
    later = InMemoryMetricReader()
    with ours() as provider:
        histogram = duration(provider)
        series = bind_histogram(histogram, LABELS)
        series.record(0.1)
        provider.add_metric_reader(later)
        series.record(0.2, SAMPLED)
        histogram.record(0.3, LABELS)
        duration(provider, explicit_bucket_boundaries_advisory=None).record(7.0)
        assert [point[6] for point in facts(provider.reader.collect_now())] == [3, 1]
        assert [point[6] for point in facts(later.get_metrics_data())] == [2, 1]


def test_the_same_instrument_asked_for_twice_is_one() -> None:
    with ours() as provider:
        duration(provider).record(1.0)
        duration(provider).record(2.0)
        [point] = facts(provider.reader.collect_now())
    assert point[6] == 2


def test_another_providers_histogram_will_do() -> None:
    series = bind_histogram(NoOpMeterProvider().get_meter("tests").create_histogram("duration"), LABELS)
    for value in VALUES:
        series.record(value, SAMPLED)


# --- threads, interruptions, forks ------------------------------------------------------------------------------------


def test_several_threads_lose_no_measurement() -> None:
    with ours() as provider:
        series = bind_histogram(duration(provider), LABELS)

        def measure() -> None:
            for _ in range(5000):
                series.record(1.0)

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            threads = [threading.Thread(target=measure) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval)
        [point] = facts(provider.reader.collect_now())
    assert point[6:8] == (20_000, 20_000.0)


def test_a_measurement_leaves_no_object_for_the_garbage_collector() -> None:
    with ours() as provider:
        series = bind_histogram(duration(provider), LABELS)
        for _ in range(10):
            series.record(1.0, SAMPLED)
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(10_000):
            series.record(1.0, SAMPLED)
        gc.collect()
        assert len(gc.get_objects()) - before < 1000  # of ten thousand


def test_a_finalizer_may_measure_in_the_middle_of_a_measurement() -> None:
    with ours() as provider:
        series = bind_histogram(duration(provider), LABELS)

        class Measures:
            def __init__(self) -> None:
                self.cycle = self

            def __del__(self) -> None:
                series.record(2.0)

        gc.collect()
        threshold = gc.get_threshold()
        gc.set_threshold(1, 1, 1)
        try:
            for _ in range(300):
                Measures()
                series.record(1.0, SAMPLED)
                provider.reader.collect_now()
        finally:
            gc.set_threshold(*threshold)
        gc.collect()
        [point] = facts(provider.reader.collect_now())
    assert point[6:8] == (600, 900.0)


def test_a_forked_child_begins_at_zero_with_fresh_locks_and_room_for_new_series(receiver: Receiver) -> None:
    with providing(receiver, series_limit=10) as providers:
        histogram = duration(providers.metering)
        bound = bind_histogram(histogram, {"who": "bound"})
        for who in range(9):
            histogram.record(1.0, {"who": who})
        bound.record(1.0)
        held, release = threading.Event(), threading.Event()

        def hold() -> None:
            with bound._lock:  # type: ignore[attr-defined]
                held.set()
                release.wait(30.0)

        threading.Thread(target=hold, daemon=True).start()
        held.wait()

        def child() -> list[Any]:
            providers.after_fork_in_child()
            bound.record(2.0)
            for who in ("c", "d"):
                histogram.record(3.0, {"who": who})
            return [(point[5], point[7]) for point in facts(providers.metering.reader.collect_now())]

        try:
            assert in_child(child) == [[{"who": "bound"}, 2.0], [{"who": "c"}, 3.0], [{"who": "d"}, 3.0]]
        finally:
            release.set()


def test_the_memory_of_what_a_client_thinks_of_is_bounded() -> None:
    with ours(series_limit=20) as provider:
        histogram = duration(provider)
        for who in range(10_000):
            histogram.record(1.0, {"who": who})
        kept: Any = getattr(histogram, histograms.OURS)
        assert len(kept._known) <= 20
        assert len(facts(provider.reader.collect_now())) == 21
