"""What memory should not hold any longer goes to disk, and what is on disk comes back when somebody takes it.

All work on the disk is done here, in a thread of its own: a disk that hangs holds up neither the application nor the
sender, and a receiver that hangs does not hold up the disk.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from blogauto_otel._guard import tell
from blogauto_otel.delivery.lane import Lane
from blogauto_otel.delivery.queue import Batch
from blogauto_otel.delivery.signal import Signal
from blogauto_otel.delivery.spool import Entry, Held, Limits, Spool
from blogauto_otel.delivery.spoolfile import FREE, Kept
from blogauto_otel.delivery.spoolplace import choose
from blogauto_otel.delivery.worker import Worker

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


class _Shelf:
    """What one signal of this process has on disk, and which files of it are next."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.files: deque[Entry] = deque()
        self.segment: Held | None = None  # a file that is added to as long as it is small
        self.kept = Kept(lane.signal, 0, b"")  # what is in it
        self.older = False  # whether files before it wait for whoever drains: then it is not its turn
        self.was_away = False
        self.handed_at = 0.0

    def begin_segment(self) -> None:
        self.segment, self.kept = None, Kept(self.lane.signal, 0, b"")


class Keeper:
    """Moves items between memory and disk. Starts no thread before the first item."""

    def __init__(
        self,
        lanes: Iterable[Lane],
        places: Callable[[], Sequence[Path]],
        limits: Limits,
        *,
        drained: frozenset[Signal],
        wake_sender: Callable[[], None],
    ) -> None:
        self.worker = Worker(THREAD_NAME, self.turn, "keeping telemetry on disk")
        self._shelves = {lane.signal: _Shelf(lane) for lane in lanes}
        self._places = places
        self._limits = limits
        self._segment = min(SEGMENT, limits.bytes // 8)
        self._at_once = min(limits.content, limits.bytes // 4)  # bytes of a file
        self._drained = drained
        self._wake_sender = wake_sender
        self._working = threading.Lock()  # held by whoever uses the spool: the thread, or a flush
        self._made: Spool | None = None
        self._finished: deque[tuple[Held, bool]] = deque()
        self._look_at = time.monotonic() + _random.uniform(0.0, JITTER)
        self._hand_out_at = 0.0
        self._broken_until = 0.0
        self._errors = 0

    @property
    def _spool(self) -> Spool:
        if self._made is None:  # in our thread, because looking for a place is work on the disk too
            self._made = Spool(choose(self._places()), self._limits, self._lost)
        return self._made

    def _lost(self, signal: Signal, reason: str, items: int) -> None:
        self._shelves[signal].lane.queue.count(reason, items)

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
            now = time.monotonic()
            if now >= self._broken_until:
                try:
                    self._work(now)
                except UNUSABLE as error:
                    self._break(error)
            return self._pause(time.monotonic())
        finally:
            self._working.release()

    def _work(self, now: float) -> None:
        self._clear_away()
        for shelf in self._shelves.values():
            if shelf.lane.keep_in(now) <= 0:
                self._keep(shelf, under_way=shelf.lane.overdue_in(now) <= 0 and not shelf.lane.latest_only)
            if not shelf.lane.is_away:
                self._close_segment(shelf)
            if shelf.was_away and not shelf.lane.is_away:
                self._look_at = min(self._look_at, now + _random.uniform(0.0, JITTER))
            shelf.was_away = shelf.lane.is_away
        if now >= self._look_at:
            self._look(now)
        self._hand_out(now)
        self._mend()

    def _pause(self, now: float) -> float:
        if now < self._broken_until:
            return self._broken_until - now
        shelves = self._shelves.values()
        times = [self._look_at - now, *(shelf.lane.keep_in(now) for shelf in shelves)]
        times += [max(self._hand_out_at - now, shelf.lane.wants_kept_in(now)) for shelf in shelves if self._has(shelf)]
        return max(_SHORTEST, min(times))

    def _break(self, error: Exception) -> None:
        self._errors += 1
        self._broken_until = time.monotonic() + BROKEN
        tell(
            "spool unusable",
            "telemetry cannot be kept on disk, and waits in memory alone; BLOGAUTO_OTEL_SPOOL_DIR says where else,"
            " or off: %s", str(error) or type(error).__name__,
        )  # fmt: skip

    def _mend(self) -> None:
        if self._broken_until:
            self._broken_until = 0.0
            tell("spool usable", "telemetry can be kept on disk again", level=logging.INFO)

    # -- from memory to disk

    def _keep(self, shelf: _Shelf, *, under_way: bool) -> None:
        queue = shelf.lane.queue
        for sent in queue.only_here() if under_way else ():
            # Its request may succeed yet: the copy is ours until that is known, and everybody's when we die.
            held = self._spool.write(shelf.lane.kept(sent), hold=True)
            if not queue.attach(sent, held):
                self._spool.discard(held)
        if shelf.lane.latest_only and len(queue):
            shelf.kept = Kept(shelf.lane.signal, 0, b"")  # what is in the file is replaced, not added to
        while (batch := shelf.lane.take(self._at_once)) is not None:
            try:
                self._store(shelf, batch)
            except BaseException:
                queue.put_back(batch)
                raise
            shelf.lane.spooled(batch)

    def _store(self, shelf: _Shelf, batch: Batch) -> None:
        kept = shelf.lane.kept(batch)
        if shelf.segment is not None and not self._spool.holds(shelf.segment):
            shelf.begin_segment()
        joined = replace(kept, items=shelf.kept.items + kept.items, content=shelf.kept.content + kept.content)
        if len(joined.content) <= (self._limits.content if shelf.lane.latest_only else self._segment):
            shelf.segment = self._spool.write(joined, hold=True, instead_of=shelf.segment)
            shelf.kept = joined
            return
        self._close_segment(shelf)
        self._spool.write(kept)
        shelf.older = True
        # Where nothing more is recorded, nothing but this file will show that the receiver is back.
        now = time.monotonic()
        self._look_at = min(self._look_at, now + max(0.0, shelf.lane.wants_kept_in(now)))

    def _close_segment(self, shelf: _Shelf) -> None:
        """Let it go: nothing is added to it any more. Metrics that a newer collection has outdone are of no use."""
        if shelf.segment is None:
            return
        if shelf.lane.latest_only and not shelf.lane.is_away:
            self._spool.discard(shelf.segment)
        else:
            self._spool.release(shelf.segment)
            shelf.older = True
        shelf.begin_segment()

    # -- from disk to the receiver

    def _look(self, now: float) -> None:
        found = self._spool.scan()
        waits = self._spool.has_work(found)
        for signal, shelf in self._shelves.items():
            shelf.older = any(entry.name.signal is signal and entry.name.state == FREE for entry in found)
        self._look_at = now + (LOOK_AGAIN if waits else LOOK_EVERY) * _random.uniform(0.8, 1.2)
        can_send = any(self._shelves[signal].lane.wants_kept_in(now) <= 0 for signal in self._drained)
        if not (waits and can_send and self._spool.lock()):
            self._spool.unlock()
            return
        free = self._spool.recover()
        for signal in self._drained:
            self._shelves[signal].files = deque(entry for entry in free if entry.name.signal is signal)

    def _has(self, shelf: _Shelf) -> bool:
        its_turn = shelf.segment is not None and not shelf.older and not shelf.lane.latest_only
        return bool(shelf.files) or its_turn

    def _hand_out(self, now: float) -> None:
        """Give the sender the next file of each signal that it wants one of."""
        for shelf in sorted(self._shelves.values(), key=lambda shelf: shelf.handed_at):
            while now >= self._hand_out_at and self._has(shelf) and shelf.lane.wants_kept_in(now) <= 0:
                held = self._next(shelf)
                kept = None if held is None else self._read(held)
                if held is not None and kept is not None:
                    self._hand_out_at = now + len(kept.content) / RATE
                    shelf.handed_at = now
                    shelf.lane.hand(held, kept)
                    self._wake_sender()

    def _read(self, held: Held) -> Kept | None:
        try:
            return self._spool.read(held)
        except UNUSABLE:
            self._finished.append((held, False))  # nothing is wrong with the file: no descriptor left, for one
            raise

    def _next(self, shelf: _Shelf) -> Held | None:
        """The oldest file, and where there is none, the one that we are still adding to."""
        if shelf.files:
            return self._spool.claim(shelf.files.popleft())
        segment = shelf.segment
        shelf.begin_segment()
        return segment

    def finished(self, held: Held, gone: bool) -> None:
        """Called by the sender: the file has arrived, or will never (`gone`), or it goes back for later."""
        self._finished.append((held, gone))
        self.worker.wake()

    def _clear_away(self) -> None:
        while self._finished:
            held, gone = self._finished[0]
            if gone:
                self._spool.discard(held)
            else:
                self._put_back(held)
            self._finished.popleft()  # now, and not when the disk could not be used
            if not any(shelf.files for shelf in self._shelves.values()):
                self._look_at = 0.0  # is there more, and does anybody else want to drain it?

    def _put_back(self, held: Held) -> None:
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
        self.worker.stop()
        self._finally(timeout, end=True)

    def _finally(self, timeout: float, *, end: bool) -> None:
        if not self._working.acquire(timeout=timeout):
            return
        try:
            self._clear_away()
            for shelf in self._shelves.values():
                self._let_go(shelf, end=end)
        except UNUSABLE as error:
            self._break(error)
        finally:
            if end and self._made is not None:
                self._made.close()
            self._working.release()

    def _let_go(self, shelf: _Shelf, *, end: bool) -> None:
        try:
            self._keep(shelf, under_way=True)
            self._close_segment(shelf)
            if end:
                shelf.lane.leave()
                self._clear_away()
        except UNUSABLE as error:  # which may be about one file
            self._break(error)

    def forget(self) -> None:
        """In a forked child: what the parent has claimed, and its lock, are the parent's."""
        if self._made is not None:
            self._made.unlock()
