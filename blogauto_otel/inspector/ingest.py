"""From the receiver to the store: a bounded queue, and the thread that empties it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import Any, Final

from blogauto_otel import _threads
from blogauto_otel.inspector import decoding
from blogauto_otel.inspector.store import Store

MAX_QUEUED: Final = 16 * 2**20  # bytes of requests that wait; decoded they take a multiple of it
REFRESH_SECONDS: Final = 0.2  # between two summaries of what arrived

logger = logging.getLogger(__name__)


class Ingest:
    """Stores requests in the order of their arrival, in a thread of its own, so that the page keeps answering."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.last_arrival: float | None = None  # by `time.monotonic`
        self._queue: deque[tuple[str, Any, int]] = deque()
        self._queued = 0
        self._changed = threading.Condition(threading.RLock())
        self._stops = False
        self._idle = True
        self._logged: set[str] = set()
        self._thread = _threads.start_thread(self._run, "inspector ingest")

    def put(self, signal: str, message: Any, size: int) -> bool:
        """Queue a request; False when the queue is full: the sender tries again later."""
        with self._changed:
            if self._queued + size > MAX_QUEUED and self._queue:
                return False
            self._queue.append((signal, message, size))
            self._queued += size
            self._idle = False
            self.last_arrival = time.monotonic()
            self._changed.notify_all()
        return True

    def drain(self, timeout: float) -> bool:
        """Wait until everything that is queued is stored; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._idle, timeout)

    def stop(self, timeout: float) -> None:
        """Store what is queued, and end the thread."""
        with self._changed:
            self._stops = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        refreshed = 0.0
        while True:
            with self._changed:
                if not self._queue:
                    self._changed.wait_for(lambda: bool(self._queue) or self._stops, timeout=1.0)
                item = self._queue.popleft() if self._queue else None
                if item is not None:
                    self._queued -= item[2]
                is_last = not self._queue
                stops = self._stops
            if item is not None:
                self._store(item[0], item[1])
            if is_last or time.monotonic() - refreshed > REFRESH_SECONDS:
                self._refresh()
                refreshed = time.monotonic()
            with self._changed:
                if not self._queue:
                    self._idle = True
                    self._changed.notify_all()
                    if stops:
                        return

    def _store(self, signal: str, message: Any) -> None:
        try:
            decoding.store(self.store, signal, message)
        except Exception as error:  # noqa: BLE001 - counted and logged
            self.store.dropped += decoding.items(signal, message)
            self._log_once(f"{signal} could not be stored and are counted as dropped", error)

    def _refresh(self) -> None:
        try:
            self.store.refresh()
        except Exception as error:  # noqa: BLE001 - counted and logged
            self._log_once("the list of requests could not be brought up to date", error)

    def _log_once(self, text: str, error: Exception) -> None:
        if f"{text} {type(error)}" not in self._logged:
            self._logged.add(f"{text} {type(error)}")
            logger.error("blogauto-otel dev: %s: %r", text, error)
