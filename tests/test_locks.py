"""The lock that refuses its own thread."""

from __future__ import annotations

import threading
from typing import Any

from blogauto_otel._locks import ExclusiveLock


def taken_elsewhere(lock: ExclusiveLock, **how: Any) -> bool:
    """Whether another thread gets the lock; it gives it back."""
    results: list[bool] = []

    def take() -> None:
        results.append(lock.acquire(**how))
        if results[0]:
            lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return results[0]


def test_the_owning_thread_is_refused_without_waiting() -> None:
    lock = ExclusiveLock()
    assert lock.acquire()
    assert not lock.acquire()
    assert not lock.acquire(timeout=3600.0)
    assert not lock.acquire(blocking=False)


def test_one_release_frees_it_however_often_it_was_refused() -> None:
    lock = ExclusiveLock()
    assert lock.acquire()
    assert not lock.acquire()
    lock.release()
    assert taken_elsewhere(lock)
    assert lock.acquire()


def test_another_thread_waits_for_it() -> None:
    lock = ExclusiveLock()
    assert lock.acquire()
    assert not taken_elsewhere(lock, timeout=0.01)
    assert not taken_elsewhere(lock, blocking=False)
    lock.release()
    assert taken_elsewhere(lock, timeout=10.0)
