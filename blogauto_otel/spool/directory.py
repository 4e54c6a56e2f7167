"""The files of the spool directory: listing, atomic writes, and the limits that all processes share."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from blogauto_otel._dataclass import dataclass
from blogauto_otel._threads import without_signal
from blogauto_otel.errors import UnsafeError
from blogauto_otel.otlp.drop_reasons import SPOOL_DAMAGED, SPOOL_FULL
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.spool.disk import Disk, LockResult, open_lock, try_lock, unlock
from blogauto_otel.spool.file_format import DAMAGED, FREE, UNFINISHED, Name, parse

MAX_FILES: Final = 4096  # the whole directory is listed at each write
_MIN_FILE: Final = 8 * 2**20  # bytes: the lower bound of the size limit of a file
_FREE_SHARE, _FREE_BYTES = 0.05, 256 * 2**20  # of the file system, not used by the spool; the smaller of the two

_WRITE_LOCK: Final = ".write.lock"
_WRITE_LOCK_TRIES, _WRITE_LOCK_PAUSE = 20, 0.005  # seconds between two tries
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

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


class SpoolDirectory:
    """Lists and changes the files. Its methods take a descriptor of the directory from `open`."""

    def __init__(self, path: Path, limits: SpoolLimits, on_drop: DropCallback, disk: Disk, owner: str) -> None:
        self.path = path
        self.quarantined = 0  # files that could not be read
        self._limits = limits
        self._on_drop = on_drop
        self._disk = disk
        self._owner = owner
        self._free: dict[str, SpoolFile] = {}  # the free files of the last listing, by name

    @contextlib.contextmanager
    def open(self, *, create: bool = False) -> Iterator[int]:
        """Open the directory and check its owner; each time, because it may have been deleted and created again."""
        if create:
            self._create()
        directory = os.open(self.path, _DIRECTORY)
        try:
            status = os.fstat(directory)
            if status.st_uid != os.geteuid():
                raise UnsafeError(errno.EPERM, f"belongs to user {status.st_uid}", str(self.path))
            if status.st_mode & 0o077:
                os.fchmod(directory, 0o700)
            yield directory
        finally:
            os.close(directory)

    def _create(self) -> None:
        for path in (*reversed(self.path.parents), self.path):
            with contextlib.suppress(FileExistsError):
                if path == self.path or not path.exists():
                    path.mkdir(0o700)
                    path.chmod(0o700)  # regardless of the umask

    def files(self, directory: int) -> list[SpoolFile]:
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

    def write(self, directory: int, data: bytes, name: Name) -> None:
        """Write a file: under another name first, so that it is complete when it has its own."""
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
    def hold_write_lock(self, directory: int) -> Iterator[None]:
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

    def make_room(self, directory: int, needed: int, *, replaced: Name | None) -> list[SpoolFile]:
        """Drop the oldest files until there is room for one more; returns those that remain."""
        if needed > self._limits.bytes:
            raise OSError(errno.EFBIG, "larger than the limit of the spool")
        remaining = [file for file in self.files(directory) if replaced is None or file.name != replaced]
        droppable = [file for file in remaining if file.name.state in (FREE, DAMAGED)]
        total = sum(file.size for file in remaining) + needed
        if total - sum(file.size for file in droppable) > self._limits.bytes:
            raise OSError(errno.ENOSPC, "the spool is full of claimed files")
        system = os.fstatvfs(directory)
        if system.f_bavail < min(system.f_blocks * _FREE_SHARE, _FREE_BYTES / system.f_frsize):
            raise OSError(errno.ENOSPC, "the file system is nearly full")
        droppable.sort(key=lambda file: not self._is_too_large(file))  # what nobody reads, before what is good
        for file in droppable:  # not before it is known that the new file can be written
            if total <= self._limits.bytes and len(remaining) < MAX_FILES:
                break
            self.drop(directory, file, SPOOL_DAMAGED if self._is_too_large(file) else SPOOL_FULL)
            total -= file.size
            remaining.remove(file)
        return remaining

    def _is_too_large(self, file: SpoolFile) -> bool:
        return file.size > self._limits.file_bytes

    def drop(self, directory: int, file: SpoolFile, reason: str) -> None:
        """Delete a file, and count its items unless they were counted before."""
        try:
            self._disk.unlink(directory, str(file.name))
        except FileNotFoundError:
            return  # another process dropped it, and counted it
        except IsADirectoryError:
            return
        if file.name.state == FREE:
            self.quarantined += reason == SPOOL_DAMAGED
            self._on_drop(file.name.signal, reason, file.name.items)


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
