"""Ways in which a spool file may be damaged, by other programs or by the disk."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from blogauto_otel.otlp.signal import Signal
from blogauto_otel.spool.directory import SpoolLimits
from blogauto_otel.spool.file_format import StoredRequest, encode

Damage = Callable[[Path], object]


def _bind(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # the path of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


def _instead(make: Damage) -> Damage:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


DAMAGES: Mapping[str, Damage] = {
    "torn": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "a few bytes": lambda path: path.write_bytes(path.read_bytes()[:3]),
    "empty": lambda path: path.write_bytes(b""),
    "flipped": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"),
    "foreign": lambda path: path.write_text("a note to myself"),
    "1 GiB": lambda path: os.truncate(path, 2**30),
    "a little too large": lambda path: os.truncate(path, SpoolLimits().file_bytes + 1),
    "larger when unpacked": lambda path: path.write_bytes(
        encode(StoredRequest(Signal.TRACES, 1, bytes(2 * SpoolLimits().file_bytes)))
    ),
    "another signal's": lambda path: path.write_bytes(encode(StoredRequest(Signal.LOGS, 1, b"logs"))),
    "a link": _instead(lambda path: path.symlink_to("/etc/passwd")),
    "a pipe": _instead(os.mkfifo),
    "a directory": _instead(Path.mkdir),
    "a socket": _instead(_bind),
}

# These are deleted instead of quarantined: they have no content, or too much.
DELETED = frozenset({"1 GiB", "a little too large", "a link"})
