"""Transports send requests to the receiver: their interface, and the result of a request."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from enum import Enum
from typing import Final, Protocol

from blogauto_otel._clock import clock
from blogauto_otel._dataclass import dataclass
from blogauto_otel.errors import DeadlineError, MalformedError
from blogauto_otel.otlp import protobuf

USER_AGENT: Final = "blogauto-otel OTel-OTLP-Exporter-Python"

RETRY_AFTER_MIN: Final = 0.5  # seconds, even if the receiver asks for less
RETRY_AFTER_MAX: Final = 60.0  # seconds, even if the receiver asks for more

TIMEOUT: Final = "timeout"  # the reason of a result: no answer in time


class ExportStatus(Enum):
    """The result of a request, as far as its items are concerned."""

    DELIVERED = "delivered"
    RETRY = "retry"  # the receiver is unavailable or overloaded: send the same request again
    REFUSED = "refused"  # the receiver will never accept it


@dataclass(frozen=True)
class ExportResult:
    """The result of one request, with what the receiver said."""

    status: ExportStatus
    reason: str = ""  # for counting: http_400, grpc_3
    message: str = ""  # for logs
    retry_after: float | None = None  # seconds, already within bounds
    rejected: int = 0  # items of a delivered request that the receiver rejected
    answered: bool = True  # False: no response


@dataclass(frozen=True)
class Destination:
    """The address of a receiver, and how requests are sent to it."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 10.0  # seconds, for a whole request
    gzip: bool = False
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None


class Transport(Protocol):
    """Sends requests to one destination. Used by one thread at a time, except for `abort` and `after_fork_in_child`."""

    def send(self, body: bytes, deadline: float) -> ExportResult:
        """Send one request; returns by `deadline` (monotonic), whatever the peer does. Raises no `Exception`."""

    def abort(self) -> None:
        """Make a `send` in another thread fail at once."""

    def after_fork_in_child(self) -> None:
        """Drop the parent's connections, without sending anything to the peer."""

    def close(self) -> None:
        """Close connections."""


def remaining(deadline: float, doing: str) -> float:
    """Seconds until the deadline.

    Raises:
        DeadlineError: it has passed.
    """
    seconds = deadline - clock.monotonic()
    if seconds <= 0:
        raise DeadlineError(f"no time left {doing}")
    return seconds


def clamped(seconds: float) -> float:
    """The wait that a receiver asked for, within bounds; NaN counts as 0."""
    return RETRY_AFTER_MIN if math.isnan(seconds) else min(max(seconds, RETRY_AFTER_MIN), RETRY_AFTER_MAX)


def partial_success(body: bytes) -> tuple[int, str]:
    """The number of rejected items in a response, and the reason; a malformed response rejects nothing.

    ExportTraceServiceResponse and its siblings: partial_success = 1; in it, rejected_* = 1 and error_message = 2.
    """
    rejected, reason = 0, ""
    try:
        for number, value in protobuf.fields(body):
            if number == 1 and isinstance(value, bytes):
                for inner, content in protobuf.fields(value):
                    if inner == 1 and isinstance(content, int):
                        rejected = max(protobuf.signed(content), 0)
                    elif inner == 2 and isinstance(content, bytes):
                        reason = content[:500].decode("utf-8", "replace")
    except MalformedError:
        return 0, ""
    return rejected, reason
