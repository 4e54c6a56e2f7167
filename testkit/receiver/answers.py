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
    """The answer to a request; the fields are applied in this order."""

    delay: float = 0.0  # seconds before the answer
    silent: bool = False  # the request is read and never answered
    reset: str = (
        ""  # "reading": in the middle of the request; "read": after it; "answering": in the middle of the answer
    )
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Mapping[str, bytes] = b""  # by path, or one for all
    size: int = 0  # instead of `body`: this many zero bytes
    drip: float = 0.0  # seconds between two bytes of the answer, head and body
    raw: bytes = b""  # instead of head and body
    more: bytes = b""  # sent after `raw` without a request
    pause: float = 0.0  # seconds before each `more`
    endless: bool = False  # repeat `more` until the peer disconnects
    read_pause: float = 0.0  # seconds between two bytes read of the request
    close: bool = False  # close the connection after the answer, without announcing it
    received: bool | None = None  # whether the items count as received; unset: when the status is 2xx


def ok() -> Answer:
    """The answer of a healthy Collector."""
    return Answer()


def status(code: int, *, retry_after: object = None) -> Answer:
    """A status, perhaps with `Retry-After` (seconds, or any text)."""
    return Answer(status=code, headers={} if retry_after is None else {"Retry-After": str(retry_after)})


def delay(seconds: float) -> Answer:
    """200 after a delay."""
    return Answer(delay=seconds)


def silence() -> Answer:
    """The request is read and never answered."""
    return Answer(silent=True, received=False)


def drip(seconds: float = 0.2) -> Answer:
    """200 one byte at a time: every read succeeds, the response never ends."""
    return Answer(drip=seconds, body=b"\0" * 4096)


def reset(when: str = "reading") -> Answer:
    """The connection is reset: while `reading` the request, once it is `read`, or while `answering`."""
    return Answer(reset=when, received=False)


def lost_acknowledgement() -> Answer:
    """The items are received, then the connection is reset before the response."""
    return Answer(reset="read", received=True)


def closing() -> Answer:
    """200, then the keep-alive connection is closed."""
    return Answer(close=True)


def partial_success(rejected: int, message: str = "") -> Answer:
    """200 with this many items rejected (the three signals have the same encoding)."""
    success = ExportMetricsPartialSuccess(rejected_data_points=rejected, error_message=message)
    return Answer(body=ExportMetricsServiceResponse(partial_success=success).SerializeToString())


def huge_body(size: int = 300_000_000, *, code: int = 200) -> Answer:
    """A response body of this size."""
    return Answer(status=code, size=size)


def raw(head: bytes, more: bytes = b"", *, pause: float = 0.0, endless: bool = False, close: bool = False) -> Answer:
    """These bytes, HTTP or not; then `more`, once or without end."""
    return Answer(raw=head, more=more, pause=pause, endless=endless, close=close, received=False)


def slow_reader(seconds: float) -> Answer:
    """The request is read one byte at a time, so the sender blocks when the socket buffers are full."""
    return Answer(read_pause=seconds, received=False)


def gzip_bomb(size: int = 100_000_000) -> Answer:
    """A small compressed body that unpacks to this size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b"\0" * 1_000_000
    body = b"".join(packer.compress(block) for _ in range(size // len(block))) + packer.flush()
    return Answer(body=body, headers={"Content-Encoding": "gzip"})


def redirect(location: str, code: int = 307) -> Answer:
    """A redirect."""
    return Answer(status=code, headers={"Location": location})
