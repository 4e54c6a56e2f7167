"""Free ports on loopback, reserved for as long as this process lives."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

LOOPBACK = "127.0.0.1"

_locks: list[IO[str]] = []


def free_port() -> int:
    """A loopback port with no listener, which no other run of this module gets while this process lives.

    It lies outside the range that the system uses for outgoing connections: a client that retries a closed port of
    that range sooner or later connects to itself, and the restarted program finds its port taken.
    """
    folder = Path(tempfile.gettempdir()) / f"blogauto-otel-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    first_outgoing = _first_outgoing_port()
    for _attempt in range(1000):
        port = random.randrange(10_000, first_outgoing)
        lock = (folder / str(port)).open("w")
        if _lock(lock) and _bindable(port):
            _locks.append(lock)
            return port
        lock.close()
    raise RuntimeError("no free port on loopback")


def _first_outgoing_port() -> int:
    try:
        return max(12_000, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]))
    except (OSError, ValueError):
        return 32_768


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
