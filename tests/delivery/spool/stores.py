"""Spools on a disk that fails on command, in hands that die on command."""

from __future__ import annotations

import errno
import hashlib
from collections import Counter
from pathlib import Path

from blogauto_otel.delivery.owner import retire
from blogauto_otel.delivery.signal import Signal
from blogauto_otel.delivery.spool import Clock, Disk, Limits, Spool
from blogauto_otel.delivery.spoolfile import FREE, Kept, unpack

ITEM = 64  # bytes; no two are alike, and none can be made smaller


class Crash(BaseException):
    """The process is gone: nothing that follows in it happens."""


class FailingDisk(Disk):
    """A real disk; the n-th change from now never happens, and neither does anything after it."""

    def __init__(self) -> None:
        self.crash_in: int | None = None
        self.error: OSError | None = None  # raised instead, by every change
        self.full_after: int | None = None  # so many further files

    def _next(self) -> None:
        if self.error is not None:
            raise self.error
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in < 0:
                raise Crash

    def create(self, directory: int, name: str) -> int:
        self._next()
        if self.full_after is not None:
            self.full_after -= 1
            if self.full_after < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
        return super().create(directory, name)

    def write(self, file: int, data: memoryview) -> int:
        half = max(1, len(data) // 2)  # a write may be torn anywhere, and is when the process dies in it
        written = super().write(file, data[:half])
        self._next()
        return written

    def sync(self, file: int) -> None:
        self._next()
        super().sync(file)

    def rename(self, directory: int, old: str, new: str) -> None:
        self._next()
        super().rename(directory, old, new)

    def unlink(self, directory: int, name: str) -> None:
        self._next()
        super().unlink(directory, name)


class ManualClock(Clock):
    """A machine whose calendar and uptime are set by hand."""

    def __init__(self, boot: str = "0badcafe") -> None:
        self.boot = boot
        self.now = 1_800_000_000.0
        self.uptime = 1000.0

    def wall(self) -> int:
        return int(self.now * 1e9)

    def up(self) -> int:
        return int(self.uptime * 1000)

    def pass_(self, seconds: float) -> None:
        self.now += seconds
        self.uptime += seconds


class Store:
    """One process at a directory."""

    def __init__(self, directory: Path, *, clock: Clock | None = None, **limits: object) -> None:
        self.disk = FailingDisk()
        self.lost: Counter[tuple[Signal, str]] = Counter()
        self.spool = Spool(directory, Limits(**limits), self._count, disk=self.disk, clock=clock)  # type: ignore[arg-type]

    def _count(self, signal: Signal, reason: str, items: int) -> None:
        self.lost[signal, reason] += items

    def losses(self) -> dict[str, int]:
        """By reason."""
        by_reason: Counter[str] = Counter()
        for (_, reason), count in self.lost.items():
            by_reason[reason] += count
        return dict(by_reason)

    def die(self) -> None:
        """As SIGKILL does: locks are free, and claims are a dead process's."""
        self.spool.unlock()
        retire(self.spool._owner)

    def drain(self) -> list[Kept]:
        """All that can be read, taken away."""
        found: list[Kept] = []
        if not self.spool.directory.exists():
            return found
        assert self.spool.lock()
        for entry in self.spool.recover():
            held = self.spool.claim(entry)
            assert held is not None
            kept = self.spool.read(held)
            if kept is not None:
                found.append(kept)
                self.spool.discard(held)
        self.spool.unlock()
        return found


def item(number: int) -> bytes:
    return hashlib.sha512(b"%d" % number).digest()


def a_kept(*numbers: int, signal: Signal = Signal.TRACES) -> Kept:
    return Kept(signal, len(numbers), b"".join(map(item, numbers)))


def items(kept: Kept) -> list[bytes]:
    found = [kept.content[start : start + ITEM] for start in range(0, len(kept.content), ITEM)]
    assert len(found) == kept.items
    return found


def free_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.suffix in {".traces", ".logs", ".metrics"})


def contents(directory: Path) -> list[Kept]:
    """Every whole file, claimed or free. Raises when one that should be whole is not."""
    found = []
    for path in sorted(directory.iterdir()):
        state = path.name.partition(".")[2].partition(".")[2].partition("-")[0]
        if not path.name.startswith(".") and state in (FREE, "claim"):
            found.append(unpack(path.read_bytes(), max_content=2**24))
    return found
