"""Statistics of delivery, by signal and for the spool."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from blogauto_otel._dataclass import dataclass
from blogauto_otel.export.queue import Queue
from blogauto_otel.otlp.signal import Signal


@dataclass(frozen=True)
class SignalStats:
    """Statistics of one signal.

    `accepted` = `sent` + `spooled` + `queue_items` + `dropped`, except for the reasons `too_large`, `unserialisable`
    and `after_shutdown` (those items were never accepted), and `spool_full`, `spool_expired` and `spool_damaged` (those
    had been spooled, by this process or another).
    """

    accepted: int  # items that were queued
    sent: int  # items that the receiver accepted
    dropped: Mapping[str, int]  # items lost, by reason
    retries: int  # requests that have to be sent again
    requests: int  # requests sent
    request_seconds: float  # total duration of the requests
    queue_items: int  # items waiting or in flight
    queue_bytes: int
    high_water: int  # the most items that ever waited
    oldest_age: float  # seconds that the oldest item has been waiting
    last_error: str | None  # the last error of the receiver or of the connection
    spooled: int = 0  # items stored on disk
    redelivered: int = 0  # items from disk that the receiver accepted, whichever process stored them

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self) | {"dropped": dict(self.dropped)}


@dataclass(frozen=True)
class SpoolStats:
    """Statistics of the spool at this process's last scan; the directory is shared with the other workers."""

    directory: str
    files: int  # with undelivered requests, of all processes
    bytes: int
    oldest_age: float  # seconds
    quarantined: int  # files that this process could not read
    errors: int  # times that this process could not use the disk, or its locks


@dataclass(frozen=True)
class ExportStats:
    """Statistics of delivery, by signal."""

    signals: Mapping[Signal, SignalStats]
    spool: SpoolStats | None = None  # None: there is no spool

    def as_dict(self) -> dict[str, Any]:
        """Plain data by signal name, and the spool's, ready for JSON."""
        by_signal = {signal.value: stats.as_dict() for signal, stats in self.signals.items()}
        return by_signal | ({"spool": asdict(self.spool)} if self.spool else {})


class SignalCounters:
    """The counters behind `SignalStats`. The sending thread changes all but `spooled`, which has a lock."""

    def __init__(self) -> None:
        self.sent = 0
        self.retries = 0
        self.requests = 0
        self.request_seconds = 0.0
        self.redelivered = 0
        self.last_error: str | None = None
        self.spooled = 0
        self._lock = threading.RLock()

    def add_spooled(self, items: int) -> None:
        """Count items that were stored; called by several threads."""
        with self._lock:
            self.spooled += items

    def snapshot(self, queue: Queue, now: float) -> SignalStats:
        """The statistics at this moment."""
        oldest = queue.oldest
        return SignalStats(
            accepted=queue.accepted,
            sent=self.sent,
            dropped=queue.dropped,
            retries=self.retries,
            requests=self.requests,
            request_seconds=self.request_seconds,
            queue_items=queue.unacknowledged,
            queue_bytes=queue.bytes,
            high_water=queue.high_water,
            oldest_age=0.0 if oldest is None else now - oldest,
            last_error=self.last_error,
            spooled=self.spooled,
            redelivered=self.redelivered,
        )
