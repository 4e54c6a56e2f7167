"""How a receiver answers: as a healthy Collector does, or with a fault."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)


@dataclass(frozen=True)
class Answer:
    """What a request gets: the fields are applied in this order."""

    delay: float = 0.0  # seconds before anything is answered
    silent: bool = False  # the request is read and never answered
    reset: str = (
        ""  # "reading": in the middle of the request; "read": after it; "answering": in the middle of the answer
    )
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Mapping[str, bytes] = b""  # by path, or the same for each
    size: int = 0  # instead of `body`: that many zero bytes
    drip: float = 0.0  # seconds between two bytes of the answer, head and body
    raw: bytes = b""  # instead of head and body
    more: bytes = b""  # after `raw`, though nobody asked
    pause: float = 0.0  # seconds before each time that `more` is said
    endless: bool = False  # `more` again and again, until the peer goes away
    read_pause: float = 0.0  # seconds between two bytes of the request that are read
    close: bool = False  # the connection is closed after the answer, without saying so before
    received: bool | None = None  # whether the items count as received; unset: when the status is 2xx


def ok() -> Answer:
    """The normal answer."""
    return Answer()


def status(code: int, *, retry_after: object = None) -> Answer:
    """A status, perhaps with `Retry-After` (seconds, or any text)."""
    return Answer(status=code, headers={} if retry_after is None else {"Retry-After": str(retry_after)})


def delay(seconds: float) -> Answer:
    """A good answer that takes a while."""
    return Answer(delay=seconds)


def silence() -> Answer:
    """The request is read, and nothing ever comes back."""
    return Answer(silent=True, received=False)


def drip(seconds: float = 0.2) -> Answer:
    """A good answer, one byte at a time: every single read succeeds, the whole takes for ever."""
    return Answer(drip=seconds, body=b"\0" * 4096)


def reset(when: str = "reading") -> Answer:
    """The connection is reset: while `reading` the request, once it is `read`, or while `answering`."""
    return Answer(reset=when, received=False)


def lost_acknowledgement() -> Answer:
    """The items are taken, then the connection is reset before the sender hears of it."""
    return Answer(reset="read", received=True)


def closing() -> Answer:
    """A good answer, after which the peer closes its end of the kept-alive connection."""
    return Answer(close=True)


def partial_success(rejected: int, message: str = "") -> Answer:
    """200, but so many items were not taken (the three signals spell it alike on the wire)."""
    success = ExportMetricsPartialSuccess(rejected_data_points=rejected, error_message=message)
    return Answer(body=ExportMetricsServiceResponse(partial_success=success).SerializeToString())


def huge_body(size: int = 300_000_000, *, code: int = 200) -> Answer:
    """An answer of that many bytes."""
    return Answer(status=code, size=size)


def raw(said: bytes, more: bytes = b"", *, pause: float = 0.0, endless: bool = False, close: bool = False) -> Answer:
    """These bytes and no others, HTTP or not; perhaps `more` of them later, once or without end."""
    return Answer(raw=said, more=more, pause=pause, endless=endless, close=close, received=False)


def slow_reader(seconds: float) -> Answer:
    """The request is read, one byte at a time: what does not fit into the buffers of the system is not sent."""
    return Answer(read_pause=seconds, received=False)


def gzip_bomb(size: int = 100_000_000) -> Answer:
    """A small compressed answer that unpacks to that many bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b"\0" * 1_000_000
    body = b"".join(packer.compress(block) for _ in range(size // len(block))) + packer.flush()
    return Answer(body=body, headers={"Content-Encoding": "gzip"})


def redirect(location: str, code: int = 307) -> Answer:
    """Somewhere else, please."""
    return Answer(status=code, headers={"Location": location})
