"""Threads: a worker that runs when there is work, and short-lived threads that bound the time of a blocking call."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

from opentelemetry import context as otel_context

from blogauto_otel._clock import clock
from blogauto_otel._guard import log_once, swallow, wait_for_log_lines
from blogauto_otel._suppression import SUPPRESSED
from blogauto_otel._threads import start_thread

T = TypeVar("T")

_AFTER_ERROR: Final = 1.0  # seconds until the next run after one that failed
_NO_THREAD: Final = 10.0  # seconds before trying again to start a thread when none could be started
_LOG_SECONDS: Final = 1.0  # for log lines, whose handler may block
NO_WORK: Final = math.inf  # what a run returns when there is nothing to wait for: the thread ends until it is woken

_SUPPRESSED: Final = otel_context.Context(SUPPRESSED)


class Worker:
    """Runs a function in a thread, again and again; it sleeps as long as the function says, or until it is woken.

    The thread is started when it is needed, and again when it has died or ended; nothing waits for it. It ends when the
    function returns `NO_WORK`.
    """

    def __init__(
        self, name: str, run_once: Callable[[], float], doing: str, *, on_end: Callable[[], None] = lambda: None
    ) -> None:
        self.running = False
        self._on_end = on_end  # called when the thread has ended for lack of work
        self._name = name
        self._run_once = run_once
        self._doing = doing
        self._wake = threading.Lock()  # a binary semaphore: releasing it wakes, and is possible in any context
        self._wake.acquire()
        self._starting = threading.Lock()  # never waited for by the application's threads
        self._stopped = False
        self._no_thread_until = float("-inf")

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self.running or self._stopped or clock.monotonic() < self._no_thread_until:
            return
        if not self._starting.acquire(blocking=False):
            return  # another thread starts it
        try:
            if not self._claim():
                return
        finally:
            self._starting.release()
        if start_thread(self._run, self._name) is None:
            self.running = False
            self._no_thread_until = clock.monotonic() + _NO_THREAD
            log_once(
                "no thread", "no thread can be started: telemetry waits for a flush, or for the end of the process"
            )

    def _claim(self) -> bool:
        """Whether the caller is the one whose thread runs; called with `_starting`."""
        if self.running:
            return False
        self.running = True  # before it runs, because the thread sets it to False when it ends
        return True

    def wake(self) -> None:
        """Begin the next run now."""
        try:
            self._wake.release()
        except RuntimeError:
            pass  # it is awake
        if not self.running:  # asked last: a thread that ends looks at the semaphore last (`_ends`)
            self.start()

    def stop(self) -> None:
        """End the thread after its current run."""
        self._stopped = True
        try:
            self._wake.release()
        except RuntimeError:
            pass

    def _run(self) -> None:
        otel_context.attach(_SUPPRESSED)
        has_ended = False
        try:
            while not (self._stopped or has_ended):
                seconds = self._run_safely()
                if seconds == NO_WORK:
                    has_ended = self._ends()
                else:
                    self._wake.acquire(timeout=seconds)
        finally:
            if not has_ended:  # another thread may run already
                self.running = False
        if has_ended:
            self._on_end()

    def _ends(self) -> bool:
        """Whether the thread can end: not if it was woken meanwhile, unless another thread was started for that."""
        self.running = False
        if not self._wake.acquire(blocking=False):
            return True
        with self._starting:  # waited for here alone, and held for a moment only
            return not self._claim()

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
    """Call `work` for each argument in a short-lived thread, and wait for them and their log lines until the deadline.

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
    wait_for_log_lines(min(_LOG_SECONDS, max(0.0, deadline - clock.monotonic())))
