"""What memory should not hold any longer goes to disk, and what is on disk comes back when somebody takes it.

All work on the disk is done here, in a thread of its own: a disk that hangs holds up neither the application nor the
sender, and a receiver that hangs does not hold up the disk.
"""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from blogauto_otel._guard import log_once
from blogauto_otel._locks import ExclusiveLock
from blogauto_otel.export.queue import Batch
from blogauto_otel.export.signal_exporter import SignalExporter
from blogauto_otel.export.worker import Worker
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.spool.file_format import FREE, StoredRequest
from blogauto_otel.spool.location import choose
from blogauto_otel.spool.store import ClaimedSegment, Entry, Limits, Spool

THREAD_NAME: Final = "blogauto-otel-spool"

RATE: Final = 2_000_000  # bytes a second: what comes back must not be the next flood
SEGMENT: Final = 65_536  # bytes; less than that is added to the file before, or hours would be a file a second
LOOK_EVERY: Final = 30.0  # seconds between two looks at an empty directory
LOOK_AGAIN: Final = 5.0  # and at one where something waits, for us or for whoever drains it
JITTER: Final = 1.0  # seconds, at most, by which processes that recover together start to drain apart
BROKEN: Final = 30.0  # seconds before trying again to use a disk that cannot be used
_SHORTEST: Final = 0.02

# Why the disk cannot be used now; without memory nothing can be made ready for it either.
UNUSABLE: Final = (OSError, MemoryError)

_random = random.SystemRandom()


@dataclass(frozen=True)
class SpoolStats:
    """How the spool stands, as this process last saw it; the directory is shared with the other workers."""

    directory: str
    files: int  # that wait, of all processes
    bytes: int
    oldest_age: float  # seconds
    quarantined: int  # files that this process could not read
    errors: int  # times that this process could not use the disk


class _Attempts:
    """At one kind of work with the disk. One that fails has to wait for the next, and no other kind of work has."""

    def __init__(self) -> None:
        self.next_at = 0.0  # `time.monotonic`; 0 while all is well


class _Shelf:
    """What one signal of this process has on disk, and which files of it are next."""

    def __init__(self, exporter: SignalExporter) -> None:
        self.exporter = exporter
        self.writing = _Attempts()
        self.reading = _Attempts()
        self.files: deque[Entry] = deque()
        self.segment: ClaimedSegment | None = None  # a file that is added to as long as it is small
        self.kept = StoredRequest(exporter.signal, 0, b"")  # what is in it
        self.older = False  # whether files before it wait for whoever drains: then it is not its turn
        self.was_away = False
        self.handed_at = 0.0
        self.sent_before = 0  # items that had been sent when the segment was written

    def begin_segment(self) -> None:
        self.segment, self.kept = None, StoredRequest(self.exporter.signal, 0, b"")

    @property
    def is_outdated(self) -> bool:
        """Whether the segment holds metrics, and newer ones have arrived."""
        return self.exporter.latest_only and self.exporter.sent > self.sent_before


class Spooler:
    """Moves items between memory and disk. Starts no thread before the first item."""

    def __init__(
        self,
        exporters: Iterable[SignalExporter],
        places: Callable[[], Sequence[Path]],
        limits: Limits,
        *,
        drained: frozenset[Signal],
        wake_sender: Callable[[], None],
    ) -> None:
        self.worker = Worker(THREAD_NAME, self.turn, "keeping telemetry on disk")
        self._shelves = {exporter.signal: _Shelf(exporter) for exporter in exporters}
        self._places = places
        self._limits = limits
        self._segment = min(SEGMENT, limits.bytes // 8)
        self._at_once = min(limits.content, limits.bytes // 4)  # bytes of a file
        self._drained = drained
        self._wake_sender = wake_sender
        self._working = ExclusiveLock()  # held by whoever uses the spool: the thread, or a flush
        self._made: Spool | None = None
        self._finished: deque[tuple[ClaimedSegment, bool]] = deque()
        self._look_at = time.monotonic() + _random.uniform(0.0, JITTER)
        self._hand_out_at = 0.0
        self._clearing = _Attempts()
        self._looking = _Attempts()
        self._attempts = [self._clearing, self._looking]
        self._attempts += [each for shelf in self._shelves.values() for each in (shelf.writing, shelf.reading)]
        self._errors = 0
        self._ending = False
        self._until = float("inf")  # `time.monotonic`; when a flush stops writing, which may have no thread of its own

    @property
    def _spool(self) -> Spool:
        if self._made is None:  # in our thread, because looking for a place is work on the disk too
            self._made = Spool(choose(self._places()), self._limits, self._lost)
        return self._made

    def _lost(self, signal: Signal, reason: str, items: int) -> None:
        self._shelves[signal].exporter.queue.count(reason, items)

    def stats(self) -> SpoolStats:
        """How the spool stands; asks no disk."""
        spool = self._made
        if spool is None:
            return SpoolStats("", 0, 0, 0.0, 0, self._errors)
        return SpoolStats(
            str(spool.directory), spool.files, spool.bytes, spool.oldest_age, spool.quarantined, self._errors
        )

    # -- the thread

    def turn(self) -> float:
        """Do what is due; returns the seconds until there is more."""
        if not self._working.acquire(timeout=1.0):
            return 1.0
        try:
            self._work()
            return self._pause(time.monotonic())
        finally:
            self._working.release()

    def _work(self) -> None:
        """What cannot be written holds up nothing that can be read, and one signal not another's."""
        self._attempt(self._clearing, self._clear_away)
        for shelf in self._shelves.values():
            self._attempt(shelf.writing, self._tend, shelf)
        self._attempt(self._looking, self._look)
        for shelf in sorted(self._shelves.values(), key=lambda shelf: shelf.handed_at):
            self._attempt(shelf.reading, self._hand_out, shelf)

    def _attempt(self, attempts: _Attempts, work: Callable[..., None], *args: Any) -> None:
        if self._ending or time.monotonic() < attempts.next_at:
            return
        if self._try(attempts, work, *args) and attempts.next_at:
            attempts.next_at = 0.0
            if not any(each.next_at for each in self._attempts):
                log_once("spool usable", "telemetry can be kept on disk again", level=logging.INFO)

    def _try(self, attempts: _Attempts, work: Callable[..., None], *args: Any) -> bool:
        try:
            work(*args)
        except UNUSABLE as error:
            attempts.next_at = time.monotonic() + BROKEN
            self._tell_trouble(error)
            return False
        return True

    def _pause(self, now: float) -> float:
        shelves = self._shelves.values()
        times = [max(self._look_at, self._looking.next_at) - now]
        times += [self._clearing.next_at - now] if self._finished else []
        times += [max(shelf.writing.next_at - now, shelf.exporter.keep_in(now)) for shelf in shelves]
        times += [
            max(self._hand_out_at - now, shelf.reading.next_at - now, shelf.exporter.wants_kept_in(now))
            for shelf in shelves
            if self._has(shelf)
        ]
        return max(_SHORTEST, min(times))

    def _tell_trouble(self, error: Exception) -> None:
        self._errors += 1
        log_once(
            "spool unusable",
            "telemetry cannot be kept on disk, and waits in memory alone; BLOGAUTO_OTEL_SPOOL_DIR says where else,"
            " or off: %s", str(error) or type(error).__name__,
        )  # fmt: skip

    # -- from memory to disk

    def _tend(self, shelf: _Shelf) -> None:
        now, exporter = time.monotonic(), shelf.exporter
        if shelf.was_away and not exporter.is_away:
            self._look_at = min(self._look_at, now + _random.uniform(0.0, JITTER))
        shelf.was_away = exporter.is_away
        if exporter.keep_in(now) <= 0:
            self._keep(shelf, under_way=exporter.overdue_in(now) <= 0 and not exporter.latest_only)
        if shelf.is_outdated or not (exporter.is_away or exporter.latest_only):
            self._close_segment(shelf)

    def _keep(self, shelf: _Shelf, *, under_way: bool) -> None:
        try:
            if under_way:
                self._copy_under_way(shelf)
        finally:  # what is under way may be too large for the disk where what waits is not
            self._keep_waiting(shelf)

    def _copy_under_way(self, shelf: _Shelf) -> None:
        under_way = shelf.exporter.queue.only_here()
        if under_way and not shelf.exporter.latest_only:
            self._close_segment(shelf)  # or what comes after these would be in a file from before them
        for sent in under_way:
            # Its request may succeed yet: the copy is ours until that is known, and everybody's when we die.
            held = self._spool.write(shelf.exporter.kept(sent), hold=True)
            if not shelf.exporter.queue.attach(sent, held):
                self._spool.discard(held)

    def _keep_waiting(self, shelf: _Shelf) -> None:
        to_go = len(shelf.exporter.queue)  # what comes later waits: on a slow disk, other signals had no turn else
        if shelf.exporter.latest_only and to_go:
            shelf.kept = StoredRequest(shelf.exporter.signal, 0, b"")  # what is in the file is replaced, not added to
        while (
            to_go > 0 and time.monotonic() < self._until and (batch := shelf.exporter.take(self._at_once)) is not None
        ):
            try:
                self._store(shelf, batch)
            except BaseException:
                shelf.exporter.queue.put_back(batch)
                raise
            shelf.exporter.spooled(batch)
            to_go -= len(batch)

    def _store(self, shelf: _Shelf, batch: Batch) -> None:
        kept = shelf.exporter.kept(batch)
        if shelf.segment is not None and not self._spool.holds(shelf.segment):
            shelf.begin_segment()
        joined = replace(kept, items=shelf.kept.items + kept.items, content=shelf.kept.content + kept.content)
        if len(joined.content) <= (self._limits.content if shelf.exporter.latest_only else self._segment):
            sent = shelf.exporter.sent
            shelf.segment = self._spool.write(joined, hold=True, instead_of=shelf.segment)
            shelf.kept, shelf.sent_before = joined, sent
            return
        self._close_segment(shelf)
        self._spool.write(kept)
        shelf.older = True
        # Where nothing more is recorded, nothing but this file will show that the receiver is back.
        now = time.monotonic()
        self._look_at = min(self._look_at, now + max(0.0, shelf.exporter.wants_kept_in(now)))

    def _close_segment(self, shelf: _Shelf) -> None:
        """Let it go: nothing is added to it any more. Metrics that a newer collection has outdone are of no use."""
        if shelf.segment is None:
            return
        if shelf.is_outdated:
            self._spool.discard(shelf.segment)
        else:
            self._spool.release(shelf.segment)
            shelf.older = True
        shelf.begin_segment()

    # -- from disk to the receiver

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._look_at:
            return
        found = self._spool.scan()
        waits = self._spool.has_work(found)
        for signal, shelf in self._shelves.items():
            shelf.older = any(entry.name.signal is signal and entry.name.state == FREE for entry in found)
        self._look_at = now + (LOOK_AGAIN if waits else LOOK_EVERY) * _random.uniform(0.8, 1.2)
        can_send = any(self._shelves[signal].exporter.wants_kept_in(now) <= 0 for signal in self._drained)
        if not (waits and can_send and self._spool.lock()):
            self._spool.unlock()
            return
        free = self._spool.recover()
        for signal in self._drained:
            self._shelves[signal].files = deque(entry for entry in free if entry.name.signal is signal)

    def _has(self, shelf: _Shelf) -> bool:
        its_turn = shelf.segment is not None and not shelf.older and not shelf.exporter.latest_only
        return bool(shelf.files) or its_turn

    def _hand_out(self, shelf: _Shelf) -> None:
        """Give the sender the next file, if it wants one."""
        now = time.monotonic()
        while now >= self._hand_out_at and self._has(shelf) and shelf.exporter.wants_kept_in(now) <= 0:
            held = self._next(shelf)
            kept = None if held is None else self._read(held)
            if held is not None and kept is not None:
                self._hand_out_at = now + len(kept.content) / RATE
                shelf.handed_at = now
                shelf.exporter.hand(held, kept)
                self._wake_sender()

    def _read(self, held: ClaimedSegment) -> StoredRequest | None:
        try:
            return self._spool.read(held)
        except UNUSABLE:
            self._finished.append((held, False))  # nothing is wrong with the file: no descriptor left, for one
            raise

    def _next(self, shelf: _Shelf) -> ClaimedSegment | None:
        """The oldest file, and where there is none, the one that we are still adding to."""
        if shelf.files:
            return self._spool.claim(shelf.files.popleft())
        segment = shelf.segment
        shelf.begin_segment()
        return segment

    def finished(self, held: ClaimedSegment, gone: bool) -> None:
        """Called by the sender: the file has arrived, or will never (`gone`), or it goes back for later."""
        self._finished.append((held, gone))
        self.worker.wake()

    def _clear_away(self) -> None:
        while self._finished:
            held, gone = self._finished[0]
            try:
                if gone:
                    self._spool.discard(held)
                else:
                    self._put_back(held)
            except BaseException:
                self._finished.rotate(-1)  # later; and if it is this file's alone, the others are not kept waiting
                raise
            self._finished.popleft()
            if not any(shelf.files for shelf in self._shelves.values()):
                self._look_at = 0.0  # is there more, and does anybody else want to drain it?

    def _put_back(self, held: ClaimedSegment) -> None:
        """It is anybody's, and still the oldest: what came after it does not overtake it."""
        entry = self._spool.release(held)
        if entry is not None:
            self._shelves[held.name.signal].files.appendleft(entry)
        self._hand_out_at = 0.0  # nothing has come back, so nothing is to be slowed down

    # -- flush and end

    def keep_all(self, timeout: float) -> None:
        """Write all that is in memory, now, and let go of it."""
        self._finally(timeout, end=False)

    def end(self, timeout: float) -> None:
        """The same, for good."""
        self._ending = True
        self.worker.stop()
        self._finally(timeout, end=True)

    def _finally(self, timeout: float, *, end: bool) -> None:
        deadline = time.monotonic() + timeout
        if not self._working.acquire(timeout=timeout):
            return
        self._until = deadline
        try:
            self._try(self._clearing, self._clear_away)
            for shelf in self._shelves.values():
                self._let_go(shelf, end=end)
        finally:
            self._until = float("inf")
            if end and self._made is not None:
                self._made.close()
            self._working.release()

    def _let_go(self, shelf: _Shelf, *, end: bool) -> None:
        self._try(shelf.writing, partial(self._keep, shelf, under_way=True))
        self._try(shelf.writing, self._close_segment, shelf)
        if end:
            shelf.exporter.leave()
            self._try(self._clearing, self._clear_away)

    def forget(self) -> None:
        """In a forked child: what the parent has claimed, and its lock, are the parent's."""
        if self._made is not None:
            self._made.unlock(forked=True)
