"""The directory of the spool: the configured one, or the first of the usual directories that is writable."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from blogauto_otel._lazy_pattern import lazy_pattern
from blogauto_otel.config import Settings
from blogauto_otel.otlp.signal import Signal

# What the spool uses of the operating system; Windows lacks most of it.
_NEEDS: Final = ("geteuid", "fchmod", "fstatvfs", "O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK")

_MAX_SERVICE, _MAX_ENVIRONMENT = 70, 20  # characters of a directory's name; a hash stands for the rest
_HASHES: Final = lazy_pattern(r"(-[0-9a-f]{8})?(\+[0-9a-f]{8})?$")


def missing_on_this_system() -> str | None:
    """What the spool needs and this system does not have; None: nothing."""
    try:
        import fcntl  # noqa: F401
    except Exception:  # noqa: BLE001 - an import hook of the application may raise anything
        return "fcntl"
    return next((f"os.{name}" for name in _NEEDS if not hasattr(os, name)), None)


def is_wanted(settings: Settings) -> bool:
    """Whether there is to be a spool, and the system has what it needs."""
    return settings.spool_dir != "off" and missing_on_this_system() is None


def candidates(settings: Settings, environ: Mapping[str, str]) -> Sequence[Path]:
    """The directories to try, in order of preference."""
    name = _directory_name(settings)
    return [Path(f"{prefix}{name}") for prefix in _prefixes(settings, environ)]


def of_all_services(settings: Settings, environ: Mapping[str, str]) -> Sequence[Path]:
    """The spool directories of every service, in the directories that these settings would use; sorted by name."""
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
    """Whether a directory is that of a service, in any environment and for any destination."""
    name = re.sub(rf"^blogauto-otel-{os.geteuid()}-", "", directory.name)
    return _HASHES.sub("", name).rpartition(".")[0] == _safe_service(service)


def other_destinations(directory: Path) -> Sequence[Path]:
    """The spool directories of the same service and environment for other endpoints or headers."""
    name = directory.name.partition("+")[0]
    with contextlib.suppress(OSError), os.scandir(directory.parent) as entries:
        return sorted(
            Path(entry.path)
            for entry in entries
            if entry.name.partition("+")[0] == name
            and entry.name != directory.name
            and entry.is_dir(follow_symlinks=False)
        )
    return ()


def _prefixes(settings: Settings, environ: Mapping[str, str]) -> Sequence[str]:
    """What precedes the name of the service in the path, in order of preference.

    https://specifications.freedesktop.org/basedir-spec/: state survives a restart and needs no backup.
    """
    if settings.spool_dir:
        return [f"{Path(settings.spool_dir).absolute()}/"]
    temporary = Path(environ.get("TMPDIR") or "/tmp")  # noqa: S108 - the name has our uid, and the owner is checked
    prefixes = [f"{temporary.absolute()}/blogauto-otel-{os.geteuid()}-"]
    with contextlib.suppress(RuntimeError):  # a user without a home
        state = environ.get("XDG_STATE_HOME", "")
        home = Path(environ.get("HOME") or "~").expanduser() / ".local" / "state"
        prefixes.insert(0, f"{Path(state) if state.startswith('/') else home}/blogauto-otel/")
    return prefixes


def _directory_name(settings: Settings) -> str:
    """One directory for a service, an environment and a destination: none delivers what another one wrote."""
    wanted = f"{settings.service_name}.{settings.environment}"
    name = f"{_safe_service(settings.service_name)}.{_safe_environment(settings.environment)}"
    name = name if name == wanted else f"{name}-{_hash(wanted)}"
    destination = _destination(settings)
    return name if destination is None else f"{name}+{_hash(destination)}"


def _safe_service(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]|^\.", "_", name)[:_MAX_SERVICE] or "_"


def _safe_environment(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:_MAX_ENVIRONMENT]  # without a dot: the last one ends the service


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]


def _destination(settings: Settings) -> str | None:
    """Whose receiver the signals go to: hosts, credentials and headers; None: a local Collector, without headers.

    Not scheme, port and path: they select no tenant, and correcting them must not leave stored requests behind.
    """
    parts = [_destination_of(signal, settings) for signal in Signal]
    if all(part == ("", "", []) for part in parts):
        return None
    return json.dumps(parts)


def _destination_of(signal: Signal, settings: Settings) -> tuple[str, str, list[tuple[str, str]]]:
    url = urlsplit(getattr(settings, f"{signal.value}_endpoint") or settings.endpoint or "")
    own: Mapping[str, str] | None = getattr(settings, f"{signal.value}_headers")
    headers: Mapping[str, Any] = settings.headers if own is None else own
    host = url.hostname or ""
    credentials = url.netloc.rpartition("@")[0]
    return "" if is_loopback(host) else host, credentials, sorted((k.lower(), str(v)) for k, v in headers.items())


def is_loopback(host: str | None) -> bool:
    """Whether a host of a URL is this machine; without a host it is."""
    if not host or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def choose(directories: Sequence[Path]) -> Path:
    """The first directory that is writable or can be created; the first of all when none is."""
    return next(filter(_is_usable, directories), directories[0])


def _is_usable(directory: Path) -> bool:
    try:
        if os.path.lexists(directory):
            status = directory.lstat()  # the spool follows no link either
            ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
            return ours and os.access(directory, os.W_OK | os.X_OK)
        above = next(path for path in directory.parents if path.exists())
        return above.is_dir() and os.access(above, os.W_OK | os.X_OK)
    except OSError:
        return False
