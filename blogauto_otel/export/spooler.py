"""The spooler: stores on disk what waits in memory for too long, and replays it when the receiver is available.

It does all work on the disk in a thread of its own: a disk that hangs blocks neither the application nor the sender,
and a receiver that hangs does not block the disk. The thread ends when no items are in memory and nothing can be
replayed. The sender starts it again before it sends, and when a scan of the directory is due.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from blogauto_otel._clock import clock
from blogauto_otel._guard import log_once
from blogauto_otel._threads import ExclusiveLock, importing
from blogauto_otel.export.retry import SpoolTiming
from blogauto_otel.export.signal_exporter import SignalExporter
from blogauto_otel.export.signal_spool import Retries, SignalSpool
from blogauto_otel.export.stats import SpoolStats
from blogauto_otel.export.worker import NO_WORK, Worker
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.spool import location
from blogauto_otel.spool.directory import SpoolLimits
from blogauto_otel.spool.file_format import FREE, StoredRequest
from blogauto_otel.spool.store import ClaimedSegment, Spool

THREAD_NAME: Final = "blogauto-otel-spool"

_MIN_SLEEP: Final = 0.02  # seconds
_LOCK_TIMEOUT: Final = 1.0  # seconds that the thread waits for a flush that uses the spool

# The disk cannot be used now. Without memory, a file cannot be encoded either.
UNUSABLE: Final = (OSError, MemoryError)

_random: Final = random.SystemRandom()


class Spooler:
    """Moves batches between memory and disk."""

    def __init__(
        self,
        exporters: Iterable[SignalExporter],
        directories: Callable[[], Sequence[Path]],
        limits: SpoolLimits,
        *,
        drained: frozenset[Signal],
        wake_sender: Callable[[], None],
        is_sending: Callable[[], bool],
        timing: SpoolTiming,
    ) -> None:
        self.worker = Worker(THREAD_NAME, self.run_once, "keeping telemetry on disk", on_end=wake_sender)
        self._signals = {
            exporter.signal: SignalSpool(exporter, limits, self._scan_when_sendable) for exporter in exporters
        }
        self._directories = directories
        self._limits = limits
        self._timing = timing
        self._drained = drained
        self._wake_sender = wake_sender
        self._is_sending = is_sending
        self._needed_at = float("-inf")  # monotonic; when there was something that this thread must watch
        self._working = ExclusiveLock()  # held by the user of the spool: the thread, or a flush
        self._opened: Spool | None = None
        self._replayed: deque[tuple[ClaimedSegment, bool]] = deque()
        self._scan_at = clock.monotonic() + _random.uniform(0.0, timing.jitter)
        self._replay_at = 0.0
        self._cleaning = Retries()
        self._scanning = Retries()
        self._retries = [self._cleaning, self._scanning]
        self._retries += [each for signal in self._signals.values() for each in (signal.writing, signal.reading)]
        self._errors = 0
        self._closed = False
        self._store_until = float("inf")  # monotonic; a bound for a flush that has no thread of its own

    @property
    def _spool(self) -> Spool:
        if self._opened is None:  # in our thread, because choosing a directory uses the disk
            directory = location.choose(self._directories())
            self._opened = Spool(directory, self._limits, self._count_dropped)
            _log_other_destinations(directory)
        return self._opened

    def _count_dropped(self, signal: Signal, reason: str, items: int) -> None:
        self._signals[signal].exporter.queue.count(reason, items)

    def stats(self) -> SpoolStats:
        """The statistics of the spool; does not use the disk."""
        spool = self._opened
        if spool is None:
            return SpoolStats("", 0, 0, 0.0, 0, self._errors)
        return SpoolStats(
            str(spool.directory),
            spool.files,
            spool.bytes,
            spool.oldest_age,
            spool.quarantined,
            self._errors + spool.lock_errors,
        )

    # -- the thread

    def run_once(self) -> float:
        """Do what is due; returns the seconds until there is more."""
        if not self._working.acquire(timeout=_LOCK_TIMEOUT):
            return _LOCK_TIMEOUT
        try:
            self._work()
            return self._sleep(clock.monotonic())
        finally:
            self._working.release()

    def due_in(self, now: float) -> float:
        """Seconds until the thread has to run when it has ended; uses no disk, and never blocks."""
        return max(self._scan_at, self._scanning.next_at) - now

    def _work(self) -> None:
        """A write that fails does not delay a read, nor one signal another."""
        self._retry(self._cleaning, self._clean_up)
        for signal in self._signals.values():
            self._retry(signal.writing, self._write_due, signal)
        self._retry(self._scanning, self._scan)
        for signal in sorted(self._signals.values(), key=lambda signal: signal.replayed_at):
            self._retry(signal.reading, self._replay_next, signal)

    def _retry(self, retries: Retries, work: Callable[..., None], *args: Any) -> None:
        if self._closed or clock.monotonic() < retries.next_at:
            return
        if self._try(retries, work, *args) and retries.next_at:
            retries.next_at = 0.0
            if not any(each.next_at for each in self._retries):
                log_once("spool usable", "telemetry can be kept on disk again", level=logging.INFO)

    def _try(self, retries: Retries, work: Callable[..., None], *args: Any) -> bool:
        try:
            work(*args)
        except UNUSABLE as error:
            retries.next_at = clock.monotonic() + self._timing.retry_after_error
            self._count_error(error)
            return False
        return True

    def _sleep(self, now: float) -> float:
        """Seconds until there is more to do; `NO_WORK` when the sender can be the one who waits for it."""
        if self._is_sending() or self._replayed or any(signal.is_in_use for signal in self._signals.values()):
            self._needed_at = now
        lingers = self._needed_at + self._timing.linger - now
        if lingers <= 0 < self.due_in(now):
            return NO_WORK
        return max(_MIN_SLEEP, min(self._due_in(now), lingers if lingers > 0 else NO_WORK))

    def _due_in(self, now: float) -> float:
        signals = self._signals.values()
        times = [max(self._scan_at, self._scanning.next_at) - now]
        times += [self._cleaning.next_at - now] if self._replayed else []
        times += [max(each.writing.next_at - now, each.exporter.seconds_until_spool(now)) for each in signals]
        times += [
            max(self._replay_at - now, each.reading.next_at - now, each.exporter.replay.seconds_until_wanted(now))
            for each in signals
            if each.has_next
        ]
        return min(times)

    def _count_error(self, error: Exception) -> None:
        self._errors += 1
        log_once(
            "spool unusable",
            "telemetry cannot be kept on disk, and waits in memory only; set BLOGAUTO_OTEL_SPOOL_DIR to another"
            " directory, or to off: %s", str(error) or type(error).__name__,
        )  # fmt: skip

    # -- from memory to disk

    def _write_due(self, signal: SignalSpool) -> None:
        now, exporter = clock.monotonic(), signal.exporter
        is_failing = exporter.client.state.is_failing
        if signal.was_failing and not is_failing:
            self._scan_at = min(self._scan_at, now + _random.uniform(0.0, self._timing.jitter))
        signal.was_failing = is_failing
        if exporter.seconds_until_spool(now) <= 0:
            self._store(signal, in_flight=exporter.seconds_until_overdue(now) <= 0 and not exporter.latest_only)
        if signal.is_outdated or not (exporter.client.state.is_failing or exporter.latest_only):
            self._close_segment(signal)

    def _store(self, signal: SignalSpool, *, in_flight: bool) -> None:
        if signal.exporter.queue.items_in_memory_only:
            signal.store(self._spool, in_flight=in_flight, until=self._store_until)

    def _scan_when_sendable(self, exporter: SignalExporter) -> None:
        """Scan as soon as a new file can be sent: without new items, only its replay can detect recovery."""
        now = clock.monotonic()
        self._scan_at = min(self._scan_at, now + max(0.0, exporter.replay.seconds_until_wanted(now)))

    def _close_segment(self, signal: SignalSpool) -> None:
        if signal.segment is not None:
            signal.close_segment(self._spool)

    # -- from disk to the receiver

    def _scan(self) -> None:
        now = clock.monotonic()
        if now < self._scan_at:
            return
        found = self._spool.scan()
        has_work = self._spool.has_work(found)
        readable = {file.name.signal for file in self._spool.readable(found)}
        for name, signal in self._signals.items():
            signal.has_older_files = name in readable
        pause = self._timing.rescan_busy if has_work else self._timing.rescan_idle
        self._scan_at = now + pause * _random.uniform(0.8, 1.2)
        can_send = any(self._signals[name].exporter.replay.seconds_until_wanted(now) <= 0 for name in self._drained)
        if not (has_work and can_send and self._spool.lock()):
            self._spool.unlock()
            return
        free = self._spool.recover()
        for name in self._drained:
            self._signals[name].files = deque(file for file in free if file.name.signal is name)

    def _replay_next(self, signal: SignalSpool) -> None:
        """Give the sender the next file, if it can be sent."""
        now, replay_ = clock.monotonic(), signal.exporter.replay
        while now >= self._replay_at and signal.has_next and replay_.seconds_until_wanted(now) <= 0:
            segment = signal.claim_next(self._spool)
            request = None if segment is None else self._read(segment)
            if segment is not None and request is not None:
                self._replay_at = now + len(request.content) / self._timing.replay_bytes_per_second
                signal.replayed_at = now
                replay_.add(segment, request)
                self._wake_sender()

    def _read(self, segment: ClaimedSegment) -> StoredRequest | None:
        try:
            return self._spool.read(segment)
        except UNUSABLE:
            self._replayed.append((segment, False))  # the file is good; a descriptor may be missing, for example
            raise

    def on_replayed(self, segment: ClaimedSegment, done: bool) -> None:
        """Called by the sender: the file can be deleted (`done`), or is to be sent later."""
        self._replayed.append((segment, done))
        self.worker.wake()

    def _clean_up(self) -> None:
        while self._replayed:
            segment, done = self._replayed[0]
            try:
                if done:
                    self._spool.delete(segment)
                else:
                    self._return(segment)
            except BaseException:
                self._replayed.rotate(-1)  # later, so that one bad file does not delay the others
                raise
            self._replayed.popleft()
            if not any(signal.files for signal in self._signals.values()):
                self._scan_at = 0.0  # are there more files, and does another process want to drain?

    def _return(self, segment: ClaimedSegment) -> None:
        """Release a file that was not sent; it is the next one again, so the order is kept."""
        file = self._spool.release(segment)
        if file is not None:
            self._signals[segment.name.signal].files.appendleft(file)
        self._replay_at = 0.0  # nothing was sent, so the rate needs no pause

    # -- flush and end

    def store_all(self, timeout: float) -> None:
        """Store all items that are in memory only."""
        self._store_everything(timeout, close=False)

    def close(self, timeout: float) -> None:
        """Store all items, release every file, and end the thread."""
        self._closed = True
        self.worker.stop()
        self._store_everything(timeout, close=True)

    def _store_everything(self, timeout: float, *, close: bool) -> None:
        deadline = clock.monotonic() + timeout
        if not self._working.acquire(timeout=timeout):
            return
        self._store_until = deadline
        try:
            self._try(self._cleaning, self._clean_up)
            for signal in self._signals.values():
                self._try(signal.writing, partial(self._store, signal, in_flight=True))
                self._try(signal.writing, self._close_segment, signal)
                if close:
                    signal.exporter.release_copies()
                    self._try(self._cleaning, self._clean_up)
        finally:
            self._store_until = float("inf")
            if close and self._opened is not None:
                self._opened.close()
            self._working.release()

    def after_fork_in_child(self) -> None:
        """Close the copy of the parent's lock; the parent's claims stay its own."""
        if self._opened is not None:
            self._opened.unlock(forked=True)


def _log_other_destinations(directory: Path) -> None:
    """Log once where requests wait that were stored for another endpoint or with other headers."""
    waiting = [path for path in location.other_destinations(directory) if _has_free_files(path)]
    if waiting:
        log_once(
            "spool elsewhere",
            "telemetry stored for another endpoint or with other headers is not delivered by this process: %s;"
            " if they only changed, move the files to %s",
            ", ".join(map(str, waiting)), directory, level=logging.INFO,
        )  # fmt: skip


def _has_free_files(directory: Path) -> bool:
    with importing:
        from blogauto_otel.spool import inspection  # only where there is another directory

    try:
        return any(file.name.state == FREE for file in inspection.list_files(directory))
    except OSError:
        return False
