"""Owners of claimed files and of file descriptors: who they are, and whether they still exist."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Final

from blogauto_otel._process import register

# A claim of a process that is not visible here (another container on the same volume) holds for this long.
UNSEEN_SECONDS: Final = 60.0

_PROC: Final = Path("/proc")  # where it is missing, a process with the same pid counts as the owner

_UNKNOWN: Final = "0"


class _Owners:
    """The owners in this process. A forked child inherits them: their claims are not for it to take."""

    def __init__(self) -> None:
        self.serials = itertools.count(1)
        self.live: set[str] = set()


_owners: Final = register(_Owners())


def new_owner() -> str:
    """A unique mark for claims: pid, start time of the process, its pid namespace, and a serial number."""
    owner = f"{os.getpid()}-{_own_start()}-{_namespace()}-{next(_owners.serials)}"
    _owners.live.add(owner)
    return owner


def end_owner(owner: str) -> None:
    """End an owner: other owners may take back its claims."""
    _owners.live.discard(owner)


def is_dead(owner: str, age: float) -> bool:
    """Whether the owner of a claim that is `age` seconds old has ended."""
    pid, _, rest = owner.partition("-")
    start, _, rest = rest.partition("-")
    if not pid.isdigit() or rest.partition("-")[0] != _namespace():
        return age > UNSEEN_SECONDS
    if int(pid) == os.getpid():
        return owner not in _owners.live
    return not _is_running(int(pid), start)


def _is_running(pid: int, start: str) -> bool:
    """Whether the process with this start time runs; True when that cannot be found out."""
    try:
        state, found = _state_and_start(pid)
    except (FileNotFoundError, ProcessLookupError):
        return not (_PROC / "self").exists() and _pid_exists(pid)
    except (OSError, ValueError, IndexError):
        return True
    return start in (found, _UNKNOWN) and state not in ("Z", "X")


def _state_and_start(pid: int) -> tuple[str, str]:
    """Fields 3 and 22 of `stat`: the state (Z and X: ended), and the start time in clock ticks since boot.

    https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    """
    # As bytes: `read_text` imports a codec, and a child that is forked meanwhile could never import it.
    fields = (_PROC / str(pid) / "stat").read_bytes().decode("ascii", "replace").rpartition(") ")[2].split()
    return fields[0], fields[19]


def _own_start() -> str:
    try:
        return _state_and_start(os.getpid())[1]
    except (OSError, ValueError, IndexError):
        return _UNKNOWN


def _pid_exists(pid: int) -> bool:
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


def fd_identity(descriptor: int) -> object:
    """The file behind a descriptor; None when it is closed.

    An application may close all descriptors, as a daemon does, and then get the same numbers for its own files. A
    descriptor whose identity has changed is not ours to use or to close.
    """
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino
