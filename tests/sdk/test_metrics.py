"""Metrics: one aggregation for push and scrape, bounded in series, exact in its totals, and empty in a forked child."""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions, Observation

from blogauto_otel.sdk.histogram import bind_histogram
from testkit.forking import in_child
from testkit.ports import free_port
from testkit.receiver import Receiver, status
from tests.export.delivery import await_workers_of_other_tests, wait_for, workers
from tests.sdk.providers import Providers, locks_of, providing

OVERFLOW = {"otel.metric.overflow": True}


def meter(providers: Providers) -> Any:
    return providers.metering.get_meter("tests")


def points(providers: Providers, name: str) -> dict[object, Any]:
    """Value, or count, by attributes."""
    data = providers.metering.reader.collect_now()
    found = [] if data is None else [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
    return {
        tuple(sorted((point.attributes or {}).items())): getattr(point, "value", None) or getattr(point, "count", 0)
        for metric in found
        if metric.name == name
        for point in metric.data.data_points
    }


def test_measurements_arrive_and_a_scrape_in_between_changes_nothing(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        counter = meter(providers).create_counter("sold", "{item}", "what was sold")
        counter.add(2, {"shop": "a"})
        assert points(providers, "sold") == {(("shop", "a"),): 2}
        counter.add(3, {"shop": "a"})
        assert points(providers, "sold") == {(("shop", "a"),): 5}
        providers.flush()
    point = receiver.point("sold", {"shop": "a"})
    assert (point.value, point.kind, point.unit, point.description) == (5, "sum", "{item}", "what was sold")
    assert (point.monotonic, point.temporality, point.instance) == (True, "cumulative", "parent")


def test_a_histogram_carries_the_trace_it_was_measured_in(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        histogram = meter(providers).create_histogram("seconds", "s", explicit_bucket_boundaries_advisory=[1.0, 2.0])
        with providers.tracing.get_tracer("tests").start_as_current_span("work") as span:
            histogram.record(1.5)
        histogram.record(0.5)
        providers.flush()
    point = receiver.point("seconds")
    assert (point.bounds, point.buckets, point.sum) == ((1.0, 2.0), (1, 1, 0), 2.0)
    [exemplar] = point.exemplars
    assert exemplar.trace_id == f"{span.get_span_context().trace_id:032x}"


def test_the_exemplar_filter_is_that_of_the_settings(receiver: Receiver) -> None:
    with providing(receiver, exemplar_filter="always_on") as providers:
        meter(providers).create_histogram("seconds").record(1.0)
        providers.flush()
    assert len(receiver.point("seconds").exemplars) == 1


def test_several_may_collect_at_once(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        meter(providers).create_observable_gauge("slow", [slowly(0.05)])
        seen: list[object] = []
        threads = [threading.Thread(target=lambda: seen.append(points(providers, "slow"))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [{(): 7}] * 6


def slowly(seconds: float) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        time.sleep(seconds)
        return [Observation(7)]

    return observe


def test_a_callback_that_hangs_delays_collections_for_a_limited_time(receiver: Receiver) -> None:
    stuck = threading.Event()
    with providing(receiver) as providers:
        meter(providers).create_observable_gauge("stuck", [lambda _: [Observation(int(stuck.wait(30.0)))]])
        collecting = threading.Thread(target=providers.metering.reader.collect_now)
        collecting.start()
        time.sleep(0.1)
        started = time.monotonic()
        assert providers.metering.reader.collect_now(timeout=0.2) is None
        assert time.monotonic() - started < 5.0
        stuck.set()
        collecting.join()


@pytest.mark.quiet_guard
def test_a_callback_that_raises_affects_only_its_own_metric(receiver: Receiver) -> None:
    def broken(_: CallbackOptions) -> Iterable[Observation]:
        raise ValueError

    with providing(receiver) as providers:
        meter(providers).create_observable_gauge("broken", [broken])
        meter(providers).create_observable_gauge("fine", [lambda _: [Observation(1)]])
        providers.flush()
    assert {point.name for point in receiver.metrics} == {"fine"}


def test_the_first_measurement_starts_the_worker_and_a_zero_does_not(receiver: Receiver) -> None:
    await_workers_of_other_tests()
    with providing(receiver, metric_interval=0.2) as providers:
        counter = meter(providers).create_counter("sold")
        counter.add(0)
        assert workers() == []
        counter.add(1)
        assert len(workers()) == 1
        receiver.wait_for(lambda r: r.total("sold") == 1)


# --- how many series ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["counter", "up_down_counter", "histogram", "gauge"])
def test_what_comes_after_the_limit_is_counted_together_and_nothing_is_lost(
    receiver: Receiver, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    with providing(receiver, series_limit=20) as providers:
        instrument = getattr(meter(providers), f"create_{kind}")("m")
        write = {"histogram": "record", "gauge": "set"}.get(kind, "add")
        for turn in range(2):
            for who in range(100):
                getattr(instrument, write)(1, {"who": str(who)})
            found = points(providers, "m")
            assert len(found) == 21
            if kind != "gauge":
                assert sum(found.values()) == 100 * (turn + 1)
    assert found[tuple(OVERFLOW.items())] == (1 if kind == "gauge" else 160)
    assert caplog.text.count("has more than 20 series") == 1


def test_observed_series_are_bounded_too_with_exact_totals(receiver: Receiver) -> None:
    with providing(receiver, series_limit=20) as providers:
        everybody = [Observation(index, {"who": str(index)}) for index in range(100)]
        meter(providers).create_observable_counter("m", [lambda _: everybody])
        for _ in range(2):
            found = points(providers, "m")
            assert len(found) == 21
            assert sum(found.values()) == sum(range(100))


@pytest.mark.slow
def test_a_hundred_thousand_label_sets_cost_little_memory(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        counter = meter(providers).create_counter("m")
        for who in range(100_000):
            counter.add(1, {"who": who})
        found = points(providers, "m")
        assert len(found) == 2001
        assert sum(found.values()) == 100_000


def test_many_threads_make_no_more_series_than_allowed(receiver: Receiver) -> None:
    with providing(receiver, series_limit=50) as providers:
        counter = meter(providers).create_counter("m")

        def add(offset: int) -> None:
            for who in range(500):
                counter.add(1, {"who": who + offset})

        threads = [threading.Thread(target=add, args=(offset,)) for offset in (0, 100, 200, 300)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = points(providers, "m")
        assert (len(found), sum(found.values())) == (51, 2000)


def test_secrets_in_attributes_are_one_series_for_scrape_and_push(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        counter = meter(providers).create_counter("m")
        for password in ("hunter2", "letmein"):
            counter.add(1, {"password": password})
        [(attributes, value)] = points(providers, "m").items()
        assert "hunter2" not in str(attributes)
        assert "letmein" not in str(attributes)
        assert value == 2
        providers.flush()
    assert receiver.point("m").value == 2


# --- exporters ------------------------------------------------------------------------------------------------------


def test_the_console_exporter_prints_each_interval(receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    with providing(receiver, metrics_exporter="console") as providers:
        meter(providers).create_counter("sold").add(1, {"password": "hunter2"})
        providers.flush()
    printed = capsys.readouterr().out
    [metric] = json.loads(printed.splitlines()[0])["resource_metrics"][0]["scope_metrics"][0]["metrics"]
    assert (metric["name"], metric["data"]["data_points"][0]["value"]) == ("sold", 1)
    assert "hunter2" not in printed
    assert receiver.requests == []


def test_without_an_exporter_nothing_is_sent_and_a_scrape_still_works(receiver: Receiver) -> None:
    with providing(receiver, metrics_exporter="none") as providers:
        meter(providers).create_counter("sold").add(1)
        providers.flush()
        assert points(providers, "sold") == {(): 1}
    assert receiver.requests == []


@pytest.mark.needs("opentelemetry-exporter-prometheus")
def test_the_prometheus_exporter_has_a_port_of_its_own_and_a_second_worker_logs_that_it_is_taken(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    listening: dict[str, Any] = {"prometheus_host": "127.0.0.1", "prometheus_port": port}
    with providing(receiver, metrics_exporter="otlp,prometheus", **listening) as first:
        meter(first).create_counter("sold").add(3)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            assert b"sold_total" in answer.read()
        assert caplog.text == ""
        with providing(receiver, metrics_exporter="otlp,prometheus", **listening) as second:
            meter(second).create_counter("sold").add(4)
            second.flush()
    assert "cannot listen on 127.0.0.1" in caplog.text
    assert receiver.point("sold").value == 4


def test_the_prometheus_exporter_without_its_package_says_how_to_get_it(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.prometheus", None)
    with providing(receiver, metrics_exporter="prometheus") as providers:
        meter(providers).create_counter("sold").add(1)
        assert points(providers, "sold") == {(): 1}
    assert 'pip install "blogauto_otel[prometheus]"' in caplog.text


# --- fork -----------------------------------------------------------------------------------------------------------


def test_instruments_made_before_a_fork_begin_at_zero_in_the_child(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        m = meter(providers)
        counter, histogram = m.create_counter("sold"), m.create_histogram("seconds")
        bound = bind_histogram(histogram, {"bound": "yes"})
        m.create_observable_gauge("observed", [lambda _: [Observation(9)]])
        counter.add(5)
        for _ in range(3):
            bound.record(1.0)
        points(providers, "sold")

        def child() -> None:
            providers.after_fork_in_child()
            counter.add(1)
            for _ in range(2):
                bound.record(2.0)
            meter(providers).create_counter("new").add(4)
            providers.flush()

        before = time.time_ns()
        in_child(child)
        providers.flush()
    assert receiver.point("sold", instance="child").value == 1
    assert receiver.point("sold", instance="child").start >= before
    assert (receiver.point("seconds", instance="child").count, receiver.point("seconds", instance="child").sum) == (
        2,
        4.0,
    )
    assert receiver.point("observed", instance="child").value == 9
    assert receiver.point("new", instance="child").value == 4
    assert receiver.point("sold", instance="parent").value == 5
    assert receiver.point("seconds", instance="parent").count == 3


def test_a_child_forked_while_every_lock_is_held_does_not_hang(receiver: Receiver) -> None:
    with providing(receiver, metric_interval=0.2) as providers:
        counter = meter(providers).create_counter("sold")
        counter.add(1, {"known": True})
        wait_for(lambda: receiver.metrics)
        consumer = providers.metering._measurement_consumer
        storage = consumer._reader_storages[providers.metering.reader]
        [matches] = storage._instrument_view_instrument_matches.values()
        aggregations: list[Any] = [a for match in matches for a in match._attributes_aggregation.values()]
        held, release = threading.Event(), threading.Event()

        def hold() -> None:
            locks: list[Any] = locks_of(consumer, storage, providers.metering, *matches, *aggregations)
            locks.append(providers.metering.reader._one_at_a_time)
            for lock in locks:
                lock.acquire()
            held.set()
            release.wait(30.0)
            for lock in locks:
                lock.release()

        threading.Thread(target=hold, daemon=True).start()
        held.wait()

        def child() -> dict[str, float]:
            providers.after_fork_in_child()
            counter.add(1, {"known": True})
            counter.add(1, {"known": False})
            meter(providers).create_counter("new").add(1)
            return {str(key): value for key, value in points(providers, "sold").items()}

        try:
            assert sorted(in_child(child).values()) == [1, 1]
        finally:
            release.set()


def test_the_worker_of_a_child_starts_with_its_first_measurement(receiver: Receiver) -> None:
    with providing(receiver, metric_interval=0.2) as providers:
        counter = meter(providers).create_counter("sold")
        counter.add(1)
        wait_for(lambda: receiver.metrics)

        def child() -> None:
            providers.after_fork_in_child()
            counter.add(1)
            wait_for(lambda: providers.delivery.stats().as_dict()["metrics"]["sent"] > 0)

        in_child(child)
    assert receiver.point("sold", instance="child").value == 1


def test_a_scrape_stays_cumulative_while_the_push_is_delta_and_a_refused_delta_is_sent_again(
    receiver: Receiver,
) -> None:
    with providing(receiver, metrics_temporality="delta", spool_dir="off") as providers:
        counter = meter(providers).create_counter("sold")
        receiver.answer(status(503), times=1)
        counter.add(2)
        providers.delivery.force_flush(0.2)
        counter.add(3)
        providers.flush()
        assert points(providers, "sold") == {(): 5}
    sold = [(point.value, point.temporality) for point in receiver.metrics if point.name == "sold"]
    assert sold == [(2, "delta"), (3, "delta")]


def test_a_forked_child_begins_its_deltas_at_zero(receiver: Receiver) -> None:
    with providing(receiver, metrics_temporality="delta") as providers:
        counter = meter(providers).create_counter("sold")
        counter.add(2)

        def child() -> None:
            providers.after_fork_in_child()
            counter.add(3)
            providers.flush()

        in_child(child)
        providers.flush()
    assert {point.instance: point.value for point in receiver.metrics if point.name == "sold"} == {
        "parent": 2,
        "child": 3,
    }
