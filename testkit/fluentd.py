"""The forward protocol of Docker's `fluentd` logging driver, with the msgpack that it needs."""

from __future__ import annotations

import socket
import struct
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Time:
    """Seconds and nanoseconds since 1970: msgpack's extension type 0, which `fluentd-sub-second-precision` asks for."""

    seconds: int
    nanoseconds: int


def pack(value: Any) -> bytes:
    """Strings, integers, sequences, maps and times in msgpack's shortest forms."""
    if isinstance(value, Time):
        return b"\xd7\x00" + struct.pack(">II", value.seconds, value.nanoseconds)
    if isinstance(value, int):
        return b"\xce" + struct.pack(">I", value)
    if isinstance(value, str):
        raw = value.encode()
        return _head(len(raw), 0xA0, 31, 0xDB) + raw
    if isinstance(value, Mapping):
        return _head(len(value), 0x80, 15, 0xDF) + b"".join(pack(key) + pack(content) for key, content in value.items())
    if isinstance(value, Sequence):
        return _head(len(value), 0x90, 15, 0xDD) + b"".join(pack(item) for item in value)
    raise TypeError(type(value))


def _head(length: int, short: int, longest: int, long: int) -> bytes:
    return bytes([short | length]) if length <= longest else bytes([long]) + struct.pack(">I", length)


def docker_record(line: str, *, container: str, service: str = "", source: str = "stdout") -> dict[str, str]:
    """The driver's record of one line, with the compose labels of its `labels` option."""
    labels = {"com.docker.compose.service": service, "com.docker.compose.project": "blogauto"} if service else {}
    identity = {"container_id": container.ljust(64, "0"), "container_name": f"/{container}"}
    return {**identity, "source": source, "log": line, **labels}


def forward(port: int, records: Sequence[Mapping[str, str]], *, time: Time | int, timeout: float = 10.0) -> None:
    """Send each record as a message, as the driver does, and wait for its acknowledgement.

    Raises:
        AssertionError: an acknowledgement is not for what was sent.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        for record in records:
            chunk = uuid.uuid4().hex
            connection.sendall(pack(["docker." + record["container_id"][:12], time, record, {"chunk": chunk}]))
            answer = connection.recv(1024)
            assert b"ack" in answer, answer
            assert chunk.encode() in answer, answer
