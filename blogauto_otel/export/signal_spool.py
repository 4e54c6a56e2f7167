"""The spool of one signal: the segment that this process is writing, and the files that are replayed next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from blogauto_otel._clock import clock
from blogauto_otel.export.queue import Batch
from blogauto_otel.export.signal_exporter import SignalExporter
from blogauto_otel.spool.directory import SpoolFile, SpoolLimits
from blogauto_otel.spool.file_format import StoredRequest
from blogauto_otel.spool.store import ClaimedSegment, Spool

SEGMENT_BYTES: Final = 65_536  # a smaller file is extended; otherwise an outage of hours would write a file a second


class Retries:
    """When one kind of work with the disk may be tried again. A failure delays this kind of work only."""

    def __init__(self) -> None:
        self.next_at = 0.0  # monotonic; 0 after a success


class SignalSpool:
    """Stores the batches of one signal."""

    def __init__(
        self, exporter: SignalExporter, limits: SpoolLimits, on_file: Callable[[SignalExporter], None]
    ) -> None:
        self.exporter = exporter
        self._on_file = on_file  # called when a file was written that is not extended
        self.writing = Retries()
        self.reading = Retries()
        self.files: deque[SpoolFile] = deque()
        self.segment: ClaimedSegment | None = None  # extended as long as it is small
        self.has_older_files = False  # they are replayed first: the segment must not overtake them
        self.was_failing = False
        self.replayed_at = 0.0
        self._request = StoredRequest(exporter.signal, 0, b"")  # the content of the segment
        self._sent_before = 0  # items that had been sent when the segment was written
        self._max_bytes = min(limits.request_bytes, limits.bytes // 4)  # of a file
        self._max_segment = limits.request_bytes if exporter.latest_only else min(SEGMENT_BYTES, limits.bytes // 8)

    @property
    def is_outdated(self) -> bool:
        """Whether the segment holds metrics, and newer ones have been delivered."""
        return self.exporter.latest_only and self.exporter.sent > self._sent_before

    @property
    def has_next(self) -> bool:
        """Whether there is anything to replay."""
        own_segment = self.segment is not None and not self.has_older_files and not self.exporter.latest_only
        return bool(self.files) or own_segment

    @property
    def is_in_use(self) -> bool:
        """Whether items are in memory only, a segment is written, or there is anything to replay."""
        return bool(self.exporter.queue.unacknowledged or self.segment is not None or self.files)

    def claim_next(self, spool: Spool) -> ClaimedSegment | None:
        """Claim the oldest file; without files, take the segment that is being extended."""
        if self.files:
            return spool.claim(self.files.popleft())
        segment = self.segment
        self._begin_segment()
        return segment

    def store(self, spool: Spool, *, in_flight: bool, until: float) -> None:
        """Store what waits, and with `in_flight` copy what is in flight, until that time (monotonic)."""
        try:
            if in_flight:
                self._copy_in_flight(spool)
        finally:  # a batch in flight may be too large for the disk, while what waits is not
            self._store_waiting(spool, until)

    def _copy_in_flight(self, spool: Spool) -> None:
        """Write a copy of each batch in flight: it stays claimed until the result is known, or this process ends."""
        batches = self.exporter.queue.in_memory_only()
        if batches and not self.exporter.latest_only:
            self.close_segment(spool)  # or later items would be stored before these
        for batch in batches:
            copy = spool.write(self.exporter.stored_request(batch), claim=True)
            if not self.exporter.queue.attach_copy(batch, copy):
                spool.delete(copy)

    def _store_waiting(self, spool: Spool, until: float) -> None:
        exporter = self.exporter
        remaining = len(exporter.queue)  # later items wait: a slow disk would otherwise serve this signal only
        if exporter.latest_only and remaining:
            self._request = StoredRequest(exporter.signal, 0, b"")  # the content is replaced, not extended
        while remaining > 0 and clock.monotonic() < until:
            batch = exporter.take(self._max_bytes)
            if batch is None:
                break
            try:
                self._store_batch(spool, batch)
            except BaseException:
                exporter.queue.requeue(batch)
                raise
            exporter.ack_stored(batch)
            remaining -= len(batch)

    def _store_batch(self, spool: Spool, batch: Batch) -> None:
        request = self.exporter.stored_request(batch)
        if self.segment is not None and not spool.exists(self.segment):
            self._begin_segment()
        before = self._request
        joined = replace(request, items=before.items + request.items, content=before.content + request.content)
        if len(joined.content) <= self._max_segment:
            sent = self.exporter.sent
            self.segment = spool.write(joined, claim=True, replaces=self.segment)
            self._request, self._sent_before = joined, sent
            return
        self.close_segment(spool)
        spool.write(request)
        self.has_older_files = True
        self._on_file(self.exporter)

    def close_segment(self, spool: Spool) -> None:
        """Release the segment: it is not extended any more. Outdated metrics are deleted."""
        if self.segment is None:
            return
        if self.is_outdated:
            spool.delete(self.segment)
        else:
            spool.release(self.segment)
            self.has_older_files = True
        self._begin_segment()

    def _begin_segment(self) -> None:
        self.segment, self._request = None, StoredRequest(self.exporter.signal, 0, b"")
