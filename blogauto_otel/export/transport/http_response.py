"""HTTP/1.1 responses: bounded reading, and the export result that a response means."""

from __future__ import annotations

import contextlib
import re
import socket
import time
import zlib
from collections.abc import Mapping
from typing import Final

from blogauto_otel._clock import clock
from blogauto_otel._dataclass import dataclass
from blogauto_otel._threads import importing
from blogauto_otel.errors import DeadlineError
from blogauto_otel.export.transport import (
    ExportResult,
    ExportStatus,
    clamped,
    partial_success,
    remaining,
)

MAX_HEAD: Final = 65_536  # bytes of headers
MAX_LINE: Final = 8192  # bytes of a status line
MAX_INTERIM: Final = 20  # responses such as 100 Continue, before the final one
MAX_BODY: Final = 65_536  # bytes of a body; the rest is not read
TOLERANCE: Final = 0.05  # seconds that a call may take longer than the deadline
REST_SECONDS: Final = 2.0  # for headers and body, after the status

# https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes; all others are final.
RETRYABLE: Final = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Response:
    """Status, headers by lower-case name, and at most `MAX_BODY` bytes of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ResponseReader:
    """Reads the response to one request from a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.has_received = False  # whether the peer has sent anything
        self._socket = connection
        self._buffer = bytearray()  # not bytes: removing many short lines from its front would copy the rest each time

    @property
    def has_surplus(self) -> bool:
        """Whether the peer sent more than the response; it would be taken for the next one."""
        return bool(self._buffer)

    def read(self, deadline: float) -> tuple[Response, bool]:
        """The response, and whether the connection may be used again.

        Raises:
            DeadlineError: there was no response in time.
            OSError: the connection broke, or the response is not HTTP/1.1.
        """
        for _ in range(MAX_INTERIM):
            version, status = self._read_status(deadline)
            headers: dict[str, str] = {}
            if status < 200:
                self._read_headers(headers, deadline)
                continue
            body, keep = self._read_rest(status, headers, min(deadline, clock.monotonic() + REST_SECONDS))
            keep = keep and version != b"HTTP/1.0" and headers.get("connection", "").lower() != "close"
            return Response(status, headers, body), keep
        raise OSError("too many interim responses")

    def _read_status(self, deadline: float) -> tuple[bytes, int]:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > MAX_LINE or not b"HTTP/1."[: len(self._buffer)] == self._buffer[:7]:
                raise OSError(_not_http(bytes(self._buffer[:40])))
            self._read_more(deadline)
        line = self._pop(end + 2)[:-2]
        version, _, rest = line.partition(b" ")
        if not version.startswith(b"HTTP/1.") or not re.match(rb"[1-9][0-9]{2}\b", rest):
            raise OSError(_not_http(line))
        return version, int(rest[:3])

    def _read_rest(self, status: int, headers: dict[str, str], deadline: float) -> tuple[bytes, bool]:
        """Headers and body, and whether the connection may be used again.

        The status has decided the result: the rest is not waited for. But a connection that breaks within the headers
        has given no response.
        """
        try:
            self._read_headers(headers, deadline)
        except ConnectionError:
            raise
        except OSError:
            return b"", False
        try:
            body, keep = self._read_body(status, headers, deadline)
        except (OSError, ValueError):
            return b"", False
        if headers.get("content-encoding") == "gzip":
            with contextlib.suppress(zlib.error):  # bounded, whatever it decompresses to
                body = zlib.decompressobj(31).decompress(body, MAX_BODY)
        return body, keep

    def _read_headers(self, headers: dict[str, str], deadline: float) -> None:
        size = 0
        while line := self._read_line(deadline):
            size += len(line)
            if size > MAX_HEAD:
                raise OSError("the headers are too long")
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()

    def _read_body(self, status: int, headers: Mapping[str, str], deadline: float) -> tuple[bytes, bool]:
        """The body, and whether the connection is at the beginning of the next response."""
        if status in (204, 304):
            return b"", True
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._read_chunks(deadline)
        length = headers.get("content-length", "")
        if not length.isdigit():
            return self._read_to_end(deadline), False
        wanted = min(int(length), MAX_BODY)
        return self._read_exactly(wanted, deadline), wanted == int(length)

    def _read_chunks(self, deadline: float) -> tuple[bytes, bool]:
        body = b""
        while True:
            size = int(self._read_line(deadline).partition(b";")[0], 16)
            if size < 0:
                raise ValueError("a chunk of negative size")
            if size == 0:
                self._read_headers({}, deadline)
                return body, True
            if len(body) + size > MAX_BODY:
                return body + self._read_exactly(MAX_BODY - len(body), deadline), False
            body += self._read_exactly(size, deadline)
            self._read_line(deadline)

    def _read_line(self, deadline: float) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD:
                raise OSError("a line of the response is too long")
            self._read_more(deadline)
        return self._pop(end + 2)[:-2]

    def _read_exactly(self, size: int, deadline: float) -> bytes:
        while len(self._buffer) < size:
            self._read_more(deadline)
        return self._pop(size)

    def _read_to_end(self, deadline: float) -> bytes:
        with contextlib.suppress(ConnectionError):
            while len(self._buffer) < MAX_BODY:
                self._read_more(deadline)
        return self._pop(MAX_BODY)

    def _pop(self, size: int) -> bytes:
        content = bytes(self._buffer[:size])
        del self._buffer[:size]
        return content

    def _read_more(self, deadline: float) -> None:
        limit(self._socket, remaining(deadline, "waiting for the answer"))
        try:
            received = self._socket.recv(65_536)
        except TimeoutError as error:
            raise DeadlineError("no time left waiting for the answer") from error
        if not received:
            raise ConnectionResetError("closed before the answer was complete")
        self.has_received = True
        self._buffer += received


def limit(connection: socket.socket, seconds: float) -> None:
    """Set the timeout of the next call; one that is later by at most `TOLERANCE` stays.

    Each call that uses the operating system gives the interpreter lock away, and may wait 5 ms for it. While our thread
    waits, the application wakes it with each of its own such calls, which costs microseconds each.
    """
    given = connection.gettimeout()
    if given is None or not seconds <= given <= seconds + TOLERANCE:
        connection.settimeout(seconds)


def _not_http(start: bytes) -> str:
    """The protocol of the peer, if it is a known one."""
    for beginning, text in _OTHER_PROTOCOLS:
        if start.startswith(beginning):
            return text
    return f"the answer is not HTTP/1.1: {start[:40]!r}"


_OTHER_PROTOCOLS: Final = (
    # HTTP/2 begins with a SETTINGS frame, whose length is below 64 KiB: the first byte is zero.
    (b"\x00", "HTTP/2 is spoken there, so it is for gRPC: use port 4318, or OTEL_EXPORTER_OTLP_PROTOCOL=grpc"),
    (b"\x15\x03", "TLS is spoken there: use https://"),
)


def result(response: Response) -> ExportResult:
    """The export result that a response means.

    https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
    """
    status = response.status
    if 200 <= status < 300:
        if _is_page(response):
            text = f"HTTP {status} with a page of HTML: no OTLP receiver is there"
            return ExportResult(ExportStatus.RETRY, "page", text, answered=False)
        rejected, reason = partial_success(response.body)
        return ExportResult(ExportStatus.DELIVERED, message=reason, rejected=rejected)
    text = _describe(response)
    if status in RETRYABLE:
        return ExportResult(
            ExportStatus.RETRY, f"http_{status}", text, retry_after(response.headers.get("retry-after"))
        )
    return ExportResult(ExportStatus.REFUSED, f"http_{status}", text)


def _is_page(response: Response) -> bool:
    """Whether it is a page of a login portal, or of an application that answers every path."""
    is_html = response.headers.get("content-type", "").lower().startswith("text/html")
    return is_html and response.body.lstrip()[:1] == b"<"


def _describe(response: Response) -> str:
    location = response.headers.get("location")
    if 300 <= response.status < 400 and location:
        return (
            f"HTTP {response.status} to {location[:200]}: redirects are not followed, set the endpoint to where it is"
        )
    return f"HTTP {response.status}"


def retry_after(value: str | None, now: float | None = None) -> float | None:
    """The seconds of a `Retry-After` header, a number or a date, within bounds; None when there is none.

    https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
    """
    if value is None:
        return None
    try:
        return clamped(float(value))
    except ValueError:
        pass
    with importing:
        import email.utils  # dates are rare, and this import is not cheap

    try:
        moment = email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None
    return clamped(moment - (time.time() if now is None else now))
