"""The receiver: an HTTP server on loopback that stores what arrives and answers as configured."""

from __future__ import annotations

import gzip
import itertools
import os
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from testkit.receiver.answers import Answer
from testkit.receiver.decoding import DecodedTelemetry
from testkit.receiver.telemetry import Attributes, LogRecord, Point, Request, Span

T = TypeVar("T")
R = TypeVar("R", bound="Receiver")


class Receiver:
    """Listens on a loopback port of its own from `start()` to `stop()`; what arrived stays until `clear()`."""

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self.tls = tls
        self.requests: list[Request] = []
        self._changed = threading.Condition(threading.RLock())
        self._decoded = DecodedTelemetry()
        self._undecoded: deque[Request] = deque()
        self._answer: Answer | Callable[[str], Answer] = Answer()
        self._next: deque[Answer] = deque()
        self._reading_allowed = threading.Event()  # cleared: nothing is read, as by a stopped process
        self._reading_allowed.set()
        self._server: _Server | None = None
        self.connections = 0  # how many were accepted since the start

    def __enter__(self: R) -> R:  # noqa: PYI019 - Self is not in typing before Python 3.11
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The base URL, for OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; on the same port as before when it was stopped."""
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="otlp-receiver", daemon=True).start()

    def stop(self) -> None:
        """Close the port and every connection at once."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.hang_up()

    def freeze(self) -> None:
        """Accept connections but read nothing, as after SIGSTOP."""
        self._reading_allowed.clear()

    def thaw(self) -> None:
        """Go on after `freeze()`."""
        self._reading_allowed.set()

    def answer(self, answer: Answer | Callable[[str], Answer], *, times: int | None = None) -> None:
        """Give this answer (or that of a function of the path) from now on, or to the next `times` requests."""
        with self._changed:
            if times is None:
                self._next.clear()
                self._answer = answer
            else:
                assert isinstance(answer, Answer)
                self._next.extend(itertools.repeat(answer, times))

    def clear(self) -> None:
        """Forget what arrived; the configured answer stays."""
        with self._changed:
            self.requests.clear()
            self._undecoded.clear()
            self._decoded = DecodedTelemetry()

    def wait_for(self, predicate: Callable[[Receiver], T], timeout: float = 10.0) -> T:
        """Wait until the predicate is true of this receiver, and return its result.

        Raises:
            TimeoutError: It did not become true; the message says what arrived.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while not (result := predicate(self)):
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise TimeoutError(f"not within {timeout:g} s; arrived: {self.summary()}")
                self._changed.wait(min(remaining, 0.25))
        return result

    def summary(self) -> str:
        """What arrived, in a line."""
        metrics = sorted({point.name for point in self.metrics})
        return (
            f"{len(self.requests)} requests {sorted({r.answered for r in self.requests})}, {len(self.spans)} spans, "
            f"{len(self.logs)} log records, {len(metrics)} metrics {metrics}"
        )

    # -- reading

    @property
    def spans(self) -> tuple[Span, ...]:
        """All spans received, in order of arrival."""
        return tuple(self._decode_pending().spans)

    @property
    def logs(self) -> tuple[LogRecord, ...]:
        """All log records received, in order of arrival."""
        return tuple(self._decode_pending().logs)

    @property
    def metrics(self) -> tuple[Point, ...]:
        """All data points received, in order of arrival; a series appears once per collection."""
        return tuple(self._decode_pending().points)

    @property
    def resources(self) -> tuple[Attributes, ...]:
        """The distinct resources, in order of first arrival."""
        return tuple(self._decode_pending().resources)

    def resource(self, **attributes: object) -> Attributes:
        """The one resource that has these attributes (`service_name="x"` for `service.name`).

        Raises:
            LookupError: none, or more than one.
        """
        wanted = {name.replace("_", "."): value for name, value in attributes.items()}
        found = [r for r in self.resources if all(r.get(k) == v for k, v in wanted.items())]
        if len(found) != 1:
            raise LookupError(f"{len(found)} resources with {wanted}: {list(self.resources)}")
        return found[0]

    def points(
        self, name: str, attributes: Attributes | None = None, *, instance: str | None = None
    ) -> tuple[Point, ...]:
        """The latest point of each series of that name; `attributes` narrows (a subset is enough)."""
        latest: dict[object, Point] = {}
        for point in self.metrics:
            if point.name != name or (instance is not None and point.instance != instance):
                continue
            if attributes and any(point.attributes.get(k) != v for k, v in attributes.items()):
                continue
            latest[point.instance, point.scope, repr(sorted(point.attributes.items()))] = point
        return tuple(latest.values())

    def point(self, name: str, attributes: Attributes | None = None, *, instance: str | None = None) -> Point:
        """The latest point of the one series that matches.

        Raises:
            LookupError: none, or more than one.
        """
        found = self.points(name, attributes, instance=instance)
        if len(found) != 1:
            raise LookupError(f"{len(found)} series of {name} with {dict(attributes or {})}: {list(found)}")
        return found[0]

    def total(self, name: str, attributes: Attributes | None = None, *, instance: str | None = None) -> float:
        """The sum over all matching series and instances of their latest values (counts, for histograms)."""
        found = self.points(name, attributes, instance=instance)
        return sum((p.value if p.value is not None else p.count) or 0 for p in found)

    def _decode_pending(self) -> DecodedTelemetry:
        with self._changed:
            while self._undecoded:
                self._decoded.add(self._undecoded.popleft())
            return self._decoded

    # -- called by the connections' threads

    def _next_answer(self, path: str) -> Answer:
        with self._changed:
            if self._next:
                return self._next.popleft()
            return self._answer if isinstance(self._answer, Answer) else self._answer(path)

    def store(self, request: Request, *, received: bool) -> None:
        """Add a request; its items count only when they were `received`."""
        with self._changed:
            self.requests.append(request)
            if received:
                self._undecoded.append(request)
            self._changed.notify_all()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", receiver.port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.receiver.tls is not None:  # the TLS handshake runs in the connection's own thread
            connection = self.receiver.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        self.receiver.connections += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore it: disconnecting peers and failed TLS handshakes are part of the tests."""

    def hang_up(self) -> None:
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            _reset(connection)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        self.server.receiver._reading_allowed.wait()
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def do_POST(self) -> None:
        receiver = self.server.receiver
        receiver._reading_allowed.wait()
        answer = receiver._next_answer(self.path)
        length = int(self.headers.get("Content-Length", 0))
        if answer.reset == "reading":
            self.rfile.read(min(length // 2, 1000))
            self._reset()
            return
        body = b"".join(self._read(length, answer.read_pause))
        received = 200 <= answer.status < 300 if answer.received is None else answer.received
        headers = {key.lower(): value for key, value in self.headers.items()}
        payload = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        code = 0 if answer.silent or answer.reset == "read" else answer.status
        receiver.store(Request(self.path, headers, body, payload, time.time(), code), received=received)
        self._respond(answer)

    def _read(self, length: int, pause: float) -> Iterator[bytes]:
        piece = 1 if pause else length
        for _ in range(0, length, piece or 1):
            read = self.rfile.read(piece)
            if len(read) < piece:  # incomplete: it was not acknowledged
                raise ConnectionResetError("the peer has had enough")
            yield read
            time.sleep(pause)

    def _respond(self, answer: Answer) -> None:
        time.sleep(answer.delay)
        if answer.silent:
            self.rfile.read(1)  # until the peer disconnects, or stop() closes the connection
            self.close_connection = True
        elif answer.reset == "read":
            self._reset()
        elif answer.raw:
            self._send_raw(answer)
        else:
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        body = answer.body if isinstance(answer.body, bytes) else answer.body.get(self.path, b"")
        length = answer.size or len(body)
        head = [f"HTTP/1.1 {answer.status} X", f"Content-Length: {length}", "Content-Type: application/x-protobuf"]
        head += [f"{key}: {value}" for key, value in answer.headers.items()]
        start = ("\r\n".join(head) + "\r\n\r\n").encode("latin-1")
        if answer.reset == "answering":
            self.wfile.write(start[:20])
            self._reset()
            return
        for piece in _pieces(start, body, answer):
            self.wfile.write(piece)
            time.sleep(answer.drip)
        self.close_connection = answer.close or self.close_connection

    def _send_raw(self, answer: Answer) -> None:
        self.wfile.write(answer.raw)
        for _ in itertools.count() if answer.endless else range(bool(answer.more)):
            time.sleep(answer.pause)
            self.wfile.write(answer.more)
        self.close_connection = answer.close or self.close_connection

    def _reset(self) -> None:
        _reset(self.connection)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Print nothing on stderr."""


def _pieces(head: bytes, body: bytes, answer: Answer) -> Iterator[bytes]:
    if answer.drip:
        yield from (bytes((byte,)) for byte in head + body)
        return
    yield head + body
    block = b"\0" * 65_536
    for start in range(0, answer.size, len(block)):
        yield block[: answer.size - start]


def _reset(connection: socket.socket) -> None:
    """Close with RST instead of FIN: what a crash or a load balancer does."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.socket.shutdown(connection, socket.SHUT_RD)  # wakes the thread that reads from it
        os.close(connection.detach())
    except OSError:
        pass
