"""A queue of encoded items, bounded in items and bytes; it never blocks, and counts every drop."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import field
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

from blogauto_otel._clock import clock
from blogauto_otel._dataclass import dataclass
from blogauto_otel.otlp import drop_reasons

if TYPE_CHECKING:
    from blogauto_otel.spool.store import ClaimedSegment

_PARTS: Final = 3  # of an item in the deque
_FRAME: Final = 16  # bytes, at most, of tags and lengths around a scope
_BETWEEN_WAKES: Final = 0.05  # seconds between two wake-ups while a full batch waits


@dataclass(eq=False)
class Batch:
    """Items in flight: taken from the queue, still counted in its bytes (docs/architecture.md)."""

    parts: list[Any] = field(default_factory=list)  # scope, item, time; scope, item, time; ...
    size: int = 0  # bytes of the items
    is_counted: bool = False  # already counted as dropped or stored; ignore its later result
    copy: ClaimedSegment | None = None  # its copy on disk

    def __len__(self) -> int:
        return len(self.parts) // _PARTS

    @property
    def scopes(self) -> Sequence[bytes]:
        """The scope of each item."""
        return self.parts[::_PARTS]

    @property
    def items(self) -> Sequence[bytes]:
        """The items, in their order."""
        return self.parts[1::_PARTS]

    @property
    def oldest(self) -> float:
        """When its first item was put (monotonic)."""
        return float(self.parts[_PARTS - 1])


class Queue:
    """First in, first out; when it is full, the oldest item is dropped.

    One flat deque of scope, item and time, one after the other: bytes and floats are invisible to the garbage
    collector, tuples are not. The lock is reentrant, because a signal handler or a finalizer may log in the middle of
    `put`. There is no call between reading and writing a counter, so such an interruption cannot corrupt it. For the
    same reason the three parts of an item enter and leave in one call, which nothing interrupts.
    """

    def __init__(
        self,
        *,
        max_items: int,
        max_bytes: int,
        max_item: int,
        wake_items: int,
        wake_bytes: int,
        watermark: float = 1.0,
    ) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._watermark_items = int(max_items * watermark)  # above it, items are moved to disk
        self._watermark_bytes = int(max_bytes * watermark)
        self._woken_at = float("-inf")
        self._max_item = max_item  # bytes of an item with its scope
        self._wake_items = wake_items
        self._wake_bytes = wake_bytes
        # Below both, and with nothing in flight, an item is neither the last of a batch nor above a bound.
        self._calm_length = _PARTS * min(wake_items, self._watermark_items + 1)
        self._calm_bytes = min(wake_bytes, self._watermark_bytes + 1)
        self._lock = threading.RLock()
        self._waiting: deque[Any] = deque()  # scope, item, time; scope, item, time; ...
        self._thrice = (self._waiting,) * _PARTS
        self._most = 0  # items that waited when some were last taken or dropped
        self._dropped: dict[str, int] = {}
        self._in_flight: list[Batch] = []  # batches without a result
        self._items_in_flight = 0
        self._closed = False
        self.accepted = 0
        self.bytes = 0  # waiting and in flight

    def put(self, scope: bytes, item: bytes) -> bool | None:
        """Add an item.

        Returns:
            None when it was dropped; else whether to wake the worker: the queue was empty, a batch is full, or the
            queue is above its watermark.
        """
        size = len(item)
        now = clock.monotonic()
        with self._lock:
            if size + len(scope) > self._max_item:
                self.count(drop_reasons.AFTER_SHUTDOWN if self._closed else drop_reasons.TOO_LARGE)
                return None
            try:
                self._waiting.extend((scope, item, now))
            finally:
                self.accepted += 1
                self.bytes = held = self.bytes + size
            if (
                _PARTS < len(self._waiting) < self._calm_length and held < self._calm_bytes
                and not self._items_in_flight
            ):  # fmt: skip
                return False  # nearly always: none of the bounds is near
            return self._should_wake(size, now)

    def _should_wake(self, size: int, now: float) -> bool:
        """Whether the last item, of `size` bytes, filled a batch or was the first, or the queue is above its bounds.

        An exception of a signal handler may prevent a wake-up, so a full batch that still waits wakes the worker again.
        """
        if self.above_watermark:
            self._make_room()
        waiting = len(self)
        begins = waiting == 1 or waiting == self._wake_items or self.bytes - size < self._wake_bytes <= self.bytes
        is_full = waiting > self._wake_items or self.bytes > self._wake_bytes or self.above_watermark
        if not begins and (not is_full or now - self._woken_at < _BETWEEN_WAKES):
            return False
        self._woken_at = now
        return True

    def count(self, reason: str, count: int = 1) -> None:
        """Count dropped items."""
        with self._lock:
            self._dropped.setdefault(reason, 0)
            self._dropped[reason] += count

    @property
    def above_watermark(self) -> bool:
        """Whether items should be moved to disk."""
        return self.unacknowledged > self._watermark_items or self.bytes > self._watermark_bytes

    def _make_room(self) -> None:
        self._note_most()
        dropped = 0
        while self._waiting and (self.unacknowledged > self._max_items or self.bytes > self._max_bytes):
            if not self._drop_oldest():
                break
            dropped += 1
        if dropped:
            self.count(drop_reasons.QUEUE_FULL, dropped)

    def _pop_oldest(self) -> tuple[bytes, bytes, float] | None:
        """Remove the oldest item; None when the queue is empty."""
        try:
            scope, item, put_at = map(deque.popleft, self._thrice)
        except IndexError:
            return None
        return scope, item, put_at

    def _drop_oldest(self) -> bool:
        oldest = self._pop_oldest()
        if oldest is None:
            return False
        size = len(oldest[1])
        self.bytes -= size
        return True

    # -- batches

    def take(self, max_items: int, max_bytes: int) -> Batch | None:
        """Take the oldest items for one request; None when the queue is empty. The first one comes at any size."""
        batch = Batch()
        parts, waiting = batch.parts, self._waiting
        with self._lock:
            self._note_most()
            count = min(len(waiting), _PARTS * max_items)
            parts.extend(map(deque.popleft, repeat(waiting, count)))  # one step, which nothing interrupts
            if not parts:
                return None
            batch.size = sum(map(len, batch.items))
            self._limit_bytes(batch, max_bytes)
            self._items_in_flight += len(batch)
            self._in_flight.append(batch)
        return batch

    def _limit_bytes(self, batch: Batch, max_bytes: int) -> None:
        """Return the items of a batch that make its request larger than `max_bytes`."""
        frames = {scope: len(scope) + _FRAME for scope in set(batch.scopes)}
        if batch.size + sum(frames.values()) <= max_bytes:
            return
        weight = 0
        for count, (scope, item) in enumerate(zip(batch.scopes, batch.items, strict=True)):
            weight += frames.pop(scope, 0) + len(item)
            if weight > max_bytes and count:
                rest = batch.parts[_PARTS * count :]
                self._waiting.extendleft(reversed(rest))
                del batch.parts[_PARTS * count :]
                batch.size = sum(map(len, batch.items))
                return

    def ack(self, batch: Batch) -> bool:
        """Remove a batch that was delivered, refused or stored; False when its result is already known."""
        with self._lock:
            if batch.is_counted:
                return False
            self._in_flight.remove(batch)
            count = len(batch)
            self._items_in_flight -= count
            self.bytes -= batch.size
            return True

    def requeue(self, batch: Batch) -> bool:
        """Return the items of a batch to the front; over the bounds, the oldest are dropped.

        Returns:
            False when they are not returned: its result is already known, or it has a copy on disk.
        """
        with self._lock:
            if not self.ack(batch) or batch.copy is not None:
                return False
            self._waiting.extendleft(reversed(batch.parts))
            self.bytes += batch.size
            self._make_room()
            return True

    def attach_copy(self, batch: Batch, copy: ClaimedSegment) -> bool:
        """Record the copy of a batch on disk; False when the batch is not in flight any more."""
        with self._lock:
            if batch.is_counted or batch not in self._in_flight:
                return False
            batch.copy = copy
            return True

    def ack_copied(self) -> Sequence[Batch]:
        """Remove every batch in flight that has a copy on disk; its later result is ignored."""
        with self._lock:
            copied = [batch for batch in self._in_flight if batch.copy is not None]
            for batch in copied:
                self.ack(batch)
                batch.is_counted = True
            return copied

    def drop_all(self, reason: str) -> int:
        """Drop what waits and what is in flight; returns the number of items."""
        with self._lock:
            count = self.drop_waiting(reason)
            while self._in_flight:
                batch = self._in_flight.pop()
                batch.is_counted = True
                items = len(batch)
                self.bytes -= batch.size
                self._items_in_flight -= items
                self.count(reason, items)
                count += items
            return count

    def drop_waiting(self, reason: str) -> int:
        """Drop what waits; returns the number of items."""
        with self._lock:
            self._note_most()
            count = 0
            while self._drop_oldest():
                count += 1
            if count:
                self.count(reason, count)
            return count

    def close(self) -> None:
        """Accept no more items."""
        with self._lock:
            self._closed, self._max_item = True, -1  # so that `put` asks once for both

    # -- what it holds

    def __len__(self) -> int:
        return len(self._waiting) // _PARTS

    @property
    def high_water(self) -> int:
        """The most items that have waited at once."""
        return max(self._most, len(self))

    def _note_most(self) -> None:
        """Called before items leave, so that `put` need not count."""
        self._most = max(self._most, len(self))

    @property
    def unacknowledged(self) -> int:
        """Items waiting or in flight."""
        return len(self) + self._items_in_flight

    def in_memory_only(self) -> Sequence[Batch]:
        """Batches in flight without a copy on disk."""
        with self._lock:
            return [batch for batch in self._in_flight if batch.copy is None]

    @property
    def items_in_memory_only(self) -> int:
        """Items that are neither delivered nor on disk."""
        with self._lock:
            return len(self) + sum(map(len, self.in_memory_only()))

    @property
    def oldest_in_memory_only(self) -> float | None:
        """When the oldest item was put that is neither delivered nor on disk (monotonic)."""
        with self._lock:
            times = [batch.oldest for batch in self.in_memory_only()]
            oldest = self.oldest
            if oldest is not None:
                times.append(oldest)
            return min(times, default=None)

    @property
    def oldest(self) -> float | None:
        """When the oldest waiting item was put (monotonic)."""
        try:
            return float(self._waiting[_PARTS - 1])
        except IndexError:
            return None

    @property
    def dropped(self) -> Mapping[str, int]:
        """Dropped items by reason."""
        with self._lock:
            return dict(self._dropped)


def group_by_scope(batch: Batch) -> Mapping[bytes, Sequence[bytes]]:
    """The items by scope, in the order of their first appearance."""
    scopes, items = batch.scopes, batch.items
    if len(set(scopes)) == 1:  # nearly always
        return {scopes[0]: items}
    groups: dict[bytes, list[bytes]] = {}
    for scope, item in zip(scopes, items, strict=True):
        groups.setdefault(scope, []).append(item)
    return groups
