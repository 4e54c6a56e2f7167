"""A forked child starts empty: without the parent's items, locks and connections, with its own resource."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.resources import Resource

from blogauto_otel.export.pipeline import Delivery
from blogauto_otel.otlp.signal import Signal
from testkit import receiver as peer
from testkit.forking import in_child
from testkit.receiver import Receiver
from tests.export.delivery import await_workers_of_other_tests, delivering, enqueue, names, wait_for, workers

CHILD = Resource({"service.name": "shop", "service.instance.id": "child"})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def test_a_child_sends_only_its_own_items_with_its_own_resource(receiver: Receiver) -> None:
    with delivering(receiver, span_delay=600.0) as delivery:
        enqueue(delivery, ["parent"])

        def child() -> dict[str, object]:
            delivery.after_fork_in_child(CHILD)
            before = delivery.stats().as_dict()["traces"]
            enqueue(delivery, ["child"])
            return {
                "flushed": delivery.force_flush(10.0),
                "waited": before["queue_items"],
                "accepted": before["accepted"],
            }

        assert in_child(child) == {"flushed": True, "waited": 0, "accepted": 0}
        assert names(receiver) == ["child"]
        assert receiver.spans[0].resource["service.instance.id"] == "child"
        assert delivery.force_flush(10.0)
    assert names(receiver) == ["child", "parent"]
    assert receiver.spans[1].resource["service.instance.id"] == "parent"


def test_a_child_starts_a_worker_of_its_own(receiver: Receiver) -> None:
    await_workers_of_other_tests()
    with delivering(receiver) as delivery:
        enqueue(delivery, ["parent"])
        receiver.wait_for(lambda r: names(r) == ["parent"])
        assert len(workers()) == 1

        def child() -> int:
            delivery.after_fork_in_child(CHILD)
            enqueue(delivery, ["child"])
            wait_for(lambda: delivery.stats().signals[Signal.TRACES].sent == 1)
            return len(workers())

        assert in_child(child) == 1
    assert names(receiver) == ["parent", "child"]


def test_parent_and_child_share_no_connection(receiver: Receiver) -> None:
    """Two processes on one socket mix their requests, and each may read the other's answer."""
    with delivering(receiver) as delivery:
        enqueue(delivery, ["before"])
        assert delivery.force_flush(10.0)

        def child() -> bool:
            delivery.after_fork_in_child(CHILD)
            enqueue(delivery, [f"child {index}" for index in range(50)])
            return delivery.force_flush(10.0)

        assert in_child(child)
        enqueue(delivery, ["after"])
        assert delivery.force_flush(10.0)
        assert receiver.connections == 2  # the parent's connection stays open
    assert len(names(receiver)) == 52


def test_a_child_forked_in_the_middle_of_anything_does_not_hang(receiver: Receiver) -> None:
    """Every lock is held by a thread that the child does not have."""
    with delivering(receiver) as delivery:
        receiver.answer(peer.silence())
        enqueue(delivery, ["parent"])
        receiver.wait_for(lambda r: r.requests)  # the worker holds the lock, and waits in the socket
        receiver.answer(peer.ok())
        release = _hold_all_locks(delivery)

        def child() -> bool:
            delivery.after_fork_in_child(CHILD)
            enqueue(delivery, ["child"])
            return delivery.force_flush(10.0) and delivery.shutdown(5.0)

        try:
            assert in_child(child)
        finally:
            release.set()
    assert "child" in names(receiver)


def _hold_all_locks(delivery: Delivery) -> threading.Event:
    locked, release = threading.Event(), threading.Event()

    def hold() -> None:
        locks = [queue._lock for queue in delivery._queues.values()]
        for lock in locks:
            lock.acquire()
        with delivery._sender._starting:
            locked.set()
            release.wait(30.0)
        for lock in locks:
            lock.release()

    threading.Thread(target=hold, daemon=True).start()
    locked.wait()
    return release


def test_forks_under_load_lose_nothing(receiver: Receiver) -> None:
    stop = threading.Event()
    with delivering(receiver, span_batch_items=50) as delivery:

        def load() -> None:
            for index in range(100_000):
                if stop.is_set():
                    return
                enqueue(delivery, [f"parent {index}"])
                stop.wait(0.0005)

        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(20):

            def child(number: int = number) -> bool:
                delivery.after_fork_in_child(CHILD)
                enqueue(delivery, [f"child {number} {index}" for index in range(20)])
                return delivery.shutdown(10.0)

            assert in_child(child) is True
        stop.set()
        for thread in threads:
            thread.join()
        assert delivery.shutdown(20.0) is True
        accepted = delivery.stats().signals[Signal.TRACES].accepted
    found = Counter(span.name.split()[0] for span in receiver.spans)
    assert found == {"parent": accepted, "child": 400}
    for span in receiver.spans:  # each item has the resource of its own process
        assert span.resource["service.instance.id"] == span.name.split()[0]


def test_a_child_forked_after_shutdown_sends_nothing(receiver: Receiver) -> None:
    with delivering(receiver) as delivery:
        delivery.shutdown(5.0)

        def child() -> object:
            delivery.after_fork_in_child(CHILD)
            enqueue(delivery, ["child"])
            return delivery.stats().as_dict()["traces"]["dropped"]

        assert in_child(child) == {"after_shutdown": 1}
    assert receiver.requests == []
