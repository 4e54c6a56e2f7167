"""Where the spool is: what the user said, or the first of the usual places that can be written to."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from blogauto_otel.config import Settings

# What the spool uses of the system; Windows lacks most of it.
_NEEDS: Final = ("geteuid", "fchmod", "fstatvfs", "O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK")


def missing_on_this_system() -> str | None:
    """What the spool needs and this system does not have; None: nothing."""
    try:
        import fcntl  # noqa: F401
    except Exception:  # noqa: BLE001 - whatever an import hook of the application raises
        return "fcntl"
    return next((f"os.{name}" for name in _NEEDS if not hasattr(os, name)), None)


def is_wanted(settings: Settings) -> bool:
    """Whether there is to be a spool, and the system has what it needs."""
    return settings.spool_dir != "off" and missing_on_this_system() is None


def candidates(settings: Settings, environ: Mapping[str, str]) -> Sequence[Path]:
    """The directories to try, best first."""
    own = _own_name(settings)
    return [Path(f"{prefix}{own}") for prefix in _prefixes(settings, environ)]


def of_all_services(settings: Settings, environ: Mapping[str, str]) -> Sequence[Path]:
    """The directories of every service that has a spool where this one would have it, by name."""
    found: set[Path] = set()
    for prefix in _prefixes(settings, environ):
        parent, _, beginning = prefix.rpartition("/")
        with contextlib.suppress(OSError), os.scandir(parent or "/") as entries:
            found.update(
                Path(entry.path)
                for entry in entries
                if entry.name.startswith(beginning) and "." in entry.name and entry.is_dir(follow_symlinks=False)
            )
    return sorted(found)


def belongs_to(directory: Path, service: str) -> bool:
    """Whether a directory is that of a service, in any environment."""
    name = re.sub(rf"^blogauto-otel-{os.geteuid()}-", "", directory.name)
    return name.startswith(f"{_safe(service)}.")


def _prefixes(settings: Settings, environ: Mapping[str, str]) -> Sequence[str]:
    """What stands before a service's own name, best place first.

    https://specifications.freedesktop.org/basedir-spec/: state is what survives a restart and is worth no backup.
    """
    if settings.spool_dir:
        return [f"{Path(settings.spool_dir).absolute()}/"]
    temporary = Path(environ.get("TMPDIR") or "/tmp")  # noqa: S108 - a name with our uid, and whose it is is checked
    prefixes = [f"{temporary.absolute()}/blogauto-otel-{os.geteuid()}-"]
    with contextlib.suppress(RuntimeError):  # a user without a home
        state = environ.get("XDG_STATE_HOME", "")
        home = Path(environ.get("HOME") or "~").expanduser() / ".local" / "state"
        prefixes.insert(0, f"{Path(state) if state.startswith('/') else home}/blogauto-otel/")
    return prefixes


def _own_name(settings: Settings) -> str:
    """One directory for a service in an environment: staging does not deliver what production wrote."""
    wanted = f"{settings.service_name}.{settings.environment}"
    safe = _safe(wanted)
    return safe if safe == wanted else f"{safe}-{hashlib.sha256(wanted.encode()).hexdigest()[:8]}"


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]|^\.", "_", name)[:100]


def choose(places: Sequence[Path]) -> Path:
    """The first place that can be written to, or may be made; the first of all when none can."""
    return next(filter(_is_usable, places), places[0])


def _is_usable(place: Path) -> bool:
    try:
        if os.path.lexists(place):
            facts = place.lstat()  # the spool follows no link either
            ours = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()
            return ours and os.access(place, os.W_OK | os.X_OK)
        above = next(path for path in place.parents if path.exists())
        return above.is_dir() and os.access(above, os.W_OK | os.X_OK)
    except OSError:
        return False
