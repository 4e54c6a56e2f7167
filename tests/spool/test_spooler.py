"""The spooler: unsent items are on disk within seconds, and are replayed when the Collector is available."""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from blogauto_otel.export.pipeline import Delivery
from blogauto_otel.export.queue import Batch
from blogauto_otel.export.retry import RetryPolicy, Timing
from blogauto_otel.export.signal_exporter import SignalExporter
from blogauto_otel.export.stats import SignalStats, SpoolStats
from blogauto_otel.otlp import drop_reasons
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.spool.disk import Disk
from blogauto_otel.spool.file_format import StoredRequest
from testkit import receiver as peer
from testkit.forking import in_child
from testkit.receiver import Receiver
from tests.export.delivery import SCOPE, a_span, delivering, enqueue, names, quick_timing, wait_for, without_threads
from tests.export.peers import refusing
from tests.export.test_fork import CHILD
from tests.spool.failing_disk import contents, free_files

Deliver = Callable[..., AbstractContextManager[Delivery]]

QUICK = quick_timing()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def deliver(tmp_path: Path) -> Deliver:
    def deliver(to: Receiver | str, *, timing: Timing = QUICK, **settings: Any) -> AbstractContextManager[Delivery]:
        return delivering(to, timing=timing, **{"spool_dir": str(tmp_path), **settings})

    return deliver


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "blogauto-backend.development"


def figures(delivery: Delivery, of: Signal = Signal.TRACES) -> SignalStats:
    return delivery.stats().signals[of]


def spool(delivery: Delivery) -> SpoolStats:
    stats = delivery.stats().spool
    assert stats is not None
    return stats


def balance(stats: SignalStats) -> int:
    aside = {drop_reasons.TOO_LARGE, drop_reasons.UNSERIALISABLE, drop_reasons.AFTER_SHUTDOWN, drop_reasons.SPOOL_FULL}
    dropped = sum(count for reason, count in stats.dropped.items() if reason not in aside)
    return stats.accepted - stats.sent - stats.spooled - stats.queue_items - dropped


def is_redelivered(receiver: Receiver) -> set[object]:
    return {span.resource.get("blogauto.redelivered") for span in receiver.spans}


# --- away, and back ---------------------------------------------------------------------------------------------------


def test_without_an_outage_there_is_no_directory(receiver: Receiver, deliver: Deliver, directory: Path) -> None:
    with deliver(receiver) as delivery:
        enqueue(delivery, range(100))
        receiver.wait_for(lambda r: len(r.spans) == 100)
        assert delivery.force_flush(5.0)
        assert delivery.shutdown(5.0)
    assert not directory.exists()
    assert is_redelivered(receiver) == {None}


@pytest.mark.parametrize("trouble", ["refused", "unavailable", "later"])
def test_an_outage_loses_nothing_repeats_nothing_and_preserves_the_order(
    receiver: Receiver, deliver: Deliver, directory: Path, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with deliver(receiver) as delivery:
        enqueue(delivery, range(10))
        receiver.wait_for(lambda r: len(r.spans) == 10)
        _make(receiver, trouble)
        for start in range(10, 510, 50):
            enqueue(delivery, range(start, start + 50))
            time.sleep(0.1)
        wait_for(lambda: figures(delivery).spooled == 500)
        assert figures(delivery).queue_items == 0  # memory holds no more than it must
        _mend(receiver, trouble)
        receiver.wait_for(lambda r: len(r.spans) == 510, timeout=20.0)
        wait_for(lambda: figures(delivery).redelivered == 500)
        wait_for(lambda: spool(delivery).files == 0)
        stats = figures(delivery)
    assert names(receiver) == [str(number) for number in range(510)]
    assert is_redelivered(receiver) == {None, True}
    assert {span.resource["service.instance.id"] for span in receiver.spans} == {"parent"}
    assert (stats.dropped, balance(stats)) == ({}, 0)
    assert free_files(directory) == []
    assert "lost" not in caplog.text
    assert caplog.text.count("cannot deliver") == 1


def _make(receiver: Receiver, trouble: str) -> None:
    if trouble == "refused":
        receiver.stop()
    else:
        receiver.answer(peer.status(503, retry_after=1 if trouble == "later" else None))


def _mend(receiver: Receiver, trouble: str) -> None:
    receiver.thaw()
    receiver.answer(peer.ok())
    if trouble == "refused":
        receiver.start()


def test_a_short_overload_writes_no_file(receiver: Receiver, deliver: Deliver, directory: Path) -> None:
    receiver.answer(peer.status(503), times=4)
    with deliver(receiver, timing=quick_timing(overload_window=20.0, spool_after=20.0)) as delivery:
        enqueue(delivery, range(100))
        wait_for(lambda: figures(delivery).sent == 100)
    assert not directory.exists()


def test_a_retry_after_beyond_the_overload_window_stores_the_items(receiver: Receiver, deliver: Deliver) -> None:
    """It will be asked again after half a minute: nothing else reminds us of what waits meanwhile."""
    receiver.answer(peer.status(503, retry_after=30))
    with deliver(receiver, timing=quick_timing(spool_after=20.0, rescan_idle=20.0, jitter=0.0)) as delivery:
        enqueue(delivery, range(10))
        wait_for(lambda: figures(delivery).spooled == 10, timeout=5.0)
    assert len(receiver.requests) == 1


def test_a_receiver_that_hangs_does_not_block_the_disk(receiver: Receiver, deliver: Deliver, directory: Path) -> None:
    """A batch in flight has a copy, and later items are stored, while the request still waits."""
    receiver.answer(peer.silence())
    with deliver(receiver, timeout=30.0) as delivery:
        enqueue(delivery, range(10))
        receiver.wait_for(lambda r: r.requests)
        enqueue(delivery, range(10, 20))
        wait_for(lambda: sum(request.items for request in contents(directory)) == 20 if directory.exists() else False)
        assert len(list(directory.glob("*.claim-*"))) == 1  # claimed while the request may succeed
        assert figures(delivery).queue_items == 10
        delivery.shutdown(0.5)
        assert (figures(delivery).spooled, figures(delivery).dropped, balance(figures(delivery))) == (20, {}, 0)
    receiver.answer(peer.ok())
    receiver.clear()
    with deliver(receiver) as delivery:
        delivery.start()
        receiver.wait_for(lambda r: len(r.spans) == 20)
    assert sorted(map(int, names(receiver))) == list(range(20))


def test_a_late_response_deletes_the_copy(receiver: Receiver, deliver: Deliver, directory: Path) -> None:
    receiver.answer(peer.delay(1.5), times=1)
    with deliver(receiver) as delivery:
        enqueue(delivery, range(10))
        wait_for(lambda: directory.exists() and len(contents(directory)) == 1)
        receiver.wait_for(lambda r: len(r.spans) == 10)
        wait_for(lambda: figures(delivery).sent == 10)  # the copy is counted before that, and deleted after it
        wait_for(lambda: spool(delivery).files == 0)
        assert contents(directory) == []
        assert figures(delivery).spooled == 0
    assert names(receiver) == [str(number) for number in range(10)]


def test_a_lost_acknowledgement_costs_a_duplicate_never_an_item(receiver: Receiver, deliver: Deliver) -> None:
    receiver.stop()
    with deliver(receiver) as delivery:
        enqueue(delivery, range(10))
        wait_for(lambda: figures(delivery).spooled == 10)
        receiver.answer(peer.lost_acknowledgement(), times=1)
        receiver.start()
        wait_for(lambda: figures(delivery).redelivered == 10)
    assert Counter(names(receiver)) == Counter({str(number): 2 for number in range(10)})


def test_many_small_batches_are_written_to_few_files(receiver: Receiver, deliver: Deliver, directory: Path) -> None:
    """Hours of an outage with little traffic: a file a second would be tens of thousands."""
    receiver.stop()
    with deliver(receiver) as delivery:
        for number in range(12):
            enqueue(delivery, [str(number)])
            wait_for(lambda number=number: figures(delivery).spooled == number + 1)  # type: ignore[misc]
        assert spool(delivery).files <= 3  # one that is added to; another for each attempt to send it
        receiver.start()
        receiver.wait_for(lambda r: len(r.spans) == 12)
    assert names(receiver) == [str(number) for number in range(12)]


def test_all_three_signals_are_replayed(receiver: Receiver, deliver: Deliver) -> None:
    receiver.stop()
    with deliver(receiver) as delivery:
        delivery.enqueue(*a_span("span"))
        delivery.enqueue(Signal.LOGS, SCOPE, b"\x12\x00")
        wait_for(lambda: figures(delivery).spooled == figures(delivery, Signal.LOGS).spooled == 1)
        receiver.start()
        receiver.wait_for(lambda r: len(r.spans) == len(r.logs) == 1)


# --- a queue that fills -----------------------------------------------------------------------------------------------


def test_a_burst_goes_to_disk_before_anything_is_dropped(receiver: Receiver, deliver: Deliver) -> None:
    receiver.answer(peer.delay(2.0), times=1)
    with deliver(
        receiver, timing=quick_timing(spool_after=60.0), span_queue_items=4000, span_batch_items=500
    ) as delivery:
        for start in range(0, 10_000, 500):
            enqueue(delivery, range(start, start + 500))
            time.sleep(0.01)
        receiver.wait_for(lambda r: len(r.spans) == 10_000, timeout=30.0)
        wait_for(lambda: figures(delivery).sent + figures(delivery).redelivered == 10_000)
        stats = figures(delivery)
    assert Counter(names(receiver)) == Counter(map(str, range(10_000)))
    assert (stats.dropped, balance(stats)) == ({}, 0)
    assert stats.spooled > 1000


def test_large_items_lift_a_queue_above_its_watermark(deliver: Deliver) -> None:
    with refusing() as url, deliver(url, queue_bytes=400_000, span_delay=600.0) as delivery:
        for number in range(300):
            delivery.enqueue(*a_span(str(number), size=4000))
            time.sleep(0.002)
        wait_for(lambda: figures(delivery).queue_bytes < 210_000)
        assert figures(delivery).dropped == {}
        assert figures(delivery).spooled > 100


def test_over_the_limit_of_the_spool_the_oldest_are_dropped_counted_and_logged(
    receiver: Receiver, deliver: Deliver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.stop()
    with deliver(receiver, spool_bytes=65_536, span_batch_items=20) as delivery:
        for start in range(0, 200, 20):
            for number in range(start, start + 20):
                delivery.enqueue(*a_span(os.urandom(400).hex() + f" {number}"))
            wait_for(lambda start=start: figures(delivery).spooled == start + 20)  # type: ignore[misc]
        lost = figures(delivery).dropped[drop_reasons.SPOOL_FULL]
        assert 0 < lost < 200
        assert spool(delivery).bytes <= 65_536
        receiver.start()
        receiver.wait_for(lambda r: len(r.spans) == 200 - lost)
        wait_for(lambda: spool(delivery).files == 0)
        assert balance(figures(delivery)) == 0
    received = [int(name.split()[1]) for name in names(receiver)]
    assert received == sorted(received)
    assert received[-100:] == list(range(100, 200))  # an older file may be there: it was claimed, so not dropped
    assert "traces are being lost: spool_full" in caplog.text


# --- flush and end ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["refused", "silent", "frozen", "dripping"])
def test_at_shutdown_unsent_items_are_stored_and_delivered_by_the_next_start(
    receiver: Receiver, deliver: Deliver, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    if trouble == "refused":
        receiver.stop()
    elif trouble == "frozen":
        receiver.freeze()
    else:
        receiver.answer({"silent": peer.silence(), "dripping": peer.drip(0.2)}[trouble])
    with deliver(receiver, span_delay=600.0, log_delay=600.0) as delivery:
        enqueue(delivery, range(10))
        delivery.enqueue(Signal.LOGS, SCOPE, b"\x12\x00")
        started = time.monotonic()
        assert delivery.shutdown(4.0) is True  # nothing is lost
        assert time.monotonic() - started < 2.0 + 1.0  # the second is a loaded machine's
        assert (figures(delivery).spooled, figures(delivery).dropped, balance(figures(delivery))) == (10, {}, 0)
    assert caplog.text.count("kept on disk for the next start") == 1
    assert "10 traces, 1 logs" in caplog.text
    assert "lost" not in caplog.text
    _mend(receiver, trouble)
    receiver.clear()
    with deliver(receiver) as delivery:
        delivery.start()
        wait_for(lambda: figures(delivery).redelivered == 10 and figures(delivery, Signal.LOGS).redelivered == 1)
        wait_for(lambda: spool(delivery).files == 0)
    assert Counter(names(receiver)) >= Counter(map(str, range(10)))  # who was frozen may take the first request as well
    assert True in is_redelivered(receiver)


def test_a_process_may_go_on_after_spool_pending(receiver: Receiver, deliver: Deliver) -> None:
    """A lifespan ends, and the process may be killed; it may also begin another lifespan."""
    receiver.stop()
    with deliver(receiver, span_delay=600.0) as delivery:
        enqueue(delivery, range(10))
        assert delivery.force_flush(5.0) is False
        assert delivery.spool_pending() is True
        assert (figures(delivery).spooled, figures(delivery).queue_items) == (10, 0)
        assert delivery.spool_pending() is True
        receiver.start()
        enqueue(delivery, range(10, 20))
        assert delivery.force_flush(5.0) is True
        receiver.wait_for(lambda r: len(r.spans) == 20)
    assert sorted(map(int, names(receiver))) == list(range(20))


def test_without_a_disk_shutdown_counts_and_logs_what_is_lost(
    deliver: Deliver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with refusing() as url, deliver(url, spool_dir=str(tmp_path / "file"), span_delay=600.0) as delivery:
        enqueue(delivery, range(10))
        assert delivery.shutdown(4.0) is False
        assert figures(delivery).dropped == {drop_reasons.SHUTDOWN: 10}
    assert "lost: 10 traces" in caplog.text
    assert caplog.text.count("cannot be kept on disk") == 1


@pytest.mark.parametrize("spool_dir", ["off", "file"])
def test_without_a_disk_items_left_in_memory_by_a_lifespan_are_logged(
    deliver: Deliver, tmp_path: Path, caplog: pytest.LogCaptureFixture, spool_dir: str
) -> None:
    """uvicorn ends the process with the signal that it was sent: no code of ours runs after the lifespan."""
    (tmp_path / "file").write_text("")
    place = spool_dir if spool_dir == "off" else str(tmp_path / "file")
    with refusing() as url, deliver(url, spool_dir=place, span_delay=600.0) as delivery:
        enqueue(delivery, range(10))
        assert delivery.force_flush(4.0) is False
        assert delivery.spool_pending() is False
        assert caplog.text.count("and lost: 10 traces, unless it goes on") == 1
        assert figures(delivery).queue_items == 10  # it may go on


THE_LAST_WORD: dict[str, Callable[[Delivery], object]] = {
    "flush": lambda delivery: delivery.force_flush(1.0),
    "lifespan": lambda delivery: delivery.spool_pending(),
    "end": lambda delivery: delivery.shutdown(1.0),
}


@pytest.mark.parametrize("last", THE_LAST_WORD)
def test_drops_just_before_the_end_are_logged(deliver: Deliver, last: str, caplog: pytest.LogCaptureFixture) -> None:
    with refusing() as url, deliver(url, spool_dir="off", span_queue_items=100, span_delay=600.0) as delivery:
        enqueue(delivery, ["first"])
        time.sleep(0.2)  # the worker has looked, and looks again in seconds
        enqueue(delivery, range(200))
        THE_LAST_WORD[last](delivery)
        assert caplog.text.count("traces are being lost: queue_full") == 1


def test_without_threads_a_flush_stores_what_it_cannot_send(
    deliver: Deliver, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    without_threads(monkeypatch)
    with refusing() as url, deliver(url) as delivery:
        enqueue(delivery, range(10))
        assert delivery.force_flush(5.0) is False
        assert figures(delivery).spooled == 10
        enqueue(delivery, range(10, 15))
        assert delivery.shutdown(5.0) is True
    assert sum(request.items for request in contents(directory)) == 15


def test_a_disk_that_hangs_blocks_neither_sending_nor_shutdown(
    receiver: Receiver, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, release = threading.Event(), threading.Event()

    def hang(*_: object) -> int:
        hanging.set()
        release.wait(30.0)
        raise OSError("at last")

    monkeypatch.setattr(Disk, "create", hang)
    receiver.stop()
    with deliver(receiver) as delivery:
        enqueue(delivery, range(10))
        assert hanging.wait(10.0)
        receiver.start()
        enqueue(delivery, range(10, 20))
        receiver.wait_for(lambda r: len(r.spans) >= 10)
        started = time.monotonic()
        delivery.shutdown(3.0)
        assert time.monotonic() - started < 6.0
        release.set()


def make_slow(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """A disk that takes so long for each file."""
    create = Disk.create

    def slowly(*arguments: Any) -> int:
        time.sleep(seconds)
        return create(*arguments)

    monkeypatch.setattr(Disk, "create", slowly)


def test_a_slow_disk_has_the_rest_of_the_timeout(
    deliver: Deliver, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_slow(monkeypatch, 1.5)
    with refusing() as url, deliver(url) as delivery:
        enqueue(delivery, range(10))
        assert delivery.shutdown(8.0) is True
    assert sum(request.items for request in contents(directory)) == 10


def test_spool_pending_waits_for_a_slow_disk_until_its_timeout(
    deliver: Deliver, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_slow(monkeypatch, 1.5)
    with refusing() as url, deliver(url, span_delay=600.0) as delivery:
        enqueue(delivery, range(10))
        assert delivery.force_flush(4.0) is False
        assert delivery.spool_pending(8.0) is True
        assert sum(request.items for request in contents(directory)) == 10


def test_without_threads_a_slow_disk_does_not_delay_shutdown(
    deliver: Deliver, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_threads(monkeypatch)
    make_slow(monkeypatch, 0.5)
    with refusing() as url, deliver(url, span_batch_items=1) as delivery:
        enqueue(delivery, range(50))
        started = time.monotonic()
        assert delivery.shutdown(2.0) is False
        assert time.monotonic() - started < 10.0  # all of it takes 25
        stats = figures(delivery)
        assert stats.spooled + stats.dropped[drop_reasons.SHUTDOWN] == 50
        assert sum(request.items for request in contents(directory)) == stats.spooled > 0


def test_a_response_after_the_flush_counts(
    receiver: Receiver, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answer(peer.delay(1.0))
    create = Disk.create
    with deliver(receiver, timing=quick_timing(spool_after=60.0, store_at_least=20.0)) as delivery:

        def once_it_has_come(*arguments: Any) -> int:
            wait_for(lambda: figures(delivery).sent == 1)
            return create(*arguments)

        monkeypatch.setattr(Disk, "create", once_it_has_come)
        enqueue(delivery, ["one"])
        receiver.wait_for(lambda r: r.requests)
        assert delivery.shutdown(0.3) is True
        assert (figures(delivery).sent, figures(delivery).spooled, figures(delivery).dropped) == (1, 0, {})


def test_a_late_metric_collection_is_no_loss(deliver: Deliver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's own hung for longer than the end waited for it; then there was another."""
    hanging, release = threading.Event(), threading.Event()
    rename = Disk.rename

    def source() -> list[tuple[bytes, bytes]]:
        if not hanging.is_set():
            hanging.set()
            release.wait(60.0)
        return [(SCOPE, b"\x12\x00")]

    with refusing() as url, deliver(url, timing=quick_timing(spool_after=60.0), metric_interval=0.1) as delivery:

        def before_all_is_over(*arguments: Any) -> None:
            rename(*arguments)
            release.set()
            wait_for(lambda: not delivery._sender.running)

        monkeypatch.setattr(Disk, "rename", before_all_is_over)
        delivery.add_metric_source(source)
        delivery.start()
        assert hanging.wait(10.0)
        assert delivery.shutdown(20.0) is True
        stats = figures(delivery, Signal.METRICS)
        assert (stats.spooled, stats.dropped) == (1, {drop_reasons.AFTER_SHUTDOWN: 1})


def test_the_last_metrics_are_stored_while_the_name_of_the_receiver_does_not_resolve(
    receiver: Receiver, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has failed yet, and nothing newer has arrived: what was stored is still needed."""
    release = threading.Event()
    with monkeypatch.context() as unresolvable:
        unresolvable.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(30.0) and [])
        with deliver("http://localhost:4318", metric_interval=0.2) as delivery:
            delivery.add_metric_source(a_counter())
            delivery.start()
            wait_for(lambda: figures(delivery, Signal.METRICS).accepted == 1)
            assert delivery.force_flush(1.0) is False
            assert delivery.spool_pending() is True
            last = figures(delivery, Signal.METRICS).accepted
        release.set()
    with deliver(receiver) as delivery:
        delivery.start()
        receiver.wait_for(lambda r: last in values(r))


def test_after_shutdown_a_process_does_not_drain(receiver: Receiver, deliver: Deliver) -> None:
    leave_behind(deliver, 1)
    with deliver(receiver, timing=quick_timing(jitter=0.0)) as ended:
        assert ended.shutdown(1.0)
        assert ended._spooler is not None
        ended._spooler.run_once()  # its thread waited for the end to be done with the disk
        with deliver(receiver, timing=quick_timing(jitter=0.0)) as delivery:
            delivery.start()
            receiver.wait_for(lambda r: names(r) == ["1"])


def test_later_items_are_not_stored_before_a_batch_in_flight(
    deliver: Deliver, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_threads(monkeypatch)
    with refusing() as url, deliver(url) as delivery:
        spooler, exporter = delivery._spooler, delivery._exporters[Signal.TRACES]
        assert spooler is not None
        spool_of_signal = spooler._signals[Signal.TRACES]
        enqueue(delivery, range(10))
        spooler._store(spool_of_signal, in_flight=False)  # to a file that is added to
        enqueue(delivery, range(10, 20))
        assert exporter.take(10**6) is not None  # as a sender does that is about to wait for an answer
        enqueue(delivery, range(20, 30))
        spooler._store(spool_of_signal, in_flight=True)
        found = [span.name for request in contents(directory) for span in peer.decode_spans(request.content)]
    assert found == [str(number) for number in range(30)]


def _store_all(exporter: SignalExporter, batches: list[Batch]) -> None:
    for batch in batches:
        exporter.ack_stored(batch)


def test_items_stored_by_several_threads_are_counted_exactly(deliver: Deliver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spooler's, a flush's, and the sender's, whose request has failed."""
    without_threads(monkeypatch)
    with refusing() as url, deliver(url, span_batch_items=1, span_queue_items=20_000) as delivery:
        item = a_span()
        for _ in range(12_000):
            delivery.enqueue(*item)
        exporter = delivery._exporters[Signal.TRACES]
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            for _ in range(12):
                taken = [batch for _ in range(1000) if (batch := exporter.take(10**6))]
                threads = [threading.Thread(target=_store_all, args=(exporter, taken[part::4])) for part in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
        finally:
            sys.setswitchinterval(before)
        assert (figures(delivery).spooled, balance(figures(delivery))) == (12_000, 0)


# --- a disk in trouble ------------------------------------------------------------------------------------------------


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_and_an_unavailable_receiver_do_not_delay_another_signal(
    receiver: Receiver, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.stop()
    with refusing() as url, deliver(receiver, traces_endpoint=f"{url}/v1/traces") as delivery:
        for _ in range(10):
            delivery.enqueue(Signal.LOGS, SCOPE, b"\x12\x00")
        wait_for(lambda: figures(delivery, Signal.LOGS).spooled == 10)
        monkeypatch.setattr(Disk, "create", full)
        enqueue(delivery, range(10))
        wait_for(lambda: spool(delivery).errors)
        receiver.start()
        receiver.wait_for(lambda r: len(r.logs) == 10)
        wait_for(lambda: spool(delivery).files == 0)
        assert figures(delivery).queue_items == 10


def test_a_file_that_cannot_be_deleted_delays_neither_other_files_nor_writes(
    receiver: Receiver, deliver: Deliver, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_behind(deliver, 1, 2, 3)
    first = free_files(directory)[0].name
    unlink = Disk.unlink

    def stubborn(self: Disk, folder: int, name: str) -> None:
        if name.startswith(first):
            raise OSError(errno.EPERM, "Operation not permitted")
        unlink(self, folder, name)

    monkeypatch.setattr(Disk, "unlink", stubborn)
    with deliver(receiver) as delivery:
        delivery.start()
        receiver.wait_for(lambda r: names(r) == ["1", "2", "3"])
        wait_for(lambda: len(contents(directory)) == 1)
        receiver.stop()
        enqueue(delivery, range(10))
        wait_for(lambda: figures(delivery).spooled == 10)


def test_a_batch_in_flight_that_is_too_large_for_the_disk_does_not_delay_others(
    receiver: Receiver, deliver: Deliver
) -> None:
    receiver.answer(peer.silence())
    with deliver(receiver, timeout=30.0, spool_bytes=65_536) as delivery:
        delivery.enqueue(Signal.TRACES, SCOPE, os.urandom(100_000))
        receiver.wait_for(lambda r: r.requests)
        enqueue(delivery, range(10))
        wait_for(lambda: figures(delivery).spooled == 10)


def test_at_shutdown_a_batch_with_a_copy_is_not_lost(
    receiver: Receiver, deliver: Deliver, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answer(peer.silence())
    with deliver(receiver, timeout=30.0) as delivery:
        enqueue(delivery, range(10))
        wait_for(lambda: directory.exists() and sum(request.items for request in contents(directory)) == 10)
        monkeypatch.setattr(Disk, "create", full)
        enqueue(delivery, range(5))
        assert delivery.shutdown(0.5) is False
        assert (figures(delivery).spooled, figures(delivery).dropped) == (10, {drop_reasons.SHUTDOWN: 5})


def test_a_full_disk_is_logged_once_and_used_again_later(
    receiver: Receiver, deliver: Deliver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    receiver.stop()
    create = Disk.create
    monkeypatch.setattr(Disk, "create", full)
    with deliver(receiver) as delivery:
        enqueue(delivery, range(10))
        wait_for(lambda: spool(delivery).errors >= 2)
        assert (figures(delivery).queue_items, figures(delivery).dropped) == (10, {})
        assert caplog.text.count("cannot be kept on disk") == 1
        monkeypatch.setattr(Disk, "create", create)
        wait_for(lambda: figures(delivery).spooled == 10)
        receiver.start()
        receiver.wait_for(lambda r: len(r.spans) == 10)
    assert caplog.text.count("can be kept on disk again") == 1


def test_without_a_disk_a_full_queue_drops_the_oldest(
    deliver: Deliver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with refusing() as url, deliver(url, spool_dir=str(tmp_path / "file"), span_queue_items=100) as delivery:
        enqueue(delivery, range(1000))
        assert figures(delivery).queue_items <= 100
        assert balance(figures(delivery)) == 0
        assert figures(delivery).dropped[drop_reasons.QUEUE_FULL] >= 900


def test_damaged_files_are_quarantined_and_the_rest_is_delivered(
    receiver: Receiver, deliver: Deliver, directory: Path
) -> None:
    for number in range(3):
        with refusing() as url, deliver(url, span_delay=600.0) as delivery:
            enqueue(delivery, [str(number)] * 2)
            delivery.shutdown(1.0)
    damaged = free_files(directory)[1]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (directory / "foreign").write_text("?")
    with deliver(receiver) as delivery:
        delivery.start()
        receiver.wait_for(lambda r: len(r.spans) == 4)
        wait_for(lambda: spool(delivery).files == 0)
        assert spool(delivery).quarantined == 1
        assert figures(delivery).dropped == {drop_reasons.SPOOL_DAMAGED: 2}
    assert names(receiver) == ["0", "0", "2", "2"]


# --- what the receiver says of it -------------------------------------------------------------------------------------


def leave_behind(deliver: Deliver, *numbers: int) -> None:
    """Each in a file of its own, as processes that ended leave them."""
    for number in numbers:
        with refusing() as url, deliver(url, span_delay=600.0) as delivery:
            enqueue(delivery, [str(number)])
            assert delivery.shutdown(1.0)


def test_a_refused_stored_request_is_dropped_and_the_rest_is_sent(
    receiver: Receiver, deliver: Deliver, caplog: pytest.LogCaptureFixture
) -> None:
    leave_behind(deliver, 1, 2, 3)
    receiver.answer(peer.status(400), times=1)
    with deliver(receiver) as delivery:
        delivery.start()
        wait_for(lambda: figures(delivery).redelivered == 2)
        assert figures(delivery).dropped == {"http_400": 1}
    assert "kept on disk, and they are lost: HTTP 400" in caplog.text


def test_a_stored_request_that_is_to_be_retried_is_the_next_again(receiver: Receiver, deliver: Deliver) -> None:
    leave_behind(deliver, 1, 2, 3)
    receiver.answer(peer.status(503), times=1)
    with deliver(receiver, timing=quick_timing(rescan_busy=20.0)) as delivery:
        delivery.start()
        wait_for(lambda: figures(delivery).redelivered == 3)
    assert names(receiver) == ["1", "2", "3"]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_stored_requests_wait_until_endpoint_or_credentials_are_fixed(
    receiver: Receiver, deliver: Deliver, status: int
) -> None:
    leave_behind(deliver, 1, 2, 3)
    receiver.answer(peer.status(status))
    with deliver(receiver, timing=quick_timing(replay_after_refusal=0.5)) as delivery:
        delivery.start()
        receiver.wait_for(lambda r: len(r.requests) == 2, timeout=20.0)
        assert figures(delivery).dropped == {}
        receiver.clear()
        receiver.answer(peer.ok())
        receiver.wait_for(lambda r: len(r.spans) == 3)


def test_partial_success_is_counted(receiver: Receiver, deliver: Deliver) -> None:
    leave_behind(deliver, 1)
    receiver.answer(peer.partial_success(1, "too old"))
    with deliver(receiver) as delivery:
        delivery.start()
        wait_for(lambda: figures(delivery).dropped == {drop_reasons.REJECTED: 1})
        wait_for(lambda: spool(delivery).files == 0)
        assert figures(delivery).redelivered == 0


def test_replay_has_a_rate_limit(receiver: Receiver, deliver: Deliver) -> None:
    with (
        refusing() as url,
        deliver(
            url, timing=quick_timing(replay_bytes_per_second=1_000_000), span_delay=600.0, span_batch_items=100
        ) as delivery,
    ):
        for number in range(1000):
            delivery.enqueue(*a_span(str(number), size=2000))
        assert delivery.shutdown(2.0)
    with deliver(receiver, timing=quick_timing(replay_bytes_per_second=1_000_000)) as delivery:
        delivery.start()
        receiver.wait_for(lambda r: len(r.spans) == 1000, timeout=30.0)
    taken = receiver.requests[-1].time - receiver.requests[0].time
    assert taken > 1.5  # two megabytes


def test_new_items_do_not_wait_for_stored_ones(receiver: Receiver, deliver: Deliver) -> None:
    leave_behind(deliver, 1)
    with (
        refusing() as url,
        deliver(
            url, timing=quick_timing(replay_bytes_per_second=20_000), span_delay=600.0, span_batch_items=10
        ) as delivery,
    ):
        for number in range(100):
            delivery.enqueue(*a_span(str(number), size=2000))
        assert delivery.shutdown(2.0)
    with deliver(receiver, timing=quick_timing(replay_bytes_per_second=20_000)) as delivery:
        delivery.start()
        receiver.wait_for(lambda r: r.spans)
        enqueue(delivery, ["fresh"])
        receiver.wait_for(lambda r: "fresh" in names(r), timeout=5.0)
        assert len(names(receiver)) < 100


# --- metrics ----------------------------------------------------------------------------------------------------------


def a_counter() -> Any:
    from tests.export.test_pipeline import source

    return source()


def values(receiver: Receiver) -> list[object]:
    return [point.value for point in receiver.metrics]


def test_the_last_metric_collection_is_stored_and_delivered_by_the_next_start(
    receiver: Receiver, deliver: Deliver, directory: Path
) -> None:
    with refusing() as url, deliver(url, metric_interval=0.1) as delivery:
        delivery.add_metric_source(a_counter())
        delivery.start()
        wait_for(lambda: figures(delivery, Signal.METRICS).spooled >= 3)
        assert [request.items for request in contents(directory)] == [1]
        assert delivery.shutdown(2.0)
        last = figures(delivery, Signal.METRICS).accepted
        assert balance(figures(delivery, Signal.METRICS)) == 0
    with deliver(receiver) as delivery:
        delivery.start()
        receiver.wait_for(lambda r: r.metrics)
        wait_for(lambda: spool(delivery).files == 0)
    assert values(receiver) == [last]
    assert "blogauto.redelivered" not in receiver.metrics[0].resource  # it would make another series of them


def test_stored_metrics_are_deleted_when_newer_ones_are_delivered(
    receiver: Receiver, deliver: Deliver, directory: Path
) -> None:
    receiver.stop()
    with deliver(receiver, metric_interval=0.1) as delivery:
        delivery.add_metric_source(a_counter())
        delivery.start()
        wait_for(lambda: figures(delivery, Signal.METRICS).spooled >= 3)
        receiver.start()
        receiver.wait_for(lambda r: len(r.metrics) >= 3)
        wait_for(lambda: contents(directory) == [])
    found = values(receiver)
    assert found == sorted(found)  # type: ignore[type-var]


# --- its thread -------------------------------------------------------------------------------------------------------


BRIEF = quick_timing(linger=0.2, rescan_idle=60.0)


def has_thread(delivery: Delivery) -> bool:
    return delivery._spooler is not None and delivery._spooler.worker.running


def test_an_idle_process_has_one_thread(receiver: Receiver, deliver: Deliver) -> None:
    with deliver(receiver, timing=BRIEF) as delivery:
        enqueue(delivery, ["first"])
        receiver.wait_for(lambda r: names(r) == ["first"])
        wait_for(lambda: not has_thread(delivery))
        assert delivery._sender.running


def test_the_thread_runs_again_when_a_request_may_hang(receiver: Receiver, deliver: Deliver, directory: Path) -> None:
    with deliver(receiver, timing=BRIEF, timeout=30.0) as delivery:
        enqueue(delivery, ["first"])
        receiver.wait_for(lambda r: names(r) == ["first"])
        wait_for(lambda: not has_thread(delivery))
        receiver.answer(peer.silence())
        enqueue(delivery, range(10))
        wait_for(lambda: directory.exists() and sum(request.items for request in contents(directory)) == 10)


def test_items_are_stored_while_a_metric_callback_hangs(deliver: Deliver, directory: Path) -> None:
    """The callback began to hang when there was nothing to store, and the sender can start nothing any more."""
    hanging, release = threading.Event(), threading.Event()

    def source() -> list[tuple[bytes, bytes]]:
        hanging.set()
        release.wait(60.0)
        return []

    with refusing() as url, deliver(url, timing=BRIEF, metric_interval=0.1) as delivery:
        delivery.add_metric_source(source)
        delivery.start()
        assert hanging.wait(10.0)
        time.sleep(3 * BRIEF.spool.linger)
        enqueue(delivery, range(10))
        wait_for(lambda: directory.exists() and sum(request.items for request in contents(directory)) == 10)
        release.set()


def test_an_idle_process_delivers_what_an_ended_one_stored(receiver: Receiver, deliver: Deliver) -> None:
    timing = quick_timing(linger=0.2, rescan_idle=1.0)
    with deliver(receiver, timing=timing) as delivery:
        delivery.start()
        wait_for(lambda: not has_thread(delivery))
        leave_behind(deliver, 1, 2)
        receiver.wait_for(lambda r: names(r) == ["1", "2"])


# --- several processes, and forks -------------------------------------------------------------------------------------


def test_a_running_worker_delivers_what_an_ended_one_stored(receiver: Receiver, deliver: Deliver) -> None:
    with deliver(receiver) as delivery:
        enqueue(delivery, ["mine"])
        receiver.wait_for(lambda r: names(r) == ["mine"])
        leave_behind(deliver, 1, 2)
        receiver.wait_for(lambda r: names(r) == ["mine", "1", "2"])
        wait_for(lambda: figures(delivery).redelivered == 2)


def test_a_deployment_with_other_headers_does_not_deliver_what_this_one_stored(
    receiver: Receiver, deliver: Deliver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with refusing() as url, deliver(url, headers={"X-Scope-OrgID": "one"}, span_delay=600.0) as delivery:
        enqueue(delivery, ["of tenant one"])
        assert delivery.shutdown(1.0)
    with deliver(receiver, headers={"X-Scope-OrgID": "two"}) as delivery:
        enqueue(delivery, ["of tenant two"])
        wait_for(lambda: "is not delivered by this process" in caplog.text)
        receiver.wait_for(lambda r: r.spans)
        assert figures(delivery).redelivered == 0
    assert names(receiver) == ["of tenant two"]
    with deliver(receiver, headers={"X-Scope-OrgID": "one"}) as delivery:
        delivery.start()
        receiver.wait_for(lambda r: names(r) == ["of tenant two", "of tenant one"])
    assert receiver.requests[-1].headers["x-scope-orgid"] == "one"


def test_a_signal_without_exporter_is_not_drained(receiver: Receiver, deliver: Deliver, directory: Path) -> None:
    leave_behind(deliver, 1)
    with deliver(receiver, traces_exporter="none") as delivery:
        delivery.start()
        delivery.enqueue(Signal.LOGS, SCOPE, b"\x12\x00")
        receiver.wait_for(lambda r: r.logs)
        time.sleep(1.0)
    assert receiver.spans == ()
    assert len(free_files(directory)) == 1


def test_a_forked_child_stores_its_own_items_and_leaves_its_parents(
    receiver: Receiver, deliver: Deliver, directory: Path
) -> None:
    receiver.stop()
    with deliver(receiver) as delivery:
        enqueue(delivery, ["parent"])
        wait_for(lambda: figures(delivery).spooled == 1)
        [before] = [path.name.split(".")[0] for path in directory.glob("*.traces*")]

        def child() -> dict[str, Any]:
            delivery.after_fork_in_child(CHILD)
            enqueue(delivery, ["child"])
            wait_for(lambda: figures(delivery).spooled == 1)
            return {"complete": delivery.shutdown(2.0), "spooled": figures(delivery).spooled}

        assert in_child(child) == {"complete": True, "spooled": 1}
        assert len(list(directory.glob(f"{before}.*"))) == 1
        receiver.start()
        receiver.wait_for(lambda r: sorted(names(r)) == ["child", "parent"])
    for span in receiver.spans:
        assert span.resource["service.instance.id"] == span.name


def test_forks_while_the_disk_is_busy_lose_nothing(receiver: Receiver, deliver: Deliver) -> None:
    receiver.stop()
    stop = threading.Event()
    with deliver(receiver, span_queue_items=1000) as delivery:  # room for a second: this is not about bursts

        def load() -> None:
            number = 0
            while not stop.is_set():
                enqueue(delivery, [f"parent {number}"])
                number += 1
                stop.wait(0.001)

        thread = threading.Thread(target=load)
        thread.start()
        try:
            for number in range(10):

                def child(number: int = number) -> bool:
                    delivery.after_fork_in_child(CHILD)
                    enqueue(delivery, [f"child {number} {index}" for index in range(20)])
                    return delivery.shutdown(5.0)

                assert in_child(child) is True
        finally:
            stop.set()
            thread.join()
        accepted = figures(delivery).accepted
        receiver.start()
        receiver.wait_for(lambda r: len(set(names(r))) == accepted + 200, timeout=30.0)
        assert balance(figures(delivery)) == 0
        assert figures(delivery).dropped == {}
    found = Counter(name.split()[0] for name in names(receiver))
    assert found == {"parent": accepted, "child": 200}


# --- what a file holds ------------------------------------------------------------------------------------------------


def test_no_header_no_token_and_no_secret_is_on_disk(deliver: Deliver, tmp_path: Path) -> None:
    from opentelemetry.sdk.trace import ReadableSpan

    from blogauto_otel.config import Settings
    from blogauto_otel.otlp.encoder import Encoder
    from blogauto_otel.redaction import build_redactor
    from tests.otlp.decoding import CONTEXT

    encoder = Encoder(build_redactor(Settings()))
    span = ReadableSpan(
        "login", context=CONTEXT, start_time=1, end_time=2, attributes={"password": "canary-in-an-attribute"}
    )
    with (
        refusing() as url,
        deliver(
            url.replace("//", "//user:canary-in-the-url@"),
            headers={"authorization": "Bearer canary-in-a-header", "x-api-key": "canary-in-a-key"},
            span_delay=600.0,
        ) as delivery,
    ):
        delivery.enqueue(Signal.TRACES, SCOPE, encoder.span(span))
        delivery.shutdown(1.0)
    [directory] = tmp_path.iterdir()
    [request] = contents(directory)
    assert b"login" in request.content
    assert b"canary" not in request.content
    assert all(b"canary" not in path.read_bytes() for path in directory.iterdir())
    assert "canary" not in directory.name


def test_a_file_holds_a_request_ready_to_be_sent(deliver: Deliver, directory: Path) -> None:
    leave_behind(deliver, 1)
    [request] = contents(directory)
    assert isinstance(request, StoredRequest)
    [span] = peer.decode_spans(request.content)
    assert (span.name, span.scope) == ("1", "tests")
    assert span.resource == {"service.name": "shop", "service.instance.id": "parent", "blogauto.redelivered": True}


def test_metrics_are_collected_at_a_flush_while_a_request_hangs(receiver: Receiver, deliver: Deliver) -> None:
    with deliver(receiver, metric_interval=0.2) as delivery:
        delivery.add_metric_source(a_counter())
        delivery.start()
        receiver.wait_for(lambda r: r.metrics)
        receiver.answer(peer.silence())
        receiver.wait_for(lambda r: r.requests[-1].answered == 0)
        hangs = figures(delivery, Signal.METRICS).accepted
        time.sleep(RetryPolicy().flush_connect_timeout + 0.5)  # longer than a flush will wait for it
        assert not delivery.force_flush(1.0)
        assert delivery.spool_pending()
        last = figures(delivery, Signal.METRICS).accepted
        assert last > hangs
    receiver.answer(peer.ok())
    with deliver(receiver) as delivery:
        delivery.start()
        receiver.wait_for(lambda r: last in values(r))
