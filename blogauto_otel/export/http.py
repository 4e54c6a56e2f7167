"""OTLP over HTTP/1.1: one kept-alive connection, a deadline for the whole request, and nothing of the environment.

Own, because `http.client` knows only timeouts per read (a peer that sends a byte now and then holds it for ever), and
because libraries above it follow redirects, read proxy variables, read whole bodies and are instrumented themselves.
"""

from __future__ import annotations

import base64
import contextlib
import re
import select
import socket
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urlsplit

from blogauto_otel._threads import without_signal
from blogauto_otel.errors import DeadlineError
from blogauto_otel.export.transport import (
    TIMEOUT,
    USER_AGENT,
    Destination,
    ExportResult,
    ExportStatus,
    clamped,
    partial_success,
    remaining,
)
from blogauto_otel.spool.descriptors import identity

if TYPE_CHECKING:
    import ssl

MAX_HEAD: Final = 65_536  # bytes of headers
MAX_LINE: Final = 8192  # bytes of a status line
MAX_INTERIM: Final = 20  # answers such as 100 Continue, which announce the answer
MAX_BODY: Final = 65_536  # bytes of an answer: what is said in more is of no interest
REST_SECONDS: Final = 2.0  # for what follows the status
HEARING_SECONDS: Final = 0.1  # for what was said while we sent
SEND_PIECE: Final = 262_144  # bytes between two looks at the clock

# https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes; all others are final.
RETRYABLE: Final = frozenset({429, 502, 503, 504})

# Headers that are ours to set: a user's would break the framing of the request.
RESERVED: Final = frozenset(
    {
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "transfer-encoding",
        "connection",
        "expect",
        "upgrade",
    }
)


@dataclass(frozen=True)
class Answer:
    """Status, headers by lower-case name, and at most `MAX_BODY` bytes of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpTransport:
    """Carries requests to one URL."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        parts = urlsplit(destination.url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or "localhost"
        self._port = parts.port or (443 if self._secure else 80)
        self._head = _request_head(destination, parts.path or "/", parts.query, self._authority())
        self._tls: ssl.SSLContext | None = None
        self._socket: socket.socket | None = None
        self._identity: object = None  # of the socket behind the descriptor
        self._buffer = bytearray()  # not bytes: taking many short lines from its front would copy the rest each time
        self._heard = False  # whether the peer has said anything about the current request
        self._aborted = False

    def _authority(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self._port}"

    def send(self, body: bytes, deadline: float) -> ExportResult:
        """See `Transport`."""
        self._aborted = False
        try:
            if self._destination.gzip:
                packer = zlib.compressobj(1, zlib.DEFLATED, 31)
                body = packer.compress(body) + packer.flush()
            with without_signal("SIGPIPE"):  # MSG_NOSIGNAL serves plain sockets, but not what OpenSSL writes
                return result(self._exchange(body, deadline))
        except DeadlineError as error:
            self.close()
            return ExportResult(ExportStatus.RETRY, TIMEOUT, f"{self._authority()}: {error}", answered=False)
        except Exception as error:  # noqa: BLE001 - sockets, TLS and resolvers raise what they like
            self.close()
            said = f"{self._authority()}: {type(error).__name__}: {error}"
            return ExportResult(ExportStatus.RETRY, "connection", said, answered=False)

    def abort(self) -> None:
        """See `Transport`."""
        self._aborted = True
        connection = self._socket
        if connection is not None and identity(connection.fileno()) == self._identity:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def forget(self) -> None:
        """See `Transport`: closing a copied descriptor leaves the parent's connection as it is."""
        self.close()

    def close(self) -> None:
        """See `Transport`."""
        connection, self._socket, self._buffer = self._socket, None, bytearray()
        if connection is None:
            return
        if identity(connection.fileno()) != self._identity:
            connection.detach()
            return
        with contextlib.suppress(OSError):
            connection.close()

    # -- one request

    def _exchange(self, body: bytes, deadline: float) -> Answer:
        reused = self._socket is not None and self._still_open()
        if not reused:
            self.close()
            self._connect(deadline)
        try:
            return self._request(body, deadline)
        except DeadlineError:
            raise
        except OSError:
            # A kept-alive connection may close just as we use it; that says nothing of the receiver. A fresh one does.
            if not reused or self._heard or self._aborted:
                raise
            self.close()
            self._connect(deadline)
            return self._request(body, deadline)

    def _still_open(self) -> bool:
        """A connection with something to read between two requests was closed, or is out of step."""
        assert self._socket is not None
        if identity(self._socket.fileno()) != self._identity:
            return False
        try:
            return not _has_something_to_read(self._socket)
        except (OSError, ValueError):
            return False

    def _connect(self, deadline: float) -> None:
        # Resolving cannot be interrupted; that is one reason why a thread of our own does it.
        addresses = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        problem = OSError("no address")
        for index, address in enumerate(addresses):
            # A share of the time for each: the first may be a network that swallows everything (half-working IPv6).
            share = remaining(deadline, "connecting") / (len(addresses) - index)
            try:
                return self._connect_to(address, time.monotonic() + share)
            except OSError as error:
                self.close()
                if self._aborted:
                    raise
                problem = error
        if isinstance(problem, TimeoutError):
            raise DeadlineError("no time left connecting") from problem
        raise problem

    def _connect_to(self, address: tuple[Any, ...], deadline: float) -> None:
        family, kind, protocol, _, target = address
        connection = socket.socket(family, kind, protocol)
        self._identity = identity(connection.fileno())
        self._socket = connection  # kept at once, so that `abort` finds it
        connection.settimeout(remaining(deadline, "connecting"))
        connection.connect(target)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._secure:
            self._secure_connection(connection, deadline)

    def _secure_connection(self, connection: socket.socket, deadline: float) -> None:
        if self._tls is None:
            self._tls = _tls_context(self._destination)
        secured = self._tls.wrap_socket(connection, server_hostname=self._host, do_handshake_on_connect=False)
        self._socket = secured
        secured.settimeout(remaining(deadline, "agreeing on TLS"))
        secured.do_handshake()

    def _request(self, body: bytes, deadline: float) -> Answer:
        self._buffer, self._heard = bytearray(), False
        try:
            self._send(self._head + b"%d\r\n\r\n" % len(body), deadline)
            self._send(body, deadline)
        except (BrokenPipeError, ConnectionResetError, DeadlineError) as error:
            # A receiver may refuse in the middle of the request: what it said stands in the socket still.
            return self._early_answer(error)
        answer, keep = self._read_answer(deadline)
        if not keep or self._buffer:  # more than was asked for: the next answer would be taken for another's
            self.close()
        return answer

    def _early_answer(self, error: OSError) -> Answer:
        """What was said before all was sent; if that is a yes, it was to something else."""
        try:
            answer, _ = self._read_answer(time.monotonic() + HEARING_SECONDS)
        except OSError:
            raise error from None
        finally:
            self.close()
        if answer.status < 300:
            raise error
        return answer

    def _send(self, content: bytes, deadline: float) -> None:
        assert self._socket is not None
        view = memoryview(content)
        while view:
            self._socket.settimeout(remaining(deadline, "sending"))
            try:
                view = view[self._socket.send(view[:SEND_PIECE]) :]
            except TimeoutError as error:
                raise DeadlineError("no time left sending") from error

    # -- its answer

    def _read_answer(self, deadline: float) -> tuple[Answer, bool]:
        for _ in range(MAX_INTERIM):
            version, status = self._read_status(deadline)
            headers: dict[str, str] = {}
            if status < 200:
                self._read_headers(headers, deadline)
                continue
            body, keep = self._read_rest(status, headers, min(deadline, time.monotonic() + REST_SECONDS))
            keep = keep and version != b"HTTP/1.0" and headers.get("connection", "").lower() != "close"
            return Answer(status, headers, body), keep
        raise OSError("an answer is announced without end")

    def _read_status(self, deadline: float) -> tuple[bytes, int]:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > MAX_LINE or not b"HTTP/1."[: len(self._buffer)] == self._buffer[:7]:
                raise OSError(_not_http(bytes(self._buffer[:40])))
            self._read_more(deadline)
        line = self._taken(end + 2)[:-2]
        version, _, rest = line.partition(b" ")
        if not version.startswith(b"HTTP/1.") or not re.match(rb"[1-9][0-9]{2}\b", rest):
            raise OSError(_not_http(line))
        return version, int(rest[:3])

    def _read_rest(self, status: int, headers: dict[str, str], deadline: float) -> tuple[bytes, bool]:
        """Headers and body, and whether the connection may be kept.

        The status has decided already: the rest is told in passing, and not waited for. A connection that breaks
        within the headers has given no answer, though.
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
            with contextlib.suppress(zlib.error):  # at most so much of it, however much it unpacks to
                body = zlib.decompressobj(31).decompress(body, MAX_BODY)
        return body, keep

    def _read_headers(self, headers: dict[str, str], deadline: float) -> None:
        size = 0
        while line := self._read_line(deadline):
            size += len(line)
            if size > MAX_HEAD:
                raise OSError("headers without end")
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()

    def _read_body(self, status: int, headers: Mapping[str, str], deadline: float) -> tuple[bytes, bool]:
        """The body, and whether the connection is at the beginning of the next answer."""
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
                raise OSError("a line of the answer has no end")
            self._read_more(deadline)
        return self._taken(end + 2)[:-2]

    def _read_exactly(self, size: int, deadline: float) -> bytes:
        while len(self._buffer) < size:
            self._read_more(deadline)
        return self._taken(size)

    def _read_to_end(self, deadline: float) -> bytes:
        with contextlib.suppress(ConnectionError):
            while len(self._buffer) < MAX_BODY:
                self._read_more(deadline)
        return self._taken(MAX_BODY)

    def _taken(self, size: int) -> bytes:
        content = bytes(self._buffer[:size])
        del self._buffer[:size]
        return content

    def _read_more(self, deadline: float) -> None:
        assert self._socket is not None
        self._socket.settimeout(remaining(deadline, "waiting for the answer"))
        try:
            received = self._socket.recv(65_536)
        except TimeoutError as error:
            raise DeadlineError("no time left waiting for the answer") from error
        if not received:
            raise ConnectionResetError("closed before the answer was complete")
        self._heard = True
        self._buffer += received


def _has_something_to_read(connection: socket.socket) -> bool:
    """Asked without waiting. Windows has no `poll`, and eventlet takes it away; `select` refuses high descriptors."""
    if hasattr(select, "poll"):
        poller = select.poll()
        poller.register(connection, select.POLLIN | select.POLLHUP | select.POLLERR)
        return bool(poller.poll(0))
    return any(select.select([connection], [], [connection], 0))


def _not_http(start: bytes) -> str:
    """What speaks there instead, if we know it."""
    for beginning, words in _OTHER_PROTOCOLS:
        if start.startswith(beginning):
            return words
    return f"the answer is not HTTP/1.1: {start[:40]!r}"


_OTHER_PROTOCOLS: Final = (
    # The length of a SETTINGS frame is below 64 KiB, so that a connection of HTTP/2 begins with a zero.
    (b"\x00", "HTTP/2 is spoken there, so it is for gRPC: use port 4318, or OTEL_EXPORTER_OTLP_PROTOCOL=grpc"),
    (b"\x15\x03", "TLS is spoken there: use https://"),
)


def result(answer: Answer) -> ExportResult:
    """What an answer means for the request.

    https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
    """
    status = answer.status
    if 200 <= status < 300:
        if _is_page(answer):
            said = f"HTTP {status} with a page of HTML: no OTLP receiver is there"
            return ExportResult(ExportStatus.RETRY, "page", said, answered=False)
        rejected, reason = partial_success(answer.body)
        return ExportResult(ExportStatus.DELIVERED, message=reason, rejected=rejected)
    said = _said(answer)
    if status in RETRYABLE:
        return ExportResult(ExportStatus.RETRY, f"http_{status}", said, retry_after(answer.headers.get("retry-after")))
    return ExportResult(ExportStatus.REFUSED, f"http_{status}", said)


def _is_page(answer: Answer) -> bool:
    """Of a portal that wants a password first, or of an application that answers whatever it is asked."""
    is_html = answer.headers.get("content-type", "").lower().startswith("text/html")
    return is_html and answer.body.lstrip()[:1] == b"<"


def _said(answer: Answer) -> str:
    location = answer.headers.get("location")
    if 300 <= answer.status < 400 and location:
        return f"HTTP {answer.status} to {location[:200]}: redirects are not followed, set the endpoint to where it is"
    return f"HTTP {answer.status}"


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
    import email.utils  # dates are rare, and this import is not cheap

    try:
        moment = email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None
    return clamped(moment - (time.time() if now is None else now))


def _request_head(destination: Destination, path: str, query: str, authority: str) -> bytes:
    own = {key: value for key, value in destination.headers.items() if key.lower() not in RESERVED}
    headers = {
        "Host": authority,
        "User-Agent": USER_AGENT,
        "Content-Type": "application/x-protobuf",
        **({"Content-Encoding": "gzip"} if destination.gzip else {}),
        **credentials(destination.url),
        **{key: value for key, value in own.items() if not re.search(r"[\r\n\0]", key + value)},
    }
    target = quote(f"{path}?{query}" if query else path, safe="/?%:@!$&'()*+,;=~-._")
    lines = [f"POST {target} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items()), "Content-Length: "]
    return "\r\n".join(lines).encode("utf-8")


def credentials(url: str) -> Mapping[str, str]:
    """User and password that stand in the URL."""
    parts = urlsplit(url)
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _tls_context(destination: Destination) -> ssl.SSLContext:
    import ssl

    context = ssl.create_default_context(cafile=destination.certificate)
    if destination.client_certificate:
        context.load_cert_chain(destination.client_certificate, destination.client_key)
    return context
