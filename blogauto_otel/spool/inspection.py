"""What waits on disk, seen from outside: nothing is claimed, opened, made or changed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from blogauto_otel.config import Settings
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.spool.file_format import CLAIMED, DAMAGED, FREE, UNFINISHED, Name
from blogauto_otel.spool.ownership import is_gone
from blogauto_otel.spool.store import MAX_DAMAGED, MAX_FILES, METRICS_AGE, Clock, Entry, entry_of

# What each state of a file is called where people read it.
STATES: Final[Mapping[str, str]] = MappingProxyType(
    {FREE: "waiting", CLAIMED: "claimed", UNFINISHED: "unfinished", DAMAGED: "quarantined"}
)

_clock: Final = Clock()


@dataclass(frozen=True)
class Seen:
    """A file, as its name and the directory tell it."""

    name: Name
    size: int  # bytes
    age: float  # seconds since it was begun
    orphaned: bool  # whoever works on it has ended

    @property
    def pid(self) -> int:
        """Who works on it, as its own container numbers it; 0 when nobody does."""
        pid = self.name.owner.partition("-")[0]
        return int(pid) if pid.isdigit() else 0


def look(directory: Path) -> Sequence[Seen]:
    """The files of a spool, oldest first.

    Raises:
        FileNotFoundError: there is no such directory; it is made when something has to wait.
        OSError: it cannot be read, or is a link, or no directory.
    """
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with os.scandir(opened) as found:
            entries = [entry for item in found if (entry := entry_of(item)) is not None]
    finally:
        os.close(opened)
    return [_seen(entry) for entry in sorted(entries, key=lambda entry: entry.name.stem)]


def _seen(entry: Entry) -> Seen:
    name = entry.name
    unchanged = max(0.0, _clock.wall() / 1e9 - entry.changed)
    return Seen(name, entry.size, _clock.age(name), bool(name.owner) and is_gone(name.owner, unchanged))


def as_dict(seen: Sequence[Seen]) -> dict[str, Any]:
    """Plain data: what is to be delivered, by signal; and how many files there are by state, and by who holds them."""
    to_deliver = [file for file in seen if file.name.state in (FREE, CLAIMED)]
    states = Counter(file.name.state for file in seen)
    holders = Counter((file.pid, file.orphaned) for file in seen if file.name.owner)
    return {
        **_figures(to_deliver),
        "signals": {s.value: _figures([file for file in to_deliver if file.name.signal is s]) for s in Signal},
        "states": {word: states[state] for state, word in STATES.items()},
        "holders": [{"pid": pid, "alive": not gone, "files": files} for (pid, gone), files in sorted(holders.items())],
    }


def _figures(files: Sequence[Seen]) -> dict[str, Any]:
    return {
        "files": len(files),
        "bytes": sum(file.size for file in files),
        "items": sum(file.name.items for file in files),
        "oldest_age": max((file.age for file in files), default=0.0),
    }


def limits(settings: Settings) -> dict[str, float]:
    """How much may wait, of all processes of the service on this host, and for how many seconds."""
    return {
        "bytes": settings.spool_bytes,
        "files": MAX_FILES,
        "age": settings.spool_age,
        "age_of_metrics": min(settings.spool_age, METRICS_AGE),
        "quarantined": MAX_DAMAGED,
    }
