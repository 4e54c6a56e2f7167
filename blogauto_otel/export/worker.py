"""A thread of ours: started when there is work, woken at will, replaced when it dies, never waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import context as otel_context

from blogauto_otel._guard import log_once, swallow
from blogauto_otel._suppression import SUPPRESSED
from blogauto_otel._threads import start_thread

_AFTER_A_SURPRISE: Final = 1.0  # seconds
_NO_THREAD: Final = 10.0  # seconds before trying again to start a thread where none could be had

_SUPPRESSED: Final = otel_context.Context(SUPPRESSED)


class Worker:
    """Takes a turn, sleeps for as long as the turn says or until it is woken, and takes the next."""

    def __init__(self, name: str, turn: Callable[[], float], doing: str) -> None:
        self.running = False
        self._name = name
        self._turn = turn
        self._doing = doing
        self._bell = threading.Lock()  # as a binary semaphore: releasing it wakes, and may be done anywhere
        self._bell.acquire()
        self._starting = threading.Lock()  # never waited for
        self._stopped = False
        self._no_thread_until = float("-inf")

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self.running or self._stopped or time.monotonic() < self._no_thread_until:
            return
        if not self._starting.acquire(blocking=False):
            return  # another thread is at it
        try:
            if not self.running:
                self.running = True  # before it runs: when it ends it says so, and may be quick
                if start_thread(self._run, self._name) is None:
                    self.running = False
                    self._no_thread_until = time.monotonic() + _NO_THREAD
                    log_once(
                        "no thread",
                        "no thread can be started: telemetry waits for a flush, or for the end of the process",
                    )
        finally:
            self._starting.release()

    def wake(self) -> None:
        """Let the next turn begin now."""
        if not self.running:
            self.start()
        try:
            self._bell.release()
        except RuntimeError:
            pass  # it is awake

    def stop(self) -> None:
        """Let this turn be the last one."""
        self._stopped = True
        try:
            self._bell.release()
        except RuntimeError:
            pass

    def _run(self) -> None:
        otel_context.attach(_SUPPRESSED)
        try:
            while not self._stopped:
                self._bell.acquire(timeout=self._pause())
        finally:
            self.running = False

    def _pause(self) -> float:
        """One turn, whatever happens in it; returns the seconds until the next."""
        try:
            return self._turn()
        except BaseException as error:  # this thread is ours alone: there is nobody above to stop
            if isinstance(error, Exception) and not swallow(self._doing, error):
                raise
            return _AFTER_A_SURPRISE


@contextmanager
def suppress_instrumentation() -> Iterator[None]:
    """A block whose own requests and log records are not recorded."""
    token = otel_context.attach(_SUPPRESSED)
    try:
        yield
    finally:
        otel_context.detach(token)
