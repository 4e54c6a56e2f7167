"""System calls of the spool: the clock, changes of the directory, and locks."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Final

from blogauto_otel._clock import clock
from blogauto_otel.spool.file_format import Name

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC

# Errors of `flock` on a file system without locks, such as some network file systems.
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})


class Clock:
    """The calendar, which may be set, and the uptime, which may not."""

    def __init__(self) -> None:
        try:
            self.boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        except OSError:
            self.boot = ""

    def wall(self) -> int:
        """Nanoseconds since 1970."""
        return clock.time_ns()

    def up(self) -> int:
        """Milliseconds since the machine started, including those in which it slept."""
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000) if self.boot else 0

    def age(self, name: Name) -> float:
        """Seconds since the file was created; by the calendar only when the machine was restarted since."""
        return self.oldest_age((name,))

    def oldest_age(self, names: Iterable[Name]) -> float:
        """The age of the oldest file."""
        up, wall = self.up(), self.wall()  # read once for all files
        ages = (
            (up - name.up) / 1000 if self.boot and name.boot == self.boot else (wall - name.wall) / 1e9
            for name in names
        )
        return max(0.0, max(ages, default=0.0))


class Disk:
    """The calls that change the directory; tests make each of them fail."""

    def create(self, directory: int, name: str) -> int:
        """Create a file; returns its descriptor."""
        return _open_private(name, _NEW, directory)

    def write(self, file: int, data: memoryview) -> int:
        """Write some of the data; returns how much."""
        return os.write(file, data)

    def sync(self, file: int) -> None:
        """Write through to the disk."""
        os.fsync(file)

    def rename(self, directory: int, old: str, new: str) -> None:
        """Rename atomically; an existing file of the new name is replaced."""
        os.rename(old, new, src_dir_fd=directory, dst_dir_fd=directory)

    def unlink(self, directory: int, name: str) -> None:
        """Delete a file."""
        os.unlink(name, dir_fd=directory)


class LockResult(Enum):
    """The result of an attempt to lock a file."""

    LOCKED = "locked"
    BUSY = "busy"  # another process holds it
    UNSUPPORTED = "unsupported"  # the file system has no locks


def open_lock(name: str, directory: int) -> int:
    """Open a lock file, creating it when it is missing."""
    return _open_private(name, _LOCK, directory)


def try_lock(file: int) -> LockResult:
    """Lock a file without waiting."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return LockResult.UNSUPPORTED if error.errno in _NO_LOCKS else LockResult.BUSY
    return LockResult.LOCKED


def unlock(file: int) -> None:
    """Unlock a file. Closing it is not enough: a forked child may hold a copy of the descriptor."""
    try:
        fcntl.flock(file, fcntl.LOCK_UN)
    except OSError:
        pass  # the file system has no locks


def _open_private(name: str, flags: int, directory: int) -> int:
    file = os.open(name, flags, 0o600, dir_fd=directory)
    try:
        os.fchmod(file, 0o600)  # regardless of the umask
    except OSError:
        os.close(file)
        raise
    return file
