"""Delivery: one worker, sent equals received, and every item that is not delivered is counted."""

from __future__ import annotations

import dataclasses
import logging
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan

from blogauto_otel.export.pipeline import THREAD_NAME, Delivery
from blogauto_otel.export.retry import RetryPolicy
from blogauto_otel.export.stats import SignalStats
from blogauto_otel.export.transport.http import HttpTransport
from blogauto_otel.export.worker import Worker
from blogauto_otel.otlp import drop_reasons
from blogauto_otel.otlp.signal import Signal
from testkit import receiver as peer
from testkit.receiver import Receiver
from testkit.requests import wait_until
from tests.export.delivery import (
    QUICK_RETRIES,
    SCOPE,
    a_span,
    await_workers_of_other_tests,
    delivering,
    enqueue,
    names,
    wait_for,
    without_threads,
    workers,
)
from tests.export.peers import refusing
from tests.otlp.decoding import CONTEXT


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def figures(delivery: Delivery, of: Signal = Signal.TRACES) -> SignalStats:
    return delivery.stats().signals[of]


def balance(stats: SignalStats) -> int:
    """The figures add up as the documentation says."""
    before = {drop_reasons.TOO_LARGE, drop_reasons.UNSERIALISABLE, drop_reasons.AFTER_SHUTDOWN}
    dropped = sum(count for reason, count in stats.dropped.items() if reason not in before)
    return stats.accepted - stats.sent - stats.queue_items - dropped


# --- the good case --------------------------------------------------------------------------------------------------


def test_no_thread_and_no_connection_before_the_first_item(receiver: Receiver) -> None:
    await_workers_of_other_tests()
    with delivering(receiver) as delivery:
        assert workers() == []
        assert receiver.connections == 0
        enqueue(delivery, ["first"])
        assert len(workers()) == 1
        receiver.wait_for(lambda r: names(r) == ["first"])


def test_items_arrive_in_order_each_once_under_their_scope_and_resource(receiver: Receiver) -> None:
    with delivering(receiver, span_batch_items=100) as delivery:
        enqueue(delivery, range(1000))
        assert delivery.force_flush(10.0)
    assert names(receiver) == [str(index) for index in range(1000)]
    assert {span.scope for span in receiver.spans} == {"tests"}
    assert receiver.resource(service_name="shop")["service.instance.id"] == "parent"


def test_items_are_sent_after_their_delay(receiver: Receiver) -> None:
    with delivering(receiver, span_delay=0.3) as delivery:
        for name in "abc":
            enqueue(delivery, [name])
            time.sleep(0.02)
        receiver.wait_for(lambda r: names(r) == ["a", "b", "c"])
    assert len(receiver.requests) == 1


def test_a_full_batch_is_sent_at_once(receiver: Receiver) -> None:
    with delivering(receiver, span_delay=600.0, span_batch_items=10) as delivery:
        enqueue(delivery, range(25))
        receiver.wait_for(lambda r: len(r.spans) == 20)
        wait_until(lambda: figures(delivery).queue_items == 5)  # the answer to the second batch is still to be read


def test_requests_are_split_by_items_and_by_bytes(receiver: Receiver) -> None:
    with delivering(receiver, span_batch_items=30, max_request_bytes=16_384) as delivery:
        enqueue(delivery, range(100), size=1000)
        enqueue(delivery, range(100, 300))
        assert delivery.force_flush(10.0)
    assert names(receiver) == [str(index) for index in range(300)]
    assert max(len(request.body) for request in receiver.requests) <= 16_384
    counts = [len(list(peer.decode_spans(request.payload))) for request in receiver.requests]
    assert max(counts) == 30
    assert min(counts) < 20


def test_an_item_larger_than_a_request_may_be_is_refused_and_counted(receiver: Receiver) -> None:
    with delivering(receiver, max_request_bytes=16_384) as delivery:
        assert delivery.enqueue(Signal.TRACES, SCOPE, b"x" * 16_384) is False
        assert delivery.enqueue(*a_span("fits")) is True
        assert delivery.force_flush(10.0)
        assert figures(delivery).dropped == {drop_reasons.TOO_LARGE: 1}
    assert names(receiver) == ["fits"]


def test_each_signal_goes_to_its_own_endpoint(receiver: Receiver) -> None:
    with delivering(
        receiver, logs_endpoint=receiver.url + "/elsewhere/logs", traces_headers={"who": "traces"}
    ) as delivery:
        enqueue(delivery, ["span"])
        delivery.enqueue(Signal.LOGS, SCOPE, b"")
        delivery.enqueue(Signal.METRICS, SCOPE, b"")
        assert delivery.force_flush(10.0)
    by_path = {request.path: request.headers.get("who") for request in receiver.requests}
    assert by_path == {"/v1/traces": "traces", "/elsewhere/logs": None, "/v1/metrics": None}


def test_the_statistics_add_up(receiver: Receiver) -> None:
    with delivering(receiver) as delivery:
        enqueue(delivery, range(10))
        delivery.lost(Signal.TRACES, drop_reasons.UNSERIALISABLE, 2)
        assert delivery.force_flush(10.0)
        stats = figures(delivery)
        assert (stats.accepted, stats.sent, stats.dropped) == (10, 10, {drop_reasons.UNSERIALISABLE: 2})
        assert (stats.queue_items, stats.queue_bytes, stats.oldest_age, stats.last_error) == (0, 0, 0.0, None)
        assert 1 <= stats.high_water <= 10
        assert (stats.retries, balance(stats)) == (0, 0)
        assert delivery.stats().as_dict()["traces"]["sent"] == 10


def test_the_worker_is_not_instrumented_and_has_no_context_of_the_request_that_started_it(receiver: Receiver) -> None:
    seen: dict[str, Any] = {}

    def source() -> list[tuple[bytes, bytes]]:
        seen["suppressed"] = otel_context.get_value(otel_context._SUPPRESS_INSTRUMENTATION_KEY)
        seen["span"] = trace.get_current_span()
        return []

    with delivering(receiver, metric_interval=0.1) as delivery:
        delivery.add_metric_source(source)
        with trace.use_span(NonRecordingSpan(CONTEXT)):
            enqueue(delivery, ["first"])
        wait_for(lambda: seen)
    assert seen == {"suppressed": True, "span": trace.INVALID_SPAN}


# --- a receiver in trouble ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_receiver_that_says_503_to_seven_of_ten_gets_everything_once(receiver: Receiver) -> None:
    chance = random.Random(7)
    receiver.answer(lambda _: peer.status(503) if chance.random() < 0.7 else peer.ok())
    with delivering(receiver, timing=QUICK_RETRIES, span_batch_items=50) as delivery:
        for start in range(0, 1000, 100):
            enqueue(delivery, range(start, start + 100))
            time.sleep(0.01)
        wait_for(lambda: figures(delivery).sent == 1000, timeout=30.0)
        stats = figures(delivery)
    assert names(receiver) == [str(index) for index in range(1000)]
    assert (stats.dropped, balance(stats)) == ({}, 0)
    assert stats.retries == sum(request.answered == 503 for request in receiver.requests) > 10


def test_after_an_outage_waiting_items_are_sent_in_order(receiver: Receiver) -> None:
    with delivering(receiver, timing=QUICK_RETRIES) as delivery:
        enqueue(delivery, range(10))
        receiver.wait_for(lambda r: len(r.spans) == 10)
        receiver.stop()
        enqueue(delivery, range(10, 500))
        wait_for(lambda: figures(delivery).retries >= 3)
        assert figures(delivery).oldest_age > 0
        receiver.start()
        receiver.wait_for(lambda r: len(r.spans) == 500, timeout=20.0)
    assert names(receiver) == [str(index) for index in range(500)]


def test_retry_after_is_obeyed(receiver: Receiver) -> None:
    receiver.answer(peer.status(429, retry_after=1), times=1)
    with delivering(receiver) as delivery:
        enqueue(delivery, ["patient"])
        receiver.wait_for(lambda r: names(r) == ["patient"])
    first, second = receiver.requests
    assert second.time - first.time > 0.95


@pytest.mark.parametrize("status", [400, 401, 404, 413])
def test_refused_items_are_counted_by_code_and_logged_once(
    receiver: Receiver, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer(peer.status(status))
    with delivering(receiver, span_batch_items=5, span_delay=600.0) as delivery:
        enqueue(delivery, range(20))
        wait_for(lambda: figures(delivery).dropped.get(f"http_{status}") == 20)
        assert delivery.force_flush(5.0)
        stats = figures(delivery)
    assert len(receiver.requests) == 4
    assert (stats.retries, stats.last_error, balance(stats)) == (0, f"HTTP {status}", 0)
    assert sum("refuses traces" in record.message for record in caplog.records) == 1


def test_a_partial_success_is_counted_and_logged(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.answer(peer.partial_success(3, "too old"))
    with delivering(receiver) as delivery:
        enqueue(delivery, range(10))
        assert delivery.force_flush(5.0)
        stats = figures(delivery)
    assert (stats.sent, stats.dropped, balance(stats)) == (7, {drop_reasons.REJECTED: 3}, 0)
    assert len(receiver.requests) == 1
    assert "rejected 3 of 10 traces: too old" in caplog.text


def test_a_partial_success_that_claims_more_than_was_sent_is_not_believed(receiver: Receiver) -> None:
    receiver.answer(peer.partial_success(1_000_000))
    with delivering(receiver) as delivery:
        enqueue(delivery, range(10))
        assert delivery.force_flush(5.0)
        assert figures(delivery).dropped == {drop_reasons.REJECTED: 10}


def test_a_lost_acknowledgement_costs_a_duplicate_never_an_item(receiver: Receiver) -> None:
    receiver.answer(peer.lost_acknowledgement(), times=1)
    with delivering(receiver, timing=QUICK_RETRIES) as delivery:
        enqueue(delivery, range(10))
        receiver.wait_for(lambda r: len(r.spans) == 20)
        wait_for(lambda: figures(delivery).sent == 10)
    assert Counter(names(receiver)) == Counter({str(index): 2 for index in range(10)})


def test_a_full_queue_drops_the_oldest_counts_them_and_logs_it_once(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    timing = dataclasses.replace(QUICK_RETRIES, drops_over=0.3, watch=0.1)
    caplog.set_level(logging.INFO)
    receiver.stop()
    with delivering(receiver, timing=timing, span_queue_items=100) as delivery:
        for start in range(0, 1000, 50):
            enqueue(delivery, range(start, start + 50))
            time.sleep(0.01)
        wait_for(lambda: "are being lost" in caplog.text)
        receiver.start()
        wait_for(lambda: figures(delivery).sent == 100, timeout=20.0)
        enqueue(delivery, ["after"])
        receiver.wait_for(lambda r: "after" in names(r))
        wait_for(lambda: "no longer lost" in caplog.text)
        stats = figures(delivery)
    *delivered, last = names(receiver)
    assert last == "after"
    assert [int(name) for name in delivered] == sorted(map(int, delivered))
    assert (len(delivered), delivered[-1]) == (100, "999")  # which 100 depends on what was in flight
    assert (stats.dropped, balance(stats)) == ({drop_reasons.QUEUE_FULL: 900}, 0)
    assert caplog.text.count("are being lost") == 1
    assert caplog.text.count("900 were lost in") == 1


def test_bytes_bound_the_queue_too(receiver: Receiver) -> None:
    receiver.answer(peer.status(503, retry_after=60))
    with delivering(receiver, queue_bytes=1_000_000) as delivery:
        enqueue(delivery, range(2000), size=4000)
        stats = figures(delivery)
        assert 900_000 < stats.queue_bytes <= 1_000_000
        assert stats.dropped[drop_reasons.QUEUE_FULL] > 1700
        assert balance(stats) == 0


# --- flush ----------------------------------------------------------------------------------------------------------


def seconds(started: float) -> float:
    return time.monotonic() - started


def test_a_flush_sends_what_waits_without_a_worker(receiver: Receiver) -> None:
    with delivering(receiver, span_delay=600.0) as delivery:
        enqueue(delivery, range(10))
        assert delivery.force_flush(5.0) is True
        assert len(names(receiver)) == 10
        assert delivery.force_flush(5.0) is True  # nothing to do


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["refused", "silent", "frozen", "dripping"])
def test_a_flush_gives_up_on_a_receiver_that_is_unavailable(receiver: Receiver, trouble: str) -> None:
    _make(receiver, trouble)
    with delivering(receiver, span_delay=600.0) as delivery:
        enqueue(delivery, range(10))
        started = time.monotonic()
        assert delivery.force_flush(10.0) is False
        assert seconds(started) < 1.5 + 2.0
        assert figures(delivery).queue_items == 10  # a later flush may deliver them
        started = time.monotonic()
        assert delivery.force_flush(10.0) is False
        assert seconds(started) < 0.3 + 1.0  # a receiver that was unavailable before gets less time


def _make(receiver: Receiver, trouble: str) -> None:
    if trouble == "refused":
        receiver.stop()
    elif trouble == "frozen":
        receiver.freeze()
    else:
        receiver.answer({"silent": peer.silence(), "dripping": peer.drip(0.2)}[trouble])


def test_a_flush_ends_at_its_timeout(receiver: Receiver) -> None:
    receiver.answer(peer.delay(3.0))
    with delivering(receiver, span_delay=600.0) as delivery:
        enqueue(delivery, range(10))
        started = time.monotonic()
        assert delivery.force_flush(0.3) is False
        assert seconds(started) < 2.0


def test_signals_are_flushed_in_parallel(receiver: Receiver) -> None:
    receiver.answer(peer.delay(0.8))
    with delivering(receiver, span_delay=600.0, log_delay=600.0) as delivery:
        enqueue(delivery, ["span"])
        delivery.enqueue(Signal.LOGS, SCOPE, b"")
        delivery.enqueue(Signal.METRICS, SCOPE, b"")
        started = time.monotonic()
        assert delivery.force_flush(10.0)
        assert seconds(started) < 2.2


def test_a_flush_retries_while_a_receiver_is_overloaded(receiver: Receiver) -> None:
    receiver.answer(peer.status(503), times=5)
    with delivering(receiver, timing=QUICK_RETRIES, span_delay=600.0) as delivery:
        enqueue(delivery, range(10))
        assert delivery.force_flush(10.0) is True
    assert len(names(receiver)) == 10


def test_a_flush_does_not_wait_for_a_retry_after_beyond_its_timeout(receiver: Receiver) -> None:
    receiver.answer(peer.status(503, retry_after=30))
    with delivering(receiver, span_delay=600.0) as delivery:
        enqueue(delivery, range(10))
        started = time.monotonic()
        assert delivery.force_flush(5.0) is False
        assert delivery.force_flush(5.0) is False
        assert seconds(started) < 2.0
        assert len(receiver.requests) == 1


def test_a_flush_while_items_keep_coming_comes_to_an_end(receiver: Receiver) -> None:
    stop = threading.Event()
    with delivering(receiver, span_delay=600.0, span_batch_items=20) as delivery:
        enqueue(delivery, ["known to be there"])
        assert delivery.force_flush(10.0) is True
        enqueue(delivery, range(100))

        def go_on() -> None:
            while not stop.is_set():
                enqueue(delivery, ["more"])

        more = threading.Thread(target=go_on)
        more.start()
        assert delivery.force_flush(10.0) is True
        stop.set()
        more.join()


def test_a_flush_sends_what_waited_when_it_was_called_and_no_more(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its threads may start late, while a busy application records ten times as much."""
    start = threading.Thread.start
    with delivering(receiver, span_batch_items=10) as delivery:

        def late(self: threading.Thread) -> None:
            if self.name == THREAD_NAME:
                raise RuntimeError("can't start new thread")  # the worker would send the rest
            if self.name.endswith("-flush"):
                enqueue(delivery, range(10, 100))
            start(self)

        with monkeypatch.context() as starting:
            starting.setattr(threading.Thread, "start", late)
            enqueue(delivery, range(10))
            assert delivery.force_flush(10.0) is True
        assert names(receiver) == [str(number) for number in range(10)]
        assert figures(delivery).queue_items == 90


def test_a_receiver_that_has_answered_has_half_of_the_time_from_then_on(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_threads(monkeypatch)  # or the worker would have sent the first
    receiver.answer(peer.delay(RetryPolicy().flush_connect_timeout + 1.0))
    receiver.answer(peer.ok(), times=1)
    with delivering(receiver, span_batch_items=10) as delivery:
        enqueue(delivery, range(20))
        assert delivery.force_flush(10.0) is True


# --- the end --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_shutdown_delivers_everything_and_logs_nothing(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    with delivering(receiver, span_delay=600.0, span_batch_items=100) as delivery:
        enqueue(delivery, range(5000))
        assert delivery.shutdown(10.0) is True
        assert (figures(delivery).sent, balance(figures(delivery))) == (5000, 0)
    assert len(names(receiver)) == 5000
    assert caplog.text == ""


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["refused", "silent", "frozen", "dripping"])
def test_shutdown_does_not_wait_for_a_receiver_that_is_unavailable(
    receiver: Receiver, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    _make(receiver, trouble)
    with delivering(receiver, span_delay=600.0) as delivery:
        enqueue(delivery, range(10))
        delivery.enqueue(Signal.LOGS, SCOPE, b"record")
        started = time.monotonic()
        assert delivery.shutdown(4.0) is False
        assert seconds(started) < 2.0 + 1.0  # one second more for a loaded machine
        assert figures(delivery).dropped == {drop_reasons.SHUTDOWN: 10}
        assert (figures(delivery).queue_items, balance(figures(delivery))) == (0, 0)
    assert caplog.text.count("lost: 10 traces, 1 logs") == 1


@pytest.mark.slow
def test_shutdown_aborts_a_request_of_the_worker_that_hangs(receiver: Receiver) -> None:
    with delivering(receiver) as delivery:
        enqueue(delivery, ["fine"])
        receiver.wait_for(lambda r: names(r) == ["fine"])
        receiver.answer(peer.silence())
        enqueue(delivery, range(10))
        receiver.wait_for(lambda r: len(r.requests) == 2)
        started = time.monotonic()
        assert delivery.shutdown(4.0) is False
        assert seconds(started) < 2.5 + 1.0
        assert figures(delivery).dropped == {drop_reasons.SHUTDOWN: 10}
        wait_for(lambda: workers() == [])
        assert balance(figures(delivery)) == 0


@pytest.mark.slow
def test_a_name_server_that_hangs_delays_neither_start_nor_shutdown(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: hanging.wait(30.0) and [])
    with delivering("http://collector.example:4318") as delivery:
        started = time.monotonic()
        enqueue(delivery, range(10))
        assert seconds(started) < 1.0
        wait_for(lambda: delivery._queues[Signal.TRACES]._in_flight)
        assert delivery.shutdown(4.0) is False
        assert seconds(started) < 2.0 + 1.5
        assert figures(delivery).dropped == {drop_reasons.SHUTDOWN: 10}
        hanging.set()


def test_after_shutdown_items_are_counted_and_dropped(receiver: Receiver) -> None:
    await_workers_of_other_tests()
    with delivering(receiver) as delivery:
        delivery.shutdown(1.0)
        assert delivery.enqueue(*a_span()) is False
        assert figures(delivery).dropped == {drop_reasons.AFTER_SHUTDOWN: 1}
        assert delivery.shutdown(1.0) is True
        assert delivery.force_flush(1.0) is True
        assert workers() == []


def test_the_worker_ends_at_shutdown(receiver: Receiver) -> None:
    with delivering(receiver) as delivery:
        enqueue(delivery, ["first"])
        receiver.wait_for(lambda r: r.spans)
        delivery.shutdown(1.0)
        wait_for(lambda: workers() == [])


# --- metrics --------------------------------------------------------------------------------------------------------


def source(*counts: int) -> Any:
    """One metric, whose value is how often it was collected."""
    calls = iter(range(1, 10**6))

    def collect() -> list[tuple[bytes, bytes]]:
        from opentelemetry.sdk.metrics.export import Metric, NumberDataPoint, Sum
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        from tests.export.delivery import ENCODER
        from tests.otlp import otlp_strategies as shapes

        metric = Metric("calls", "", "", Sum([NumberDataPoint({}, 1, 2, next(calls))], 2, True))  # type: ignore[arg-type]
        return ENCODER.metrics(shapes.metrics_data(InstrumentationScope("s"), [metric]))

    return collect


def test_metrics_are_collected_each_interval_after_start(receiver: Receiver) -> None:
    await_workers_of_other_tests()
    with delivering(receiver, metric_interval=0.1) as delivery:
        delivery.add_metric_source(source())
        assert workers() == []
        delivery.start()
        receiver.wait_for(lambda r: [point.value for point in r.metrics][:3] == [1, 2, 3])


def test_only_the_latest_metrics_wait(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.stop()
    with delivering(receiver, timing=QUICK_RETRIES, metric_interval=0.1) as delivery:
        delivery.add_metric_source(source())
        delivery.start()
        wait_for(lambda: figures(delivery, Signal.METRICS).accepted >= 5)
        assert figures(delivery, Signal.METRICS).queue_items <= 1
        receiver.start()
        receiver.wait_for(lambda r: r.metrics)
        wait_for(lambda: figures(delivery, Signal.METRICS).sent > 0)
        stats = figures(delivery, Signal.METRICS)
    assert receiver.metrics[0].value >= 4  # type: ignore[operator]
    assert stats.dropped[drop_reasons.SUPERSEDED] >= 3
    assert balance(stats) == 0
    assert "being lost" not in caplog.text  # the newer collection contains the older ones


def test_metrics_are_collected_once_more_at_shutdown(receiver: Receiver) -> None:
    with delivering(receiver) as delivery:
        delivery.add_metric_source(source())
        assert delivery.force_flush(5.0) is True
        assert delivery.shutdown(5.0) is True
    assert [point.value for point in receiver.metrics] == [1, 2]


@pytest.mark.quiet_guard
@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_a_metric_callback_that_raises_loses_only_its_own_metrics(
    receiver: Receiver, error: type[BaseException]
) -> None:
    await_workers_of_other_tests()

    def broken() -> list[tuple[bytes, bytes]]:
        raise error("broken")

    with delivering(receiver, metric_interval=0.1) as delivery:
        delivery.add_metric_source(broken)
        delivery.add_metric_source(source())
        enqueue(delivery, ["first"])
        receiver.wait_for(lambda r: len(r.metrics) >= 2)
        assert len(workers()) == 1


def test_a_metric_callback_that_hangs_does_not_delay_shutdown(receiver: Receiver) -> None:
    stuck = threading.Event()
    with delivering(receiver, span_delay=600.0) as delivery:
        delivery.add_metric_source(lambda: [(b"", b"")] * stuck.wait(30.0))
        enqueue(delivery, ["span"])
        started = time.monotonic()
        assert delivery.shutdown(1.0) is False
        assert seconds(started) < 3.0
        stuck.set()
    assert names(receiver) == ["span"]


# --- threads --------------------------------------------------------------------------------------------------------


def test_without_threads_a_flush_sends_from_the_calling_thread(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without_threads(monkeypatch)
    with delivering(receiver) as delivery:
        enqueue(delivery, range(100))
        assert delivery.force_flush(5.0) is True
        assert caplog.text.count("no thread can be started") == 1
        enqueue(delivery, ["last"])
        assert delivery.shutdown(5.0) is True
    assert len(names(receiver)) == 101


def test_a_worker_that_died_is_replaced(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with delivering(receiver) as delivery:
        with monkeypatch.context() as deadly:
            deadly.setattr(threading, "excepthook", lambda _: None)
            deadly.setattr(Worker, "_run_safely", lambda _: next(iter(())))
            enqueue(delivery, ["one"])
            wait_for(lambda: workers() == [])
        enqueue(delivery, ["two"])
        receiver.wait_for(lambda r: names(r) == ["one", "two"])


@pytest.mark.quiet_guard
@pytest.mark.parametrize("error", [SystemExit, MemoryError, ValueError])
def test_a_worker_survives_any_exception(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    send = HttpTransport.send
    failures = iter([error("surprise")])

    def surprising(self: HttpTransport, body: bytes, deadline: float) -> Any:
        for failure in failures:
            raise failure
        return send(self, body, deadline)

    monkeypatch.setattr(HttpTransport, "send", surprising)
    with delivering(receiver) as delivery:
        enqueue(delivery, range(10))
        receiver.wait_for(lambda r: len(r.spans) == 10)
        assert balance(figures(delivery)) == 0


@pytest.mark.slow
def test_many_threads_may_enqueue_while_others_flush(receiver: Receiver) -> None:
    with delivering(receiver, span_batch_items=100) as delivery:
        threads = [threading.Thread(target=enqueue, args=(delivery, range(500))) for _ in range(8)]
        flushing = [threading.Thread(target=delivery.force_flush, args=(10.0,)) for _ in range(4)]
        for thread in (*threads, *flushing):
            thread.start()
        for thread in (*threads, *flushing):
            thread.join()
        assert delivery.shutdown(10.0) is True
        wait_for(lambda: workers() == [])
    assert Counter(names(receiver)) == Counter({str(index): 8 for index in range(500)})


@pytest.mark.slow
def test_a_signal_handler_may_enqueue_during_an_enqueue(receiver: Receiver) -> None:
    signals = 0
    with delivering(receiver, span_delay=600.0, span_batch_items=100_000) as delivery:
        item = a_span("from the handler")

        def handler(*_: object) -> None:
            nonlocal signals
            signals += 1
            delivery.enqueue(*item)

        before = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        try:
            enqueue(delivery, range(3000))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)
        stats = figures(delivery)
        assert signals > 10
        assert stats.accepted == stats.queue_items == 3000 + signals
        queue = delivery._queues[Signal.TRACES]
        batch = queue.take(stats.queue_items, stats.queue_bytes * 2)
        assert batch is not None
        assert stats.queue_bytes == sum(map(len, batch.items))
        assert queue.requeue(batch)


@pytest.mark.quiet_guard
def test_enqueue_never_raises(receiver: Receiver) -> None:
    with delivering(receiver) as delivery:
        nonsense: Any = None
        assert delivery.enqueue(nonsense, nonsense, nonsense) is False
        assert delivery.enqueue(Signal.TRACES, SCOPE, nonsense) is False


def test_an_outage_leaks_no_memory() -> None:
    with refusing() as url, delivering(url) as delivery:
        enqueue(delivery, range(100))
        wait_for(lambda: figures(delivery).retries >= 1)
        error = figures(delivery).last_error
        assert error is not None
        assert "refused" in error
        assert figures(delivery).queue_items == 100
