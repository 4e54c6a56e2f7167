"""Where the spool is: what the user said, or the first of the usual places that can be written to."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from blogauto_otel.config import Settings


def is_wanted(settings: Settings) -> bool:
    """Whether there is to be a spool, and the system has what it needs."""
    return settings.spool_dir != "off" and os.name == "posix"


def candidates(settings: Settings, environ: Mapping[str, str]) -> Sequence[Path]:
    """The directories to try, best first.

    https://specifications.freedesktop.org/basedir-spec/: state is what survives a restart and is worth no backup.
    """
    own = _own_name(settings)
    if settings.spool_dir:
        return (Path(settings.spool_dir).absolute() / own,)
    temporary = Path(environ.get("TMPDIR") or "/tmp")  # noqa: S108 - a name with our uid, and whose it is is checked
    places = [temporary.absolute() / f"blogauto-otel-{os.geteuid()}-{own}"]
    with contextlib.suppress(RuntimeError):  # a user without a home
        state = environ.get("XDG_STATE_HOME", "")
        home = Path(environ.get("HOME") or "~").expanduser() / ".local" / "state"
        places.insert(0, (Path(state) if state.startswith("/") else home) / "blogauto-otel" / own)
    return places


def _own_name(settings: Settings) -> str:
    """One directory for a service in an environment: staging does not deliver what production wrote."""
    wanted = f"{settings.service_name}.{settings.environment}"
    safe = re.sub(r"[^A-Za-z0-9._-]|^\.", "_", wanted)[:100]
    return safe if safe == wanted else f"{safe}-{hashlib.sha256(wanted.encode()).hexdigest()[:8]}"


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
