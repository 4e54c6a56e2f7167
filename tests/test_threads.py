"""Threads that receive no signals, work in other threads that causes none, and the lock that refuses its own thread."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from blogauto_otel import _threads
from blogauto_otel._threads import ExclusiveLock, signals_blocked, start_thread, without_signal

FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS}
NOT_TO_BE_BLOCKED = {signal.SIGKILL, signal.SIGSTOP}


def mask() -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


@pytest.fixture
def before() -> Iterator[set[int]]:
    """The mask of this thread, which the test has to leave as it was."""
    found = mask()
    yield found
    assert mask() == found


def in_thread(work: Callable[[], object]) -> object:
    results: list[object] = []
    thread = start_thread(lambda: results.append(work()), "test")
    assert thread is not None
    thread.join(10.0)
    return results[0]


def test_a_thread_of_ours_blocks_all_signals_but_those_of_faults(before: set[int]) -> None:
    blocked = in_thread(mask)
    assert blocked == set(signal.valid_signals()) - FAULTS - NOT_TO_BE_BLOCKED


def test_the_mask_is_restored_where_no_thread_can_be_started(before: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert start_thread(print, "test") is None


def test_the_mask_is_restored_when_a_signal_handler_raises(before: set[int]) -> None:
    def out(*_: object) -> None:
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGUSR1, out)
    try:
        with pytest.raises(KeyboardInterrupt), signals_blocked():
            os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, handler)


def test_a_system_without_masks_starts_threads_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_threads, "_CAN_BLOCK", False)
    assert in_thread(lambda: 1) == 1
    with without_signal("SIGPIPE"):
        pass


def test_a_signal_that_the_system_does_not_have_is_none(before: set[int]) -> None:
    with without_signal("SIGNONE"):
        assert mask() == before


def write_to_broken_pipe() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        with pytest.raises(BrokenPipeError):
            os.write(writing, b"x")
    finally:
        os.close(writing)


def test_what_a_call_causes_is_discarded(before: set[int]) -> None:
    with without_signal("SIGPIPE"):
        write_to_broken_pipe()
        assert signal.SIGPIPE in signal.sigpending()
    assert signal.SIGPIPE not in signal.sigpending()


def test_what_was_pending_before_stays_pending(before: set[int]) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
    try:
        write_to_broken_pipe()
        with without_signal("SIGPIPE"):
            write_to_broken_pipe()
        assert signal.SIGPIPE in signal.sigpending()
        assert signal.SIGPIPE in mask()
        signal.sigtimedwait({signal.SIGPIPE}, 0)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPIPE})


def test_the_default_action_does_not_end_the_process() -> None:
    script = """
import os, signal
from blogauto_otel._threads import without_signal
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
reading, writing = os.pipe()
os.close(reading)
with without_signal("SIGPIPE"):
    try:
        os.write(writing, b"x")
    except BrokenPipeError:
        print("broken")
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (run.returncode, run.stdout) == (0, "broken\n"), run.stderr


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
