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
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from blogauto_otel._guard import log_once
from blogauto_otel._threads import without_signal
from blogauto_otel.errors import DamagedError, NewerVersionError, UnsafeError
from blogauto_otel.otlp.drop_reasons import SPOOL_DAMAGED, SPOOL_EXPIRED, SPOOL_FULL
from blogauto_otel.otlp.signal import Signal
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
    parse,
)
from blogauto_otel.spool.ownership import end_owner, fd_identity, is_dead, new_owner

METRICS_AGE: Final = 3600.0  # seconds; backends refuse data points that are much older
MAX_FILES: Final = 4096  # the whole directory is listed at each write
MAX_DAMAGED: Final = 16
_MIN_FILE: Final = 8 * 2**20  # bytes: the lower bound of the size limit of a file
_FREE_SHARE, _FREE_BYTES = 0.05, 256 * 2**20  # of the file system, not used by the spool; the smaller of the two

_DRAIN_LOCK, _WRITE_LOCK = ".drain.lock", ".write.lock"
_WRITE_LOCK_TRIES, _WRITE_LOCK_PAUSE = 20, 0.005  # seconds between two tries
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # opening a pipe would block

# Errors of one file, and not of this process or the system: a link, a socket, a directory, a bad sector.
_UNREADABLE: Final = frozenset({errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EIO})

_serials: Final = itertools.count(1)  # of all files of this process

DropCallback = Callable[[Signal, str, int], None]


@dataclass(frozen=True)
class SpoolLimits:
    """Maximum size and age of what is stored."""

    bytes: int = 64 * 2**20
    age: float = 86_400.0  # seconds
    request_bytes: int = 3_500_000
    fsync: bool = False

    @property
    def file_bytes(self) -> int:
        """The size limit of a file; a larger one is not read."""
        return max(_MIN_FILE, 2 * self.request_bytes)


@dataclass(frozen=True)
class SpoolFile:
    """A spool file, as the directory lists it."""

    name: Name
    size: int
    changed: float  # seconds since 1970 of its last renaming


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
        self.quarantined = 0  # files that could not be read
        self.lock_errors = 0  # times that the file system had no locks
        self.files = 0  # files with unsent requests, at the last scan
        self.bytes = 0
        self.oldest_age = 0.0  # seconds
        self._limits = limits
        self._on_drop = on_drop
        self._disk = disk or Disk()
        self._clock = clock or Clock()
        self._owner = new_owner()
        self._free: dict[str, SpoolFile] = {}  # the free files of the last scan, by name
        self._newer: set[str] = set()  # stems of files of a newer version
        self._latest = 0
        self._drain_lock: int | None = None
        self._drain_lock_identity: object = None

    # -- the directory

    @contextlib.contextmanager
    def _open(self, *, create: bool = False) -> Iterator[int]:
        """Open the directory and check its owner; each time, because it may have been deleted and created again."""
        if create:
            self._create_directory()
        directory = os.open(self.directory, _DIRECTORY)
        try:
            status = os.fstat(directory)
            if status.st_uid != os.geteuid():
                raise UnsafeError(errno.EPERM, f"belongs to user {status.st_uid}", str(self.directory))
            if status.st_mode & 0o077:
                os.fchmod(directory, 0o700)
            yield directory
        finally:
            os.close(directory)

    def _create_directory(self) -> None:
        for path in (*reversed(self.directory.parents), self.directory):
            with contextlib.suppress(FileExistsError):
                if path == self.directory or not path.exists():
                    path.mkdir(0o700)
                    path.chmod(0o700)  # regardless of the umask

    def scan(self) -> list[SpoolFile]:
        """The spool files, oldest first; empty when there is no directory."""
        files = []
        with contextlib.suppress(FileNotFoundError), self._open() as directory:
            files = self._list(directory)
        self._update_totals(files)
        return files

    def _list(self, directory: int) -> list[SpoolFile]:
        """The spool files, oldest first. A free file never changes, so of thousands only new ones are examined."""
        files, known, self._free = [], self._free, {}
        with os.scandir(directory) as entries:
            for entry in entries:
                file = known.get(entry.name) or spool_file(entry)
                if file is None:
                    continue
                files.append(file)
                if file.name.state == FREE:
                    self._free[entry.name] = file
        files.sort(key=lambda file: file.name.stem)
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
        with self._open(create=True) as directory, self._hold_write_lock(directory):
            others = self._make_room(directory, len(data), replaced=replaces)
            self._write_file(directory, data, name)
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

    def _write_file(self, directory: int, data: bytes, name: Name) -> None:
        unfinished = str(name.with_state(UNFINISHED, self._owner))
        try:
            file = self._disk.create(directory, unfinished)
            try:
                with without_signal("SIGXFSZ"):  # beyond `ulimit -f`, the error is enough
                    view = memoryview(data)
                    while view:
                        view = view[self._disk.write(file, view) :]
                if self._limits.fsync:
                    self._disk.sync(file)
            finally:
                os.close(file)
            self._disk.rename(directory, unfinished, str(name))
            if self._limits.fsync:
                self._disk.sync(directory)
        except OSError:
            with contextlib.suppress(OSError):
                self._disk.unlink(directory, unfinished)
            raise

    @contextlib.contextmanager
    def _hold_write_lock(self, directory: int) -> Iterator[None]:
        """Lock out other processes that make room. A process that hangs is not waited for."""
        lock = open_lock(_WRITE_LOCK, directory)
        try:
            for _ in range(_WRITE_LOCK_TRIES):
                if try_lock(lock) is not LockResult.BUSY:
                    break
                time.sleep(_WRITE_LOCK_PAUSE)
            yield
        finally:
            unlock(lock)
            os.close(lock)

    def _make_room(self, directory: int, needed: int, *, replaced: ClaimedSegment | None) -> list[SpoolFile]:
        """Drop the oldest files until there is room for one more; returns those that remain."""
        if needed > self._limits.bytes:
            raise OSError(errno.EFBIG, "larger than the limit of the spool")
        remaining = [file for file in self._list(directory) if replaced is None or file.name != replaced.name]
        droppable = [file for file in remaining if file.name.state in (FREE, DAMAGED)]
        total = sum(file.size for file in remaining) + needed
        if total - sum(file.size for file in droppable) > self._limits.bytes:
            raise OSError(errno.ENOSPC, "the spool is full of files that are being worked on")
        system = os.fstatvfs(directory)
        if system.f_bavail < min(system.f_blocks * _FREE_SHARE, _FREE_BYTES / system.f_frsize):
            raise OSError(errno.ENOSPC, "the file system is nearly full")
        for file in droppable:  # not before it is known that the new file can be written
            if total <= self._limits.bytes and len(remaining) < MAX_FILES:
                break
            self._drop(directory, file, SPOOL_FULL)
            total -= file.size
            remaining.remove(file)
        return remaining

    def _drop(self, directory: int, file: SpoolFile, reason: str) -> None:
        try:
            self._disk.unlink(directory, str(file.name))
        except FileNotFoundError:
            return  # another process dropped it, and counted it
        except IsADirectoryError:
            return
        if file.name.state == FREE:
            self._on_drop(file.name.signal, reason, file.name.items)

    # -- claiming

    def claim(self, file: SpoolFile) -> ClaimedSegment | None:
        """Claim a free file; None when another process was faster."""
        name = file.name.with_state(CLAIMED, self._owner)
        try:
            with self._open() as directory:
                self._disk.rename(directory, str(file.name), str(name))
        except FileNotFoundError:
            return None
        return ClaimedSegment(name, file.size, name.items)

    def exists(self, segment: ClaimedSegment) -> bool:
        """Whether the file is still there: the directory may have been emptied."""
        try:
            with self._open() as directory:
                os.stat(str(segment.name), dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def read(self, segment: ClaimedSegment) -> StoredRequest | None:
        """The request in a claimed file; None when it cannot be read.

        A damaged file is quarantined and counted. A file of a newer version is released, and not claimed again.
        """
        try:
            with self._open() as directory:
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
        """Give up the claim, so that any process may claim the file; None when it does not exist any more."""
        name = segment.name.with_state(FREE).with_items(segment.items)
        with contextlib.suppress(FileNotFoundError), self._open() as directory:
            self._disk.rename(directory, str(segment.name), str(name))
            return SpoolFile(name, segment.size, self._clock.wall() / 1e9)
        return None

    def delete(self, segment: ClaimedSegment) -> None:
        """Delete a claimed file: it was delivered, or never will be."""
        with contextlib.suppress(FileNotFoundError), self._open() as directory:
            self._disk.unlink(directory, str(segment.name))
        self.files, self.bytes = max(0, self.files - 1), max(0, self.bytes - segment.size)

    def _quarantine(self, directory: int, segment: ClaimedSegment) -> None:
        self.quarantined += 1
        self._on_drop(segment.name.signal, SPOOL_DAMAGED, segment.items)
        damaged = [file for file in self._list(directory) if file.name.state == DAMAGED]
        for file in damaged[: max(0, len(damaged) + 1 - MAX_DAMAGED)]:
            self._drop(directory, file, SPOOL_DAMAGED)
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
        with contextlib.suppress(FileNotFoundError), self._open() as directory:
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
        with contextlib.suppress(FileNotFoundError), self._open() as directory:
            files = self._list(directory)
            self._newer &= {file.name.stem for file in files}
            for file in files:
                name = file.name
                if name.owner and self._is_orphan(file):
                    name = self._take_back(directory, name)
                if self._is_expired(name):
                    self._drop(directory, SpoolFile(name, file.size, file.changed), SPOOL_EXPIRED)
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


def spool_file(entry: os.DirEntry[str]) -> SpoolFile | None:
    """The spool file behind a directory entry; None when it is another file, or gone."""
    name = parse(entry.name)
    if name is None:
        return None
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # another process has just renamed or deleted it
        return None
    return SpoolFile(name, status.st_size, status.st_ctime)


def _read_all(file: int, size: int) -> bytes:
    data = b""
    while len(data) <= size and (more := os.read(file, size + 1 - len(data))):
        data += more
    return data
