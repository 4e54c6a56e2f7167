"""The spool: a directory where what could not be sent waits, shared by all processes of a service on this host.

One file for one request, written beside and renamed into place, so that a kill at any moment leaves whole files only.
Whoever works on a file claims it by renaming it; claims of processes that ended are taken back (docs/decisions/0050).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from blogauto_otel._threads import without_signal
from blogauto_otel.errors import DamagedError, UnsafeError
from blogauto_otel.otlp.drop_reasons import SPOOL_DAMAGED, SPOOL_EXPIRED, SPOOL_FULL
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.spool.descriptors import identity
from blogauto_otel.spool.file_format import (
    CLAIMED,
    DAMAGED,
    FREE,
    UNFINISHED,
    Name,
    StoredRequest,
    named,
    pack,
    parse,
    unpack,
)
from blogauto_otel.spool.ownership import is_gone, new_owner, retire

METRICS_AGE: Final = 3600.0  # seconds; backends refuse samples that are much older
MAX_FILES: Final = 4096  # a directory is read as a whole, and often
MAX_DAMAGED: Final = 16
_MIN_FILE: Final = 8 * 2**20  # bytes: what a file may have at least; more when requests may be larger
_FREE_SHARE, _FREE_BYTES = 0.05, 256 * 2**20  # of a file system, left to others; the smaller of the two

_DRAIN_LOCK, _WRITE_LOCK = ".drain.lock", ".write.lock"
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would block

# What reading says of the file, and not of this process or the system: a link, a socket, a directory, a bad sector.
_UNREADABLE: Final = frozenset({errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EIO})

_serials: Final = itertools.count(1)  # of all files of this process

Lost = Callable[[Signal, str, int], None]


@dataclass(frozen=True)
class Limits:
    """How much may be kept, and for how long."""

    bytes: int = 64 * 2**20
    age: float = 86_400.0  # seconds
    content: int = 3_500_000  # bytes of one request
    fsync: bool = False

    @property
    def file(self) -> int:
        """Bytes of a file; a larger one is not even read."""
        return max(_MIN_FILE, 2 * self.content)


@dataclass(frozen=True)
class Entry:
    """A file of ours, as the directory shows it."""

    name: Name
    size: int
    changed: float  # seconds since 1970 of its last renaming


@dataclass(frozen=True)
class ClaimedSegment:
    """A file that this process has claimed: nobody else touches it while we live."""

    name: Name
    size: int
    items: int


class Clock:
    """The calendar, which may jump; and the time since the machine started, which does not."""

    def __init__(self) -> None:
        try:
            self.boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        except OSError:
            self.boot = ""

    def wall(self) -> int:
        """Nanoseconds since 1970."""
        return time.time_ns()

    def up(self) -> int:
        """Milliseconds since the machine started, those in which it slept included."""
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000) if self.boot else 0

    def age(self, name: Name) -> float:
        """Seconds since the file was begun; by the calendar only when the machine was started anew since."""
        return self.oldest_age((name,))

    def oldest_age(self, names: Iterable[Name]) -> float:
        """The same of the oldest of them."""
        up, wall = self.up(), self.wall()  # asked once, however many they are
        ages = (
            (up - name.up) / 1000 if self.boot and name.boot == self.boot else (wall - name.wall) / 1e9
            for name in names
        )
        return max(0.0, max(ages, default=0.0))


class Disk:
    """What changes the directory; each call may be the last one of a process."""

    def create(self, directory: int, name: str) -> int:
        """A new file, ours alone; its descriptor."""
        return _opened(name, _NEW, directory)

    def write(self, file: int, data: memoryview) -> int:
        """Some of it; returns how much."""
        return os.write(file, data)

    def sync(self, file: int) -> None:
        """Through to the disk."""
        os.fsync(file)

    def rename(self, directory: int, old: str, new: str) -> None:
        """At once, or not at all; in place of a file that was there."""
        os.rename(old, new, src_dir_fd=directory, dst_dir_fd=directory)

    def unlink(self, directory: int, name: str) -> None:
        """Away with it."""
        os.unlink(name, dir_fd=directory)


class Spool:
    """The directory. Used by one thread at a time; every call may raise `OSError`, and leaves whole files only."""

    def __init__(
        self,
        directory: Path,
        limits: Limits,
        lost: Lost,
        *,
        disk: Disk | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.directory = directory
        self.quarantined = 0  # files that could not be read
        self.files = 0  # all that wait, as of the last look
        self.bytes = 0
        self.oldest_age = 0.0  # seconds
        self._limits = limits
        self._lost = lost
        self._disk = disk or Disk()
        self._clock = clock or Clock()
        self._owner = new_owner()
        self._free: dict[str, Entry] = {}  # the free files of the last look, by name
        self._latest = 0
        self._drain_lock: int | None = None
        self._drain_file: object = None  # what is behind it

    # -- the directory

    @contextlib.contextmanager
    def _opened(self, *, create: bool = False) -> Iterator[int]:
        """The directory, after a look at whose it is. Opened each time: it may have been removed and made anew."""
        if create:
            self._make()
        directory = os.open(self.directory, _DIRECTORY)
        try:
            facts = os.fstat(directory)
            if facts.st_uid != os.geteuid():
                raise UnsafeError(errno.EPERM, f"belongs to user {facts.st_uid}", str(self.directory))
            if facts.st_mode & 0o077:
                os.fchmod(directory, 0o700)
            yield directory
        finally:
            os.close(directory)

    def _make(self) -> None:
        for path in (*reversed(self.directory.parents), self.directory):
            with contextlib.suppress(FileExistsError):
                if path == self.directory or not path.exists():
                    path.mkdir(0o700)
                    path.chmod(0o700)  # whatever the umask takes away

    def scan(self) -> list[Entry]:
        """Our files, oldest first; none when there is no directory."""
        entries = []
        with contextlib.suppress(FileNotFoundError), self._opened() as directory:
            entries = self._entries(directory)
        self._figure(entries)
        return entries

    def _entries(self, directory: int) -> list[Entry]:
        """Our files, oldest first. A free file stays as it is, so that of thousands only the new ones are looked at."""
        entries, known, self._free = [], self._free, {}
        with os.scandir(directory) as found:
            for item in found:
                entry = known.get(item.name) or entry_of(item)
                if entry is None:
                    continue
                entries.append(entry)
                if entry.name.state == FREE:
                    self._free[item.name] = entry
        entries.sort(key=lambda entry: entry.name.stem)
        return entries

    def _figure(self, entries: Sequence[Entry]) -> None:
        kept = [entry for entry in entries if entry.name.state in (FREE, CLAIMED)]
        self.files, self.bytes = len(kept), sum(entry.size for entry in kept)
        self.oldest_age = self._clock.oldest_age(entry.name for entry in kept)

    # -- writing

    def write(
        self, kept: StoredRequest, *, hold: bool = False, instead_of: ClaimedSegment | None = None
    ) -> ClaimedSegment:
        """Write a file; when this returns, it is there, whatever becomes of the process.

        Args:
            kept: what it holds.
            hold: keep it claimed; otherwise whoever drains may have it.
            instead_of: a file of ours that the new one replaces, at once or not at all.

        Raises:
            OSError: it could not be written; nothing of it is left.
        """
        data = pack(kept)
        name = instead_of.name if instead_of else self._new_name(kept)
        if hold:
            name = name.as_(CLAIMED, self._owner)
        with self._opened(create=True) as directory, self._alone(directory):
            others = self._make_room(directory, len(data), replaced=instead_of)
            self._place(directory, data, name)
        self._figure([*others, Entry(name, len(data), 0.0)])
        return ClaimedSegment(name, len(data), kept.items)

    def _new_name(self, kept: StoredRequest) -> Name:
        # Never before the one before: the order of what one process wrote outlives a calendar that is set back.
        self._latest = max(self._latest + 1, self._clock.wall())
        return named(
            wall=self._latest,
            boot=self._clock.boot or "0" * 8,
            up=self._clock.up(),
            pid=os.getpid(),
            serial=next(_serials),
            items=kept.items,
            signal=kept.signal,
        )

    def _place(self, directory: int, data: bytes, name: Name) -> None:
        unfinished = str(name.as_(UNFINISHED, self._owner))
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
    def _alone(self, directory: int) -> Iterator[None]:
        """Nobody else makes room at the same time. Whoever hangs while he does is not waited for."""
        lock = _opened(_WRITE_LOCK, _LOCK, directory)
        try:
            for _ in range(20):
                if _locked(lock):
                    break
                time.sleep(0.005)
            yield
        finally:
            _unlock(lock)
            os.close(lock)

    def _make_room(self, directory: int, needed: int, *, replaced: ClaimedSegment | None) -> list[Entry]:
        """Drop the oldest files until there is room for one more; returns those that stay."""
        if needed > self._limits.bytes:
            raise OSError(errno.EFBIG, "larger than all that may be kept")
        staying = [entry for entry in self._entries(directory) if replaced is None or entry.name != replaced.name]
        may_go = [entry for entry in staying if entry.name.state in (FREE, DAMAGED)]
        total = sum(entry.size for entry in staying) + needed
        if total - sum(entry.size for entry in may_go) > self._limits.bytes:
            raise OSError(errno.ENOSPC, "all that is kept is being worked on")
        system = os.fstatvfs(directory)
        if system.f_bavail < min(system.f_blocks * _FREE_SHARE, _FREE_BYTES / system.f_frsize):
            raise OSError(errno.ENOSPC, "the file system is nearly full")
        for entry in may_go:  # and nothing goes before it is known that the new file may come
            if total <= self._limits.bytes and len(staying) < MAX_FILES:
                break
            self._drop(directory, entry, SPOOL_FULL)
            total -= entry.size
            staying.remove(entry)
        return staying

    def _drop(self, directory: int, entry: Entry, reason: str) -> None:
        try:
            self._disk.unlink(directory, str(entry.name))
        except FileNotFoundError:
            return  # somebody else did, and counted it
        except IsADirectoryError:
            return
        if entry.name.state == FREE:
            self._lost(entry.name.signal, reason, entry.name.items)

    # -- claiming

    def claim(self, entry: Entry) -> ClaimedSegment | None:
        """Take a free file for ourselves; None when somebody else was quicker."""
        name = entry.name.as_(CLAIMED, self._owner)
        try:
            with self._opened() as directory:
                self._disk.rename(directory, str(entry.name), str(name))
        except FileNotFoundError:
            return None
        return ClaimedSegment(name, entry.size, name.items)

    def holds(self, held: ClaimedSegment) -> bool:
        """Whether the file is still there: the directory may have been emptied."""
        try:
            with self._opened() as directory:
                os.stat(str(held.name), dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def read(self, held: ClaimedSegment) -> StoredRequest | None:
        """What a claimed file says; None when it cannot be made out: then it is put aside, and counted."""
        try:
            with self._opened() as directory:
                try:
                    return self._read(directory, held.name)
                except DamagedError:
                    self._put_aside(directory, held)
        except FileNotFoundError:
            pass
        return None

    def _read(self, directory: int, name: Name) -> StoredRequest:
        try:
            data = self._bytes(directory, str(name))
        except OSError as error:
            if error.errno in _UNREADABLE:
                raise DamagedError(str(error)) from None
            raise
        kept = unpack(data, max_content=self._limits.file)
        if kept.signal is not name.signal:
            raise DamagedError("under another's name")
        return kept

    def _bytes(self, directory: int, name: str) -> bytes:
        file = os.open(name, _READ, dir_fd=directory)
        try:
            facts = os.fstat(file)
            if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_size > self._limits.file:
                raise DamagedError("not a file of ours")
            return _all_of(file, facts.st_size)
        finally:
            os.close(file)

    def release(self, held: ClaimedSegment) -> Entry | None:
        """Let others have it; None when it is not there any more."""
        name = _counted(held.name.as_(FREE), held.items)
        with contextlib.suppress(FileNotFoundError), self._opened() as directory:
            self._disk.rename(directory, str(held.name), str(name))
            return Entry(name, held.size, self._clock.wall() / 1e9)
        return None

    def discard(self, held: ClaimedSegment) -> None:
        """It has arrived, or will never."""
        with contextlib.suppress(FileNotFoundError), self._opened() as directory:
            self._disk.unlink(directory, str(held.name))
        self.files, self.bytes = max(0, self.files - 1), max(0, self.bytes - held.size)

    def _put_aside(self, directory: int, held: ClaimedSegment) -> None:
        self.quarantined += 1
        self._lost(held.name.signal, SPOOL_DAMAGED, held.items)
        damaged = [entry for entry in self._entries(directory) if entry.name.state == DAMAGED]
        for entry in damaged[: max(0, len(damaged) + 1 - MAX_DAMAGED)]:
            self._drop(directory, entry, SPOOL_DAMAGED)
        facts = os.stat(str(held.name), dir_fd=directory, follow_symlinks=False)
        if (stat.S_ISREG(facts.st_mode) and facts.st_size > self._limits.file) or stat.S_ISLNK(facts.st_mode):
            self._disk.unlink(directory, str(held.name))  # nothing to look at, or too much
        else:
            self._disk.rename(directory, str(held.name), str(held.name.as_(DAMAGED)))

    # -- draining: one process at a time

    def lock(self) -> bool:
        """Become the one who drains; False while somebody else is."""
        if self._drain_lock is not None:
            return True
        with contextlib.suppress(FileNotFoundError), self._opened() as directory:
            lock = _opened(_DRAIN_LOCK, _LOCK, directory)
            if _locked(lock):
                self._drain_lock, self._drain_file = lock, identity(lock)
                return True
            os.close(lock)
        return False

    def unlock(self, *, forked: bool = False) -> None:
        """Let somebody else drain; in a forked child, only let go of the parent's lock."""
        lock, self._drain_lock = self._drain_lock, None
        if lock is not None and identity(lock) == self._drain_file:
            if not forked:
                _unlock(lock)
            os.close(lock)

    def has_work(self, entries: Sequence[Entry]) -> bool:
        """Whether there is anything to deliver, to take back or to throw away."""
        return any(
            entry.name.state == FREE or (entry.name.owner and self._is_orphan(entry)) or self._is_expired(entry.name)
            for entry in entries
        )

    def recover(self) -> list[Entry]:
        """Take back what ended processes had claimed, drop what is too old; returns the free files, oldest first."""
        free = []
        with contextlib.suppress(FileNotFoundError), self._opened() as directory:
            for entry in self._entries(directory):
                name = entry.name
                if name.owner and self._is_orphan(entry):
                    name = self._recovered(directory, name)
                if self._is_expired(name):
                    self._drop(directory, Entry(name, entry.size, entry.changed), SPOOL_EXPIRED)
                elif name.state == FREE:
                    free.append(Entry(name, entry.size, entry.changed))
        return free

    def _is_expired(self, name: Name) -> bool:
        limit = min(self._limits.age, METRICS_AGE) if name.signal is Signal.METRICS else self._limits.age
        return name.state in (FREE, DAMAGED) and self._clock.age(name) > limit

    def _is_orphan(self, entry: Entry) -> bool:
        return is_gone(entry.name.owner, max(0.0, self._clock.wall() / 1e9 - entry.changed))

    def _recovered(self, directory: int, name: Name) -> Name:
        with contextlib.suppress(FileNotFoundError):
            if name.state == UNFINISHED:
                self._disk.unlink(directory, str(name))
                return name
            free = name.as_(FREE)
            with contextlib.suppress(DamagedError):  # it may have grown since it got its name
                free = _counted(free, self._read(directory, name).items)
            self._disk.rename(directory, str(name), str(free))
            return free
        return name

    def close(self) -> None:
        """What we still hold is for others to take."""
        self.unlock()
        retire(self._owner)


def entry_of(item: os.DirEntry[str]) -> Entry | None:
    """The file as its name and the directory tell it; None when it is none of ours, or gone."""
    name = parse(item.name)
    if name is None:
        return None
    try:
        facts = item.stat(follow_symlinks=False)
    except FileNotFoundError:  # somebody has just renamed or deleted it
        return None
    return Entry(name, facts.st_size, facts.st_ctime)


def _counted(name: Name, items: int) -> Name:
    return Name(name.stem, name.wall, name.boot, name.up, items, name.signal, name.state, name.owner)


def _all_of(file: int, size: int) -> bytes:
    data = b""
    while len(data) <= size and (more := os.read(file, size + 1 - len(data))):
        data += more
    return data


def _opened(name: str, how: int, directory: int) -> int:
    file = os.open(name, how, 0o600, dir_fd=directory)
    try:
        os.fchmod(file, 0o600)  # whatever the umask has taken away
    except OSError:
        os.close(file)
        raise
    return file


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _unlock(file: int) -> None:
    """A forked child may have a copy of the descriptor, and would hold the lock for as long as it lives."""
    fcntl.flock(file, fcntl.LOCK_UN)
