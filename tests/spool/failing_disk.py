"""Spools on a disk that fails, and in processes that die, at a chosen moment."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blogauto_otel.otlp.signal import Signal
from blogauto_otel.spool.directory import SpoolLimits
from blogauto_otel.spool.disk import Clock, Disk
from blogauto_otel.spool.file_format import FREE, StoredRequest, decode, parse
from blogauto_otel.spool.ownership import end_owner
from blogauto_otel.spool.store import Spool

ITEM = 64  # bytes; no two are alike, and none can be made smaller


class Crash(BaseException):
    """The process is gone: nothing that follows in it happens."""


class FailingDisk(Disk):
    """A real disk, which writes in two halves; the process dies at the n-th moment from now.

    Each change has two such moments, before and after it; in the middle of a write is after its first half.
    """

    def __init__(self) -> None:
        self.crash_in: int | None = None
        self.moments = 0  # that were survived
        self.error: OSError | None = None  # raised instead, by every change
        self.full_after: int | None = None  # so many further files
        self.latest_unlinked = ""
        self._halves: set[int] = set()  # files of which one is written

    def _next(self) -> None:
        if self.error is not None:
            raise self.error
        self._moment()

    def _moment(self) -> None:
        if self.moments == self.crash_in:
            raise Crash
        self.moments += 1

    def die_at(self, moment: int | None) -> None:
        """At which moment from now; never, when there is none."""
        self.crash_in, self.moments = moment, 0

    def create(self, directory: int, name: str) -> int:
        self._next()
        if self.full_after is not None:
            self.full_after -= 1
            if self.full_after < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
        file = super().create(directory, name)
        self._halves.discard(file)
        self._moment()
        return file

    def write(self, file: int, data: memoryview) -> int:
        self._next()
        if file not in self._halves:
            self._halves.add(file)
            data = data[: len(data) // 2]
        written = super().write(file, data)
        self._moment()
        return written

    def sync(self, file: int) -> None:
        self._next()
        super().sync(file)
        self._moment()

    def rename(self, directory: int, old: str, new: str) -> None:
        self._next()
        super().rename(directory, old, new)
        self._moment()

    def unlink(self, directory: int, name: str) -> None:
        self._next()
        super().unlink(directory, name)
        self.latest_unlinked = name
        self._moment()
        self.latest_unlinked = ""


SYSTEM_CALLS = (
    *((os, name) for name in ("open", "close", "read", "write", "stat", "fstat", "fstatvfs", "scandir")),
    *((os, name) for name in ("mkdir", "fchmod", "rename", "unlink", "fsync")),
    (fcntl, "flock"),
)


class Mortal:
    """A process that dies before one of its calls to the system; the kernel closes what it had open."""

    def __init__(self, calls: int) -> None:
        self._left = calls
        self._open: set[int] = set()

    def survives(self, work: Callable[[], object]) -> bool:
        """Do it; False when the process died in the middle."""
        with pytest.MonkeyPatch.context() as patch:
            for module, name in SYSTEM_CALLS:
                patch.setattr(module, name, self._counted(getattr(module, name)))
            try:
                work()
                alive = True
            except Crash:
                alive = False
        for file in self._open:
            os.close(file)
        return alive

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                raise Crash
            made = call(*args, **named)
            if call.__name__ == "open":
                self._open.add(made)
            elif call.__name__ == "close":
                self._open.discard(args[0])
            return made

        return counted


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
        self.spool = Spool(directory, SpoolLimits(**limits), self._count, disk=self.disk, clock=clock)  # type: ignore[arg-type]

    def _count(self, signal: Signal, reason: str, items: int) -> None:
        self.lost[signal, reason] += items

    def losses(self) -> dict[str, int]:
        """By reason."""
        by_reason: Counter[str] = Counter()
        for (_, reason), count in self.lost.items():
            by_reason[reason] += count
        return dict(by_reason)

    def dropped_uncounted(self) -> int:
        """How many items of a free file were dropped at the very end of a process, before it could count them."""
        name = parse(self.disk.latest_unlinked)
        return name.items if name is not None and name.state == FREE else 0

    def die(self) -> None:
        """As SIGKILL does: locks are free, and claims are a dead process's."""
        self.spool.unlock()
        end_owner(self.spool._owner)

    def drain(self) -> list[StoredRequest]:
        """All that can be read, taken away."""
        found: list[StoredRequest] = []
        if not self.spool.directory.exists():
            return found
        assert self.spool.lock()
        for file in self.spool.recover():
            segment = self.spool.claim(file)
            assert segment is not None
            request = self.spool.read(segment)
            if request is not None:
                found.append(request)
                self.spool.delete(segment)
        self.spool.unlock()
        return found


def item(number: int) -> bytes:
    return hashlib.sha512(b"%d" % number).digest()


def a_request(*numbers: int, signal: Signal = Signal.TRACES) -> StoredRequest:
    return StoredRequest(signal, len(numbers), b"".join(map(item, numbers)))


def items(request: StoredRequest) -> list[bytes]:
    found = [request.content[start : start + ITEM] for start in range(0, len(request.content), ITEM)]
    assert len(found) == request.items
    return found


def free_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.suffix in {".traces", ".logs", ".metrics"})


def contents(directory: Path) -> list[StoredRequest]:
    """Every whole file, claimed or free. Raises when one that should be whole is not."""
    found = []
    for path in sorted(directory.iterdir()):
        state = path.name.partition(".")[2].partition(".")[2].partition("-")[0]
        if not path.name.startswith(".") and state in (FREE, "claim"):
            found.append(decode(path.read_bytes(), max_content=2**24))
    return found
