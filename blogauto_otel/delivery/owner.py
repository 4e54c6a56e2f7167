"""Whose a claim is, and whether that process still lives: a pid alone may be somebody else's by now."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Final

# Claims of a process that we cannot see (another container on the same volume) are its own while they are younger.
UNSEEN_SECONDS: Final = 60.0

_serials: Final = itertools.count(1)
_living: Final[set[str]] = set()  # owners in this process, and what a forked child inherits without being asked


def new_owner() -> str:
    """A mark for claims: pid, start of the process, its pid namespace, and which owner of this process it is."""
    pid = os.getpid()
    owner = f"{pid}-{_start_of(pid) or 0}-{_namespace()}-{next(_serials)}"
    _living.add(owner)
    return owner


def retire(owner: str) -> None:
    """What this owner still has claimed is for others to take."""
    _living.discard(owner)


def is_gone(owner: str, age: float) -> bool:
    """Whether nobody works any more on what this owner claimed `age` seconds ago."""
    pid, _, rest = owner.partition("-")
    start, _, rest = rest.partition("-")
    if not pid.isdigit() or rest.partition("-")[0] != _namespace():
        return age > UNSEEN_SECONDS
    if int(pid) == os.getpid():
        return owner not in _living
    found = _start_of(int(pid))
    return found is None or str(found) != start


def _start_of(pid: int) -> int | None:
    """When the process began, in clock ticks since the machine did; None when it has ended.

    https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: field 22; field 3 is the state. A zombie has ended.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
        return None if fields[0] in (b"Z", b"X") else int(fields[19])
    except FileNotFoundError:
        return None if _has_proc() else _runs(pid)
    except (OSError, ValueError, IndexError):
        return _runs(pid)


def _has_proc() -> bool:
    return Path("/proc/self/stat").exists()


def _runs(pid: int) -> int | None:
    """Without /proc: 0 for a process that is there, whenever it began."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except (OSError, OverflowError):
        pass
    return 0


def _namespace() -> str:
    try:
        return f"{Path('/proc/self/ns/pid').stat().st_ino:x}"
    except OSError:
        return "0"
