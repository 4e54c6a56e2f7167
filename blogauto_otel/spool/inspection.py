"""A read-only view of a spool directory: no file is claimed, opened or changed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from blogauto_otel._dataclass import dataclass
from blogauto_otel.config import Settings
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.spool.directory import MAX_FILES, SpoolFile, spool_file
from blogauto_otel.spool.disk import Clock
from blogauto_otel.spool.file_format import CLAIMED, DAMAGED, FREE, UNFINISHED, Name
from blogauto_otel.spool.ownership import is_dead
from blogauto_otel.spool.store import MAX_DAMAGED, METRICS_AGE

# The name of each state of a file in the output of commands.
STATES: Final[Mapping[str, str]] = MappingProxyType(
    {FREE: "waiting", CLAIMED: "claimed", UNFINISHED: "unfinished", DAMAGED: "quarantined"}
)

_clock: Final = Clock()


@dataclass(frozen=True)
class FileStatus:
    """A spool file and its owner, from its name and its directory entry."""

    name: Name
    size: int  # bytes
    age: float  # seconds since it was created
    orphaned: bool  # the process that claimed it has ended

    @property
    def pid(self) -> int:
        """The process that claimed it, as numbered in its container; 0 when it is not claimed."""
        pid = self.name.owner.partition("-")[0]
        return int(pid) if pid.isdigit() else 0


def list_files(directory: Path) -> Sequence[FileStatus]:
    """The files of a spool, oldest first.

    Raises:
        FileNotFoundError: there is no such directory; it is created when the first file is written.
        OSError: it cannot be read, or is a link or not a directory.
    """
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with os.scandir(opened) as entries:
            files = [file for entry in entries if (file := spool_file(entry)) is not None]
    finally:
        os.close(opened)
    return [_status(file) for file in sorted(files, key=lambda file: file.name.stem)]


def _status(file: SpoolFile) -> FileStatus:
    name = file.name
    unchanged = max(0.0, _clock.wall() / 1e9 - file.changed)
    return FileStatus(name, file.size, _clock.age(name), bool(name.owner) and is_dead(name.owner, unchanged))


def as_dict(files: Sequence[FileStatus]) -> dict[str, Any]:
    """Plain data: totals of undelivered files by signal, and the number of files by state and by owner."""
    undelivered = [file for file in files if file.name.state in (FREE, CLAIMED)]
    states = Counter(file.name.state for file in files)
    holders = Counter((file.pid, file.orphaned) for file in files if file.name.owner)
    return {
        **_totals(undelivered),
        "signals": {s.value: _totals([file for file in undelivered if file.name.signal is s]) for s in Signal},
        "states": {word: states[state] for state, word in STATES.items()},
        "holders": [{"pid": pid, "alive": not dead, "files": count} for (pid, dead), count in sorted(holders.items())],
    }


def _totals(files: Sequence[FileStatus]) -> dict[str, Any]:
    return {
        "files": len(files),
        "bytes": sum(file.size for file in files),
        "items": sum(file.name.items for file in files),
        "oldest_age": max((file.age for file in files), default=0.0),
    }


def limits(settings: Settings) -> dict[str, float]:
    """Limits for all processes of the service on this host; ages in seconds."""
    return {
        "bytes": settings.spool_bytes,
        "files": MAX_FILES,
        "age": settings.spool_age,
        "age_of_metrics": min(settings.spool_age, METRICS_AGE),
        "quarantined": MAX_DAMAGED,
    }
