"""Whose a claim is, and whether that process still lives: a pid alone may be somebody else's by now."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Final

# Claims of a process that we cannot see (another container on the same volume) are its own while they are younger.
UNSEEN_SECONDS: Final = 60.0

_PROC: Final = Path("/proc")  # where there is none, a pid that answers is taken for the process

_UNKNOWN: Final = "0"

_serials: Final = itertools.count(1)
_living: Final[set[str]] = set()  # owners in this process, and what a forked child inherits without being asked


def new_owner() -> str:
    """A mark for claims: pid, start of the process, its pid namespace, and which owner of this process it is."""
    owner = f"{os.getpid()}-{_own_start()}-{_namespace()}-{next(_serials)}"
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
    return not _runs(int(pid), start)


def _runs(pid: int, start: str) -> bool:
    """Whether that very process runs; when it cannot be told, it does."""
    try:
        state, found = _state_and_start(pid)
    except (FileNotFoundError, ProcessLookupError):
        return not (_PROC / "self").exists() and _answers(pid)
    except (OSError, ValueError, IndexError):
        return True
    return start in (found, _UNKNOWN) and state not in ("Z", "X")


def _state_and_start(pid: int) -> tuple[str, str]:
    """Fields 3 and 22: a letter, of which Z and X mean an end; and the clock ticks of the machine at the beginning.

    https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    """
    fields = (_PROC / str(pid) / "stat").read_text("ascii", "replace").rpartition(") ")[2].split()
    return fields[0], fields[19]


def _own_start() -> str:
    try:
        return _state_and_start(os.getpid())[1]
    except (OSError, ValueError, IndexError):
        return _UNKNOWN


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return True


def _namespace() -> str:
    try:
        return f"{(_PROC / 'self/ns/pid').stat().st_ino:x}"
    except OSError:
        return "0"
