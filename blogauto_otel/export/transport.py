"""What becomes of a request: the one question that pipeline and transports share."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from blogauto_otel.errors import DeadlineError, MalformedError
from blogauto_otel.otlp import protobuf

USER_AGENT: Final = "blogauto-otel OTel-OTLP-Exporter-Python"

RETRY_AFTER_MIN: Final = 0.5  # seconds: a receiver that asks for less would be hammered
RETRY_AFTER_MAX: Final = 60.0  # a receiver that asks for more would silence us for good


TIMEOUT: Final = "timeout"  # the reason of an outcome: there was a connection, or nearly, but no answer in time


class ExportStatus(Enum):
    """What became of a request."""

    DELIVERED = "delivered"
    RETRY = "retry"  # the receiver is away or overloaded: the same request may be sent again
    REFUSED = "refused"  # it will never be taken


@dataclass(frozen=True)
class ExportResult:
    """The fate of one request, and what the receiver said."""

    status: ExportStatus
    reason: str = ""  # a word for counting: http_400, grpc_3
    message: str = ""  # a sentence for people
    retry_after: float | None = None  # seconds, already within bounds
    rejected: int = 0  # items that were not taken of a request that was
    answered: bool = True  # False: nothing came back


@dataclass(frozen=True)
class Destination:
    """Where a signal goes, and how."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 10.0  # seconds, for a request as a whole
    gzip: bool = False
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None


class Transport(Protocol):
    """Carries requests to one destination. Used by one thread at a time, `abort` and `forget` aside."""

    def send(self, body: bytes, deadline: float) -> ExportResult:
        """Send one request; done by `deadline` (`time.monotonic`), whatever the peer does. Raises no `Exception`."""

    def abort(self) -> None:
        """Make a `send` in another thread fail at once."""

    def forget(self) -> None:
        """Let go of connections inherited from the parent process, without a word to the peer."""

    def close(self) -> None:
        """Close connections."""


def remaining(deadline: float, doing: str) -> float:
    """Seconds left.

    Raises:
        DeadlineError: none.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise DeadlineError(f"no time left {doing}")
    return left


def clamped(seconds: float) -> float:
    """A wait that a receiver asked for, within reason; NaN counts as nothing."""
    return RETRY_AFTER_MIN if math.isnan(seconds) else min(max(seconds, RETRY_AFTER_MIN), RETRY_AFTER_MAX)


def partial_success(body: bytes) -> tuple[int, str]:
    """How many items an answer says were rejected, and why; an answer that cannot be read rejected nothing.

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
