"""The spool directory: requests that could not be sent, shared by all processes of a service on this host.

A file holds one request. It is written under another name and then renamed, so a kill at any moment leaves whole files
only. A process claims a file by renaming it; the claims of ended processes are taken back (docs/decisions/0050).
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from blogauto_otel._dataclass import dataclass
from blogauto_otel._guard import log_once
from blogauto_otel.errors import DamagedError, NewerVersionError
from blogauto_otel.otlp.drop_reasons import SPOOL_DAMAGED, SPOOL_EXPIRED
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.spool.directory import DropCallback, SpoolDirectory, SpoolFile, SpoolLimits
from blogauto_otel.spool.disk import Clock, Disk, LockResult, open_lock, try_lock, unlock
from blogauto_otel.spool.file_format import (
    CLAIMED,
    DAMAGED,
    FREE,
    UNFINISHED,
    Name,
    StoredRequest,
    decode,
    encode,
    new_name,
)
from blogauto_otel.spool.ownership import end_owner, fd_identity, is_dead, new_owner

METRICS_AGE: Final = 3600.0  # seconds; backends refuse data points that are much older
MAX_DAMAGED: Final = 16

_DRAIN_LOCK: Final = ".drain.lock"
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # opening a pipe would block

# Errors of one file, and not of this process or the system: a link, a socket, a directory, a bad sector.
_UNREADABLE: Final = frozenset({errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EIO})

_serials: Final = itertools.count(1)  # of all files of this process


@dataclass(frozen=True)
class ClaimedSegment:
    """A file that this process has claimed: no other process touches it while this one lives."""

    name: Name
    size: int
    items: int


class Spool:
    """The directory. Used by one thread at a time; every call may raise `OSError`, and leaves whole files only."""

    def __init__(
        self,
        directory: Path,
        limits: SpoolLimits,
        on_drop: DropCallback,
        *,
        disk: Disk | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.directory = directory
        self.lock_errors = 0  # times that the file system had no locks
        self.files = 0  # files with unsent requests, at the last scan
        self.bytes = 0
        self.oldest_age = 0.0  # seconds
        self._limits = limits
        self._on_drop = on_drop
        self._clock = clock or Clock()
        self._owner = new_owner()
        self._disk = disk or Disk()
        self._directory = SpoolDirectory(directory, limits, on_drop, self._disk, self._owner)
        self._newer: set[str] = set()  # stems of files of a newer version
        self._latest = 0
        self._drain_lock: int | None = None
        self._drain_lock_identity: object = None

    @property
    def quarantined(self) -> int:
        """How many files could not be read; those of too many bytes are deleted."""
        return self._directory.quarantined

    def scan(self) -> list[SpoolFile]:
        """The spool files, oldest first; empty when there is no directory."""
        files = []
        with contextlib.suppress(FileNotFoundError), self._directory.open() as directory:
            files = self._directory.files(directory)
        self._update_totals(files)
        return files

    def _update_totals(self, files: Sequence[SpoolFile]) -> None:
        unsent = [file for file in files if file.name.state in (FREE, CLAIMED)]
        self.files, self.bytes = len(unsent), sum(file.size for file in unsent)
        self.oldest_age = self._clock.oldest_age(file.name for file in unsent)

    # -- writing

    def write(
        self, request: StoredRequest, *, claim: bool = False, replaces: ClaimedSegment | None = None
    ) -> ClaimedSegment:
        """Write a file; when this returns, the file survives the end of the process.

        Args:
            request: its content.
            claim: claim the file at once; otherwise any process may claim and send it.
            replaces: a claimed file that the new one replaces atomically.

        Raises:
            OSError: it could not be written; nothing of it is left.
        """
        data = encode(request)
        name = replaces.name if replaces else self._new_name(request)
        if claim:
            name = name.with_state(CLAIMED, self._owner)
        with self._directory.open(create=True) as directory, self._directory.hold_write_lock(directory):
            others = self._directory.make_room(directory, len(data), replaced=replaces.name if replaces else None)
            self._directory.write(directory, data, name)
        self._update_totals([*others, SpoolFile(name, len(data), 0.0)])
        return ClaimedSegment(name, len(data), request.items)

    def _new_name(self, request: StoredRequest) -> Name:
        # Later than the name before: the order of what one process wrote survives a calendar that is set back.
        self._latest = max(self._latest + 1, self._clock.wall())
        return new_name(
            wall=self._latest,
            boot=self._clock.boot or "0" * 8,
            up=self._clock.up(),
            pid=os.getpid(),
            serial=next(_serials),
            items=request.items,
            signal=request.signal,
        )

    # -- claiming

    def claim(self, file: SpoolFile) -> ClaimedSegment | None:
        """Claim a free file; None when another process was faster."""
        name = file.name.with_state(CLAIMED, self._owner)
        try:
            with self._directory.open() as directory:
                self._disk.rename(directory, str(file.name), str(name))
        except FileNotFoundError:
            return None
        return ClaimedSegment(name, file.size, name.items)

    def exists(self, segment: ClaimedSegment) -> bool:
        """Whether the file is still there: the directory may have been emptied."""
        try:
            with self._directory.open() as directory:
                os.stat(str(segment.name), dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def read(self, segment: ClaimedSegment) -> StoredRequest | None:
        """The request in a claimed file; None when it cannot be read.

        A damaged file is quarantined and counted. A file of a newer version is released, and not claimed again.
        """
        try:
            with self._directory.open() as directory:
                try:
                    return self._read(directory, segment.name)
                except DamagedError:
                    self._quarantine(directory, segment)
        except FileNotFoundError:
            pass
        except NewerVersionError as error:
            self._newer.add(segment.name.stem)
            self.release(segment)
            log_once(
                "spool version",
                "%s holds files of a newer version of blogauto-otel, which stay there: %s; they are delivered by a"
                " process with that version, or deleted at their maximum age",
                self.directory, error,
            )  # fmt: skip
        return None

    def _read(self, directory: int, name: Name) -> StoredRequest:
        try:
            data = self._bytes(directory, str(name))
        except OSError as error:
            if error.errno in _UNREADABLE:
                raise DamagedError(str(error)) from None
            raise
        request = decode(data, max_content=self._limits.file_bytes)
        if request.signal is not name.signal:
            raise DamagedError("the signal differs from the name's")
        return request

    def _bytes(self, directory: int, name: str) -> bytes:
        limit = self._limits.file_bytes
        file = os.open(name, _READ, dir_fd=directory)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_size > limit:
                raise DamagedError("not a regular file of this user, or too large")
            return _read_all(file, status.st_size)
        finally:
            os.close(file)

    def release(self, segment: ClaimedSegment) -> SpoolFile | None:
        """Release the claim, so that any process may claim the file; None when it does not exist any more."""
        name = segment.name.with_state(FREE).with_items(segment.items)
        with contextlib.suppress(FileNotFoundError), self._directory.open() as directory:
            self._disk.rename(directory, str(segment.name), str(name))
            return SpoolFile(name, segment.size, self._clock.wall() / 1e9)
        return None

    def delete(self, segment: ClaimedSegment) -> None:
        """Delete a claimed file: it was delivered, or never will be."""
        with contextlib.suppress(FileNotFoundError), self._directory.open() as directory:
            self._disk.unlink(directory, str(segment.name))
        self.files, self.bytes = max(0, self.files - 1), max(0, self.bytes - segment.size)

    def _quarantine(self, directory: int, segment: ClaimedSegment) -> None:
        self._directory.quarantined += 1
        self._on_drop(segment.name.signal, SPOOL_DAMAGED, segment.items)
        damaged = [file for file in self._directory.files(directory) if file.name.state == DAMAGED]
        for file in damaged[: max(0, len(damaged) + 1 - MAX_DAMAGED)]:
            self._directory.drop(directory, file, SPOOL_DAMAGED)
        status = os.stat(str(segment.name), dir_fd=directory, follow_symlinks=False)
        too_large = stat.S_ISREG(status.st_mode) and status.st_size > self._limits.file_bytes
        if too_large or stat.S_ISLNK(status.st_mode):
            self._disk.unlink(directory, str(segment.name))  # nothing in it to examine, or too much
        else:
            self._disk.rename(directory, str(segment.name), str(segment.name.with_state(DAMAGED)))

    # -- draining: one process at a time

    def lock(self) -> bool:
        """Become the process that drains; False while another process is.

        Without locks in the file system every process drains: claims still give each file to one process.
        """
        if self._drain_lock is not None:
            return True
        with contextlib.suppress(FileNotFoundError), self._directory.open() as directory:
            lock = open_lock(_DRAIN_LOCK, directory)
            result = try_lock(lock)
            if result is LockResult.LOCKED:
                self._drain_lock, self._drain_lock_identity = lock, fd_identity(lock)
                return True
            os.close(lock)
            if result is LockResult.UNSUPPORTED:
                self._report_no_locks()
                return True
        return False

    def _report_no_locks(self) -> None:
        self.lock_errors += 1
        if self.lock_errors == 1:
            log_once(
                "spool locks",
                "%s is on a file system without locks: every worker delivers what waits there, so order may be lost;"
                " set BLOGAUTO_OTEL_SPOOL_DIR to a directory on a local disk",
                self.directory,
            )

    def unlock(self, *, forked: bool = False) -> None:
        """Let another process drain; in a forked child, only close the copy of the parent's lock."""
        lock, self._drain_lock = self._drain_lock, None
        if lock is not None and fd_identity(lock) == self._drain_lock_identity:
            if not forked:
                unlock(lock)
            os.close(lock)

    def readable(self, files: Sequence[SpoolFile]) -> list[SpoolFile]:
        """The free files that this version of the package can read."""
        return [file for file in files if file.name.state == FREE and file.name.stem not in self._newer]

    def has_work(self, files: Sequence[SpoolFile]) -> bool:
        """Whether there is anything to deliver, to take back or to expire."""
        return bool(self.readable(files)) or any(
            (file.name.owner and self._is_orphan(file)) or self._is_expired(file.name) for file in files
        )

    def recover(self) -> list[SpoolFile]:
        """Take back the claims of ended processes and drop expired files; returns the readable free files."""
        free = []
        with contextlib.suppress(FileNotFoundError), self._directory.open() as directory:
            files = self._directory.files(directory)
            self._newer &= {file.name.stem for file in files}
            for file in files:
                name = file.name
                if name.owner and self._is_orphan(file):
                    name = self._take_back(directory, name)
                if self._is_expired(name):
                    self._directory.drop(directory, SpoolFile(name, file.size, file.changed), SPOOL_EXPIRED)
                elif name.state == FREE:
                    free.append(SpoolFile(name, file.size, file.changed))
        return self.readable(free)

    def _is_expired(self, name: Name) -> bool:
        limit = min(self._limits.age, METRICS_AGE) if name.signal is Signal.METRICS else self._limits.age
        return name.state in (FREE, DAMAGED) and self._clock.age(name) > limit

    def _is_orphan(self, file: SpoolFile) -> bool:
        return is_dead(file.name.owner, max(0.0, self._clock.wall() / 1e9 - file.changed))

    def _take_back(self, directory: int, name: Name) -> Name:
        with contextlib.suppress(FileNotFoundError):
            if name.state == UNFINISHED:
                self._disk.unlink(directory, str(name))
                return name
            free = name.with_state(FREE)
            with contextlib.suppress(DamagedError, NewerVersionError):  # it may have grown since it was named
                free = free.with_items(self._read(directory, name).items)
            self._disk.rename(directory, str(name), str(free))
            return free
        return name

    def close(self) -> None:
        """Let other processes drain, and take back the claims of this one."""
        self.unlock()
        end_owner(self._owner)


def _read_all(file: int, size: int) -> bytes:
    data = b""
    while len(data) <= size and (more := os.read(file, size + 1 - len(data))):
        data += more
    return data
