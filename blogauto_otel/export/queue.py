"""Where encoded items wait: bounded in items and in bytes, never blocking, every loss counted."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from blogauto_otel.otlp import drop_reasons

if TYPE_CHECKING:
    from blogauto_otel.spool.store import ClaimedSegment

_FRAME: Final = 16  # bytes, at most, of tags and lengths around a scope
_BETWEEN_ALARMS: Final = 0.05  # seconds


@dataclass(eq=False)
class Batch:
    """Items on their way: taken from the queue, still counted in its bytes."""

    scopes: list[bytes] = field(default_factory=list)
    items: list[bytes] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    size: int = 0  # bytes of the items
    weight: int = 0  # bytes that they will take in a request, with their scopes
    given_up: bool = False  # accounted for already: whatever becomes of it is of no account
    complete: bool = False  # nothing is added to it any more
    kept: ClaimedSegment | None = None  # its copy on disk

    def __len__(self) -> int:
        return len(self.items)


class Queue:
    """First in, first out; when it is full the oldest goes.

    Three parallel deques instead of one of tuples: bytes and floats are invisible to the garbage collector, tuples are
    not. The lock is reentrant, because a signal handler or a finalizer may log in the middle of `put`; no call stands
    between the reading and the writing of a counter, so such an interruption does not spoil it. For the same reason
    an item enters and leaves all three deques in one call, which nothing interrupts: by half, it would put all others
    out of step.
    """

    def __init__(
        self,
        *,
        max_items: int,
        max_bytes: int,
        max_item: int,
        wake_items: int,
        wake_bytes: int,
        crowded_from: float = 1.0,
    ) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._many_items = int(max_items * crowded_from)  # from here on somebody else should take some
        self._many_bytes = int(max_bytes * crowded_from)
        self._alarmed_at = float("-inf")
        self._max_item = max_item  # bytes of an item with its scope
        self._wake_items = wake_items
        self._wake_bytes = wake_bytes
        self._lock = threading.RLock()
        self._scopes: deque[bytes] = deque()
        self._items: deque[bytes] = deque()
        self._times: deque[float] = deque()
        self._ends: tuple[deque[Any], ...] = (self._scopes, self._items, self._times)
        self._dropped: dict[str, int] = {}
        self._on_the_way: list[Batch] = []  # batches that were taken and are not settled
        self._items_on_the_way = 0
        self._closed = False
        self.accepted = 0
        self.bytes = 0  # waiting and on the way
        self.high_water = 0

    def put(self, scope: bytes, item: bytes) -> bool | None:
        """Add an item.

        Returns:
            None when it was lost, else whether somebody should be woken: the queue was empty, a batch is full, or all
            is getting crowded.
        """
        size = len(item)
        now = time.monotonic()
        with self._lock:
            if self._closed:
                self.count(drop_reasons.AFTER_SHUTDOWN)
                return None
            if size + len(scope) > self._max_item:
                self.count(drop_reasons.TOO_LARGE)
                return None
            appending = map(deque.append, self._ends, (scope, item, now))
            try:
                any(appending)
            finally:
                self.accepted += 1
                self.bytes += size
            waiting = len(self._items)
            if waiting > self.high_water:
                self.high_water = waiting
            if (waiting + self._items_on_the_way > self._many_items or self.bytes > self._many_bytes) and (
                self._crowd(now)
            ):
                return True
            return waiting == 1 or waiting == self._wake_items or self.bytes - size < self._wake_bytes <= self.bytes

    def count(self, reason: str, count: int = 1) -> None:
        """Count a loss."""
        with self._lock:
            self._dropped.setdefault(reason, 0)
            self._dropped[reason] += count

    def _crowd(self, now: float) -> bool:
        self._make_room()
        if now - self._alarmed_at < _BETWEEN_ALARMS or not self.crowded:
            return False
        self._alarmed_at = now
        return True

    @property
    def crowded(self) -> bool:
        """Whether so much is in hand that somebody else should take some."""
        return self.items_in_hand > self._many_items or self.bytes > self._many_bytes

    def _make_room(self) -> None:
        dropped = 0
        while self._items and (
            len(self._items) + self._items_on_the_way > self._max_items or self.bytes > self._max_bytes
        ):
            if not self._drop_oldest():
                break
            dropped += 1
        if dropped:
            self.count(drop_reasons.QUEUE_FULL, dropped)

    def _oldest(self) -> tuple[bytes, bytes, float] | None:
        """Remove the oldest item; None when nothing waits."""
        try:
            scope, item, put_at = map(deque.popleft, self._ends)
        except IndexError:
            return None
        return scope, item, put_at

    def _drop_oldest(self) -> bool:
        oldest = self._oldest()
        if oldest is None:
            return False
        size = len(oldest[1])
        self.bytes -= size
        return True

    def take(self, max_items: int, max_bytes: int) -> Batch | None:
        """Take the oldest items for one request; None when nothing waits. The first one comes whatever its size."""
        batch = Batch()
        with self._lock:
            self._on_the_way.append(batch)
        while len(batch) < max_items:
            with self._lock:  # in short turns: whoever puts an item waits for this lock
                if not self._take_some(batch, min(max_items, len(batch) + 128), max_bytes):
                    break
        if batch.items:
            batch.complete = True
            return batch
        self.settle(batch)
        return None

    def _take_some(self, batch: Batch, until: int, max_bytes: int) -> bool:
        before = len(batch)
        while len(batch) < until and (oldest := self._oldest()) is not None:
            scope, item, put_at = oldest
            size = weight = len(item)
            if not batch.scopes or scope is not batch.scopes[-1]:
                weight += len(scope) + _FRAME
            if batch.items and batch.weight + weight > max_bytes:
                any(map(deque.appendleft, self._ends, oldest))
                break
            batch.scopes.append(scope)
            batch.items.append(item)
            batch.times.append(put_at)
            batch.size += size
            batch.weight += weight
        taken = len(batch) - before
        self._items_on_the_way += taken
        return taken > 0

    def settle(self, batch: Batch) -> bool:
        """The batch has left us, one way or the other; False when it was given up before."""
        with self._lock:
            if batch.given_up:
                return False
            self._on_the_way.remove(batch)
            count = len(batch)
            self._items_on_the_way -= count
            self.bytes -= batch.size
            return True

    def put_back(self, batch: Batch) -> bool:
        """The batch goes to the front again; over the bounds, its oldest items are dropped.

        Returns:
            False when it need not wait here: it was given up before, or is on disk.
        """
        with self._lock:
            if not self.settle(batch) or batch.kept is not None:
                return False
            returning: tuple[Any, ...] = (batch.scopes[::-1], batch.items[::-1], batch.times[::-1])
            any(map(deque.extendleft, self._ends, returning))
            self.bytes += batch.size
            self._make_room()
            return True

    def only_here(self) -> Sequence[Batch]:
        """What is on the way and not on disk."""
        with self._lock:
            return [batch for batch in self._on_the_way if batch.kept is None and batch.complete]

    def attach(self, batch: Batch, kept: ClaimedSegment) -> bool:
        """The batch has a copy on disk; False when its outcome was there before."""
        with self._lock:
            if batch.given_up or batch not in self._on_the_way:
                return False
            batch.kept = kept
            return True

    def leave(self) -> Sequence[Batch]:
        """Let go of what is on the way and on disk too, whatever its outcome will be."""
        with self._lock:
            left = [batch for batch in self._on_the_way if batch.kept is not None]
            for batch in left:
                self.settle(batch)
                batch.given_up = True
            return left

    def give_up(self, reason: str) -> int:
        """Drop what waits, and what is on the way with an outcome nobody will wait for; returns how many."""
        with self._lock:
            count = self.discard(reason)
            while self._on_the_way:
                batch = self._on_the_way.pop()
                batch.given_up = True
                items = len(batch)
                self.bytes -= batch.size
                self._items_on_the_way -= items
                self.count(reason, items)
                count += items
            return count

    def discard(self, reason: str) -> int:
        """Drop all that waits; returns how many."""
        with self._lock:
            count = 0
            while self._drop_oldest():
                count += 1
            if count:
                self.count(reason, count)
            return count

    def close(self) -> None:
        """Accept nothing from here on."""
        with self._lock:
            self._closed = True

    def __len__(self) -> int:
        return len(self._items)

    @property
    def items_in_hand(self) -> int:
        """Items waiting or on the way."""
        return len(self._items) + self._items_on_the_way

    @property
    def items_only_here(self) -> int:
        """Items that are neither delivered nor on disk."""
        with self._lock:
            return len(self._items) + sum(map(len, self.only_here()))

    @property
    def oldest_only_here(self) -> float | None:
        """When the oldest item came that is neither delivered nor on disk (`time.monotonic`)."""
        with self._lock:
            times = [batch.times[0] for batch in self.only_here()]
            if self._times:
                times.append(self._times[0])
            return min(times, default=None)

    @property
    def oldest(self) -> float | None:
        """When the oldest waiting item came (`time.monotonic`)."""
        try:
            return self._times[0]
        except IndexError:
            return None

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many items were lost, by reason."""
        with self._lock:
            return dict(self._dropped)


def grouped(batch: Batch) -> Mapping[bytes, Sequence[bytes]]:
    """The items by scope, in the order of their first appearance."""
    groups: dict[bytes, list[bytes]] = {}
    for scope, item in zip(batch.scopes, batch.items, strict=True):
        groups.setdefault(scope, []).append(item)
    return groups
