"""Threads: a worker that runs when there is work, and short-lived threads that bound the time of a blocking call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

from opentelemetry import context as otel_context

from blogauto_otel._clock import clock
from blogauto_otel._guard import log_once, swallow
from blogauto_otel._suppression import SUPPRESSED
from blogauto_otel._threads import start_thread

T = TypeVar("T")

_AFTER_ERROR: Final = 1.0  # seconds until the next run after one that failed
_NO_THREAD: Final = 10.0  # seconds before trying again to start a thread when none could be started

_SUPPRESSED: Final = otel_context.Context(SUPPRESSED)


class Worker:
    """Runs a function in a thread, again and again; it sleeps as long as the function says, or until it is woken.

    The thread is started when it is needed, and again when it has died; nothing waits for it.
    """

    def __init__(self, name: str, run_once: Callable[[], float], doing: str) -> None:
        self.running = False
        self._name = name
        self._run_once = run_once
        self._doing = doing
        self._wake = threading.Lock()  # a binary semaphore: releasing it wakes, and is possible in any context
        self._wake.acquire()
        self._starting = threading.Lock()  # never waited for
        self._stopped = False
        self._no_thread_until = float("-inf")

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self.running or self._stopped or clock.monotonic() < self._no_thread_until:
            return
        if not self._starting.acquire(blocking=False):
            return  # another thread starts it
        try:
            if not self.running:
                self.running = True  # before it runs, because the thread sets it to False when it ends
                if start_thread(self._run, self._name) is None:
                    self.running = False
                    self._no_thread_until = clock.monotonic() + _NO_THREAD
                    log_once(
                        "no thread",
                        "no thread can be started: telemetry waits for a flush, or for the end of the process",
                    )
        finally:
            self._starting.release()

    def wake(self) -> None:
        """Begin the next run now."""
        if not self.running:
            self.start()
        try:
            self._wake.release()
        except RuntimeError:
            pass  # it is awake

    def stop(self) -> None:
        """End the thread after its current run."""
        self._stopped = True
        try:
            self._wake.release()
        except RuntimeError:
            pass

    def _run(self) -> None:
        otel_context.attach(_SUPPRESSED)
        try:
            while not self._stopped:
                self._wake.acquire(timeout=self._run_safely())
        finally:
            self.running = False

    def _run_safely(self) -> float:
        """One run; returns the seconds until the next."""
        try:
            return self._run_once()
        except BaseException as error:  # the thread is ours alone: there is no caller to stop
            if isinstance(error, Exception) and not swallow(self._doing, error):
                raise
            return _AFTER_ERROR


@contextmanager
def suppress_instrumentation() -> Iterator[None]:
    """A block whose own requests and log records are not recorded."""
    token = otel_context.attach(_SUPPRESSED)
    try:
        yield
    finally:
        otel_context.detach(token)


def run_each(name: str, doing: str, work: Callable[[T], None], arguments: Sequence[T], deadline: float) -> None:
    """Call `work` for each argument in a short-lived thread, and wait for them until the deadline.

    A thread that hangs is left behind. Without threads the calls are made here.
    """

    def run(argument: T) -> None:
        with suppress_instrumentation():
            try:
                work(argument)
            except Exception as error:
                if not swallow(doing, error):
                    raise

    threads = [(argument, start_thread(run, name, argument)) for argument in arguments]
    for argument, thread in threads:
        if thread is None:
            run(argument)
    for _, thread in threads:
        if thread is not None:
            thread.join(max(0.0, deadline - clock.monotonic()))
