"""OTLP over HTTP/1.1: one persistent connection, a deadline for the whole request, no use of the environment.

`http.client` has timeouts per read only: a peer that sends a byte now and then blocks it for ever. Libraries above it
follow redirects, read proxy variables, read whole bodies, and are instrumented themselves.
"""

from __future__ import annotations

import base64
import contextlib
import re
import select
import socket
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urlsplit

from blogauto_otel._clock import clock
from blogauto_otel._threads import importing, without_signal
from blogauto_otel.errors import DeadlineError
from blogauto_otel.export.transport import (
    TIMEOUT,
    USER_AGENT,
    Destination,
    ExportResult,
    ExportStatus,
    remaining,
)
from blogauto_otel.export.transport.http_response import Response, ResponseReader, limit, result
from blogauto_otel.spool.ownership import fd_identity

if TYPE_CHECKING:
    import ssl

EARLY_RESPONSE_SECONDS: Final = 0.1  # for a response that came while the request was being sent

# Headers that this module sets; a user's would break the framing of the request.
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


class HttpTransport:
    """Sends requests to one URL."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        parts = urlsplit(destination.url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or "localhost"
        self._port = parts.port or (443 if self._secure else 80)
        self._head = _request_head(destination, parts.path or "/", parts.query, self._authority())
        self._tls: ssl.SSLContext | None = None
        self._socket: socket.socket | None = None
        self._socket_identity: object = None  # of the socket behind the descriptor
        self._reader: ResponseReader | None = None  # of the current request
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
        except Exception as error:  # noqa: BLE001 - sockets, TLS and resolvers may raise anything
            self.close()
            text = f"{self._authority()}: {type(error).__name__}: {error}"
            return ExportResult(ExportStatus.RETRY, "connection", text, answered=False)

    def abort(self) -> None:
        """See `Transport`."""
        self._aborted = True
        connection = self._socket
        if connection is not None and fd_identity(connection.fileno()) == self._socket_identity:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def after_fork_in_child(self) -> None:
        """See `Transport`: closing a copied descriptor leaves the parent's connection as it is."""
        self.close()

    def close(self) -> None:
        """See `Transport`."""
        connection, self._socket = self._socket, None
        if connection is None:
            return
        if fd_identity(connection.fileno()) != self._socket_identity:
            connection.detach()
            return
        with contextlib.suppress(OSError):
            connection.close()

    # -- one request

    def _exchange(self, body: bytes, deadline: float) -> Response:
        reused = self._socket is not None and self._still_open()
        if not reused:
            self.close()
            self._connect(deadline)
        try:
            return self._request(body, deadline)
        except DeadlineError:
            raise
        except OSError:
            # A persistent connection may be closed just before it is used again; try once more with a new one.
            if not reused or self._has_received() or self._aborted:
                raise
            self.close()
            self._connect(deadline)
            return self._request(body, deadline)

    def _still_open(self) -> bool:
        """Whether it can be used: one with something to read between two requests was closed, or is out of step."""
        assert self._socket is not None
        if fd_identity(self._socket.fileno()) != self._socket_identity:
            return False
        try:
            return not _has_something_to_read(self._socket)
        except (OSError, ValueError):
            return False

    def _connect(self, deadline: float) -> None:
        # Resolving cannot be interrupted, which is one reason for a thread of our own.
        addresses = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        problem = OSError("no address")
        for index, address in enumerate(addresses):
            # A share of the time for each: the first address may not answer at all (half-working IPv6).
            share = remaining(deadline, "connecting") / (len(addresses) - index)
            try:
                return self._connect_to(address, clock.monotonic() + share)
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
        self._socket_identity = fd_identity(connection.fileno())
        self._socket = connection  # set at once, so that `abort` finds it
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

    def _request(self, body: bytes, deadline: float) -> Response:
        assert self._socket is not None
        reader = self._reader = ResponseReader(self._socket)
        try:
            self._send(self._head + b"%d\r\n\r\n" % len(body), deadline)
            self._send(body, deadline)
        except (BrokenPipeError, ConnectionResetError, DeadlineError) as error:
            # A receiver may refuse in the middle of the request: its response can still be read.
            return self._early_response(reader, error)
        response, keep = reader.read(deadline)
        if not keep or reader.has_surplus:
            self.close()
        return response

    def _has_received(self) -> bool:
        return self._reader is not None and self._reader.has_received

    def _early_response(self, reader: ResponseReader, error: OSError) -> Response:
        """The response to a request that was not sent completely; a success cannot be meant for it."""
        try:
            response, _ = reader.read(clock.monotonic() + EARLY_RESPONSE_SECONDS)
        except OSError:
            raise error from None
        finally:
            self.close()
        if response.status < 300:
            raise error
        return response

    def _send(self, content: bytes, deadline: float) -> None:
        assert self._socket is not None
        view = memoryview(content)
        while view:
            limit(self._socket, remaining(deadline, "sending"))
            try:
                view = view[self._socket.send(view) :]  # as much as the buffers of the connection take
            except TimeoutError as error:
                raise DeadlineError("no time left sending") from error


def _has_something_to_read(connection: socket.socket) -> bool:
    """Without waiting. Windows has no `poll`, and eventlet removes it; `select` refuses high descriptors."""
    if hasattr(select, "poll"):
        poller = select.poll()
        poller.register(connection, select.POLLIN | select.POLLHUP | select.POLLERR)
        return bool(poller.poll(0))
    return any(select.select([connection], [], [connection], 0))


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
    """The Authorization header for user and password in the URL."""
    parts = urlsplit(url)
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _tls_context(destination: Destination) -> ssl.SSLContext:
    with importing:
        import ssl

    context = ssl.create_default_context(cafile=destination.certificate)
    if destination.client_certificate:
        context.load_cert_chain(destination.client_certificate, destination.client_key)
    return context
