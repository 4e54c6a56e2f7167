"""The queue: bounded in items and bytes, first in first out, every item counted."""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from blogauto_otel.export.queue import Batch, Queue, group_by_scope
from blogauto_otel.otlp import drop_reasons

MAX_ITEMS, MAX_BYTES, MAX_ITEM = 8, 100, 40
SCOPES = [b"one", b"two"]


def small(**bounds: int) -> Queue:
    given = {"max_items": MAX_ITEMS, "max_bytes": MAX_BYTES, "max_item": MAX_ITEM, "wake_items": 4, "wake_bytes": 60}
    return Queue(**{**given, **bounds})


class Accounts(RuleBasedStateMachine):
    """A queue compared with a simple model: a list, and counters."""

    batches: Bundle[Batch] = Bundle("batches")

    def __init__(self) -> None:
        super().__init__()
        self.queue = small()
        self.waiting: list[bytes] = []
        self.in_flight: list[Batch] = []
        self.counts: Counter[str] = Counter()
        self.serial = 0
        self.closed = False

    def _trim(self) -> None:
        while self.waiting and (self._count() > MAX_ITEMS or self._bytes() > MAX_BYTES):
            self.waiting.pop(0)
            self.counts[drop_reasons.QUEUE_FULL] += 1

    def _count(self) -> int:
        return len(self.waiting) + sum(map(len, self.in_flight))

    def _bytes(self) -> int:
        return sum(map(len, self.waiting)) + sum(batch.size for batch in self.in_flight)

    @rule(size=st.integers(4, 45), scope=st.sampled_from(SCOPES))
    def put(self, size: int, scope: bytes) -> None:
        self.serial += 1
        item = b"%04d" % self.serial + b"." * (size - 4)
        taken = self.queue.put(scope, item)
        if self.closed:
            self.counts[drop_reasons.AFTER_SHUTDOWN] += 1
            assert taken is None
        elif size + len(scope) > MAX_ITEM:
            self.counts[drop_reasons.TOO_LARGE] += 1
            assert taken is None
        else:
            assert taken is not None
            self.waiting.append(item)
            self.counts["accepted"] += 1
            self._trim()

    @rule(target=batches, items=st.integers(1, 6), size=st.integers(1, 80))
    def take(self, items: int, size: int) -> Batch:
        batch = self.queue.take(items, size)
        if batch is None:
            assert not self.waiting
            return Batch()
        assert batch.items == self.waiting[: len(batch)]
        assert len(batch) <= items
        assert batch.size <= size or len(batch) == 1
        del self.waiting[: len(batch)]
        self.in_flight.append(batch)
        return batch

    @rule(batch=consumes(batches))
    def ack(self, batch: Batch) -> None:
        if batch in self.in_flight:
            self.in_flight.remove(batch)
            assert self.queue.ack(batch)
            self.counts["sent"] += len(batch)
        elif batch.items:
            assert not self.queue.ack(batch)

    @rule(batch=consumes(batches))
    def requeue(self, batch: Batch) -> None:
        if batch in self.in_flight:
            self.in_flight.remove(batch)
            self.queue.requeue(batch)
            self.waiting[:0] = batch.items
            self._trim()

    @rule()
    def discard(self) -> None:
        assert self.queue.drop_waiting(drop_reasons.SUPERSEDED) == len(self.waiting)
        self.counts[drop_reasons.SUPERSEDED] += len(self.waiting)
        self.waiting.clear()

    @rule()
    def drop_all(self) -> None:
        assert self.queue.drop_all(drop_reasons.SHUTDOWN) == self._count()
        self.counts[drop_reasons.SHUTDOWN] += self._count()
        self.waiting.clear()
        self.in_flight.clear()

    @rule()
    def close(self) -> None:
        self.queue.close()
        self.closed = True

    @invariant()
    def every_item_is_counted(self) -> None:
        queue, counts = self.queue, self.counts
        assert len(queue) == len(self.waiting)
        assert queue.unacknowledged == self._count()
        assert queue.bytes == self._bytes() <= MAX_BYTES
        assert queue.unacknowledged <= MAX_ITEMS
        assert (queue.oldest is None) == (not self.waiting)
        dropped = {reason: count for reason, count in counts.items() if count and reason not in {"accepted", "sent"}}
        assert queue.dropped == dropped
        after = sum(
            dropped.get(reason, 0)
            for reason in (drop_reasons.QUEUE_FULL, drop_reasons.SUPERSEDED, drop_reasons.SHUTDOWN)
        )
        assert queue.accepted == counts["accepted"] == counts["sent"] + after + queue.unacknowledged


Accounts.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAccounts: Any = Accounts.TestCase


def test_a_full_batch_that_still_waits_wakes_the_worker_again() -> None:
    queue = small(max_bytes=10_000)
    wakes = [queue.put(b"", b"x") for _ in range(4)]
    assert wakes[-1]  # an exception of a signal handler may come before the worker is woken
    time.sleep(0.06)
    assert queue.put(b"", b"x")


def test_the_worker_is_woken_by_the_first_item_and_by_a_full_batch_only() -> None:
    queue = small(max_bytes=10_000)
    assert [queue.put(b"", b"x") for _ in range(6)] == [True, False, False, True, False, False]
    bytes_ = small(max_items=100, wake_items=50)
    assert [bytes_.put(b"", b"x" * 20) for _ in range(4)] == [True, False, True, False]


def test_the_worker_is_woken_at_the_same_items_while_a_batch_is_in_flight() -> None:
    queue = small(max_items=100, max_bytes=10_000)
    assert queue.put(b"", b"x") is True
    batch = queue.take(10, 1000)
    assert batch is not None
    assert [queue.put(b"", b"x") for _ in range(6)] == [True, False, False, True, False, False]
    assert queue.ack(batch)
    assert queue.put(b"", b"x") is False


def test_the_high_water_is_the_most_items_that_waited_at_once() -> None:
    queue = small(max_items=5, max_bytes=10_000)
    for _ in range(4):
        queue.put(b"", b"x")
    assert queue.high_water == 4
    assert queue.take(3, 1000) is not None
    assert (len(queue), queue.high_water) == (1, 4)
    for _ in range(3):
        queue.put(b"", b"x")
    assert queue.high_water == 4
    queue.drop_waiting("test")
    assert (len(queue), queue.high_water) == (0, 4)


def test_queued_items_are_invisible_to_the_garbage_collector() -> None:
    queue = Queue(max_items=10**6, max_bytes=10**9, max_item=10**6, wake_items=10**6, wake_bytes=10**9)
    gc.collect()
    before = len(gc.get_objects())
    for index in range(10_000):
        queue.put(b"scope", b"%d" % index)
    assert len(gc.get_objects()) - before < 100


def test_put_may_be_interrupted_by_another_put_in_the_same_thread() -> None:
    """A signal handler that logs, a finalizer that ends a span: both run in the thread that holds the lock."""
    queue = small()
    with queue._lock:
        assert queue.put(b"", b"x") is True
    assert queue.accepted == 1


def test_many_threads_lose_no_item_and_no_byte() -> None:
    queue = Queue(max_items=1000, max_bytes=50_000, max_item=1000, wake_items=100, wake_bytes=10_000)
    sent: list[int] = []
    done = threading.Event()

    def put() -> None:
        for _ in range(2000):
            queue.put(b"scope", b"x" * 60)

    def take() -> None:
        turn = 0
        while not (done.is_set() and len(queue) == 0):
            batch = queue.take(50, 5000)
            if batch is None:
                continue
            turn += 1
            if turn % 3 == 0 and not done.is_set():
                queue.requeue(batch)
            else:
                assert queue.ack(batch)
                sent.append(len(batch))

    writers = [threading.Thread(target=put) for _ in range(4)]
    reader = threading.Thread(target=take)
    for thread in (*writers, reader):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert queue.accepted == 8000
    assert sum(sent) + queue.dropped.get(drop_reasons.QUEUE_FULL, 0) == 8000
    assert (queue.bytes, queue.unacknowledged) == (0, 0)


def test_items_are_grouped_by_scope_in_order() -> None:
    batch = Batch([b"a", b"1", 0.0, b"b", b"2", 0.0, b"a", b"3", 0.0])
    assert group_by_scope(batch) == {b"a": [b"1", b"3"], b"b": [b"2"]}


def test_scopes_count_into_the_size_of_a_request() -> None:
    queue = small(max_items=100, max_bytes=10_000, max_item=1000)
    for index in range(10):
        queue.put(b"scope %d" % index + b"." * 100, b"x")
    batch = queue.take(100, 500)
    assert batch is not None
    assert len(batch) == 4
