"""An OTLP/HTTP receiver for tests, demo and benchmarks: it shows what arrived, and misbehaves on demand.

with Receiver() as receiver:
    ...  # point OTEL_EXPORTER_OTLP_ENDPOINT at receiver.url
    receiver.wait_for(lambda r: len(r.spans) == 3)
    assert receiver.total("blogauto.api.requests", {"method": "GET"}) == 3

    receiver.answer(status(503, retry_after=1), times=2)   # the next two requests; then all is well again
    receiver.answer(silence())                             # every request from here on
    receiver.stop(); receiver.start()                      # a restart on the same port
"""

from __future__ import annotations

import gzip
import itertools
import os
import socket
import ssl
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, TypeVar

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

T = TypeVar("T")
R = TypeVar("R", bound="Receiver")
Attributes = Mapping[str, Any]

SPAN_KINDS: Final = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
STATUS_CODES: Final = ("UNSET", "OK", "ERROR")
TEMPORALITIES: Final = ("unspecified", "delta", "cumulative")


# --- what arrived -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """One export request as it came in; `payload` is the body after decompression, `answered` the status we gave."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    payload: bytes
    time: float
    answered: int


@dataclass(frozen=True)
class Event:
    """An event on a span."""

    name: str
    time: int
    attributes: Attributes


@dataclass(frozen=True)
class Link:
    """A link of a span; ids are hexadecimal."""

    trace_id: str
    span_id: str
    trace_state: str
    attributes: Attributes
    flags: int


@dataclass(frozen=True)
class Span:
    """A span; ids are hexadecimal and empty when absent, times in nanoseconds."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    trace_state: str
    kind: str
    start: int
    end: int
    attributes: Attributes
    events: tuple[Event, ...]
    links: tuple[Link, ...]
    status: str
    status_message: str
    flags: int
    dropped_attributes: int
    dropped_events: int
    dropped_links: int
    scope: str
    scope_version: str
    resource: Attributes

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return (self.end - self.start) / 1e9


@dataclass(frozen=True)
class LogRecord:
    """A log record; ids are hexadecimal and empty when absent, times in nanoseconds."""

    body: Any
    severity: str
    severity_number: int
    time: int
    observed_time: int
    event_name: str
    trace_id: str
    span_id: str
    flags: int
    attributes: Attributes
    dropped_attributes: int
    scope: str
    resource: Attributes


@dataclass(frozen=True)
class Exemplar:
    """A measurement with the trace it was made in."""

    value: float
    trace_id: str
    span_id: str
    time: int
    attributes: Attributes


@dataclass(frozen=True)
class Point:
    """One data point: `value` of a sum or gauge, or `count`, `sum`, `bounds` and `buckets` of a histogram."""

    name: str
    kind: str
    unit: str
    description: str
    attributes: Attributes
    value: float | None
    count: int | None
    sum: float | None
    bounds: tuple[float, ...]
    buckets: tuple[int, ...]
    exemplars: tuple[Exemplar, ...]
    start: int
    time: int
    monotonic: bool
    temporality: str
    scope: str
    resource: Attributes

    @property
    def instance(self) -> str:
        """The `service.instance.id` of the process that reported it."""
        return str(self.resource.get("service.instance.id", ""))


# --- how to misbehave -------------------------------------------------------------------------------------------------


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


# --- the receiver -----------------------------------------------------------------------------------------------------


class Receiver:
    """Listens on a loopback port of its own from `start()` to `stop()`; what arrived stays until `clear()`."""

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self.tls = tls
        self.requests: list[Request] = []
        self._changed = threading.Condition(threading.RLock())
        self._decoded = _Decoded()
        self._undecoded: deque[Request] = deque()
        self._answer: Answer | Callable[[str], Answer] = Answer()
        self._next: deque[Answer] = deque()
        self._going = threading.Event()  # cleared: nothing is read, as of a stopped process
        self._going.set()
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
        """Accept connections but read nothing, as a process under SIGSTOP does."""
        self._going.clear()

    def thaw(self) -> None:
        """Go on after `freeze()`."""
        self._going.set()

    def answer(self, answer: Answer | Callable[[str], Answer], *, times: int | None = None) -> None:
        """Give this answer (or what a function of the path says) from here on, or to the next `times` requests."""
        with self._changed:
            if times is None:
                self._next.clear()
                self._answer = answer
            else:
                assert isinstance(answer, Answer)
                self._next.extend(itertools.repeat(answer, times))

    def clear(self) -> None:
        """Forget what arrived; how to answer stays."""
        with self._changed:
            self.requests.clear()
            self._undecoded.clear()
            self._decoded = _Decoded()

    def wait_for(self, predicate: Callable[[Receiver], T], timeout: float = 10.0) -> T:
        """Wait until the predicate of this receiver is true, and return what it gave.

        Raises:
            TimeoutError: it did not come true; the message says what had arrived.
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
        return tuple(self._up_to_date().spans)

    @property
    def logs(self) -> tuple[LogRecord, ...]:
        """All log records received, in order of arrival."""
        return tuple(self._up_to_date().logs)

    @property
    def metrics(self) -> tuple[Point, ...]:
        """All data points received, in order of arrival; a series appears once per collection."""
        return tuple(self._up_to_date().points)

    @property
    def resources(self) -> tuple[Attributes, ...]:
        """The distinct resources, in order of first arrival."""
        return tuple(self._up_to_date().resources)

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

    def _up_to_date(self) -> _Decoded:
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

    def _arrived(self, request: Request, *, received: bool) -> None:
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
        if self.receiver.tls is not None:  # shaking hands is left to the connection's own thread
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
        """A peer that goes away, or cannot agree on TLS, is what these tests are about."""

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
        self.server.receiver._going.wait()
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def do_POST(self) -> None:
        receiver = self.server.receiver
        receiver._going.wait()
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
        receiver._arrived(Request(self.path, headers, body, payload, time.time(), code), received=received)
        self._give(answer)

    def _read(self, length: int, pause: float) -> Iterator[bytes]:
        piece = 1 if pause else length
        for _ in range(0, length, piece or 1):
            read = self.rfile.read(piece)
            if len(read) < piece:  # broken off: nobody has been promised anything about it
                raise ConnectionResetError("the peer has had enough")
            yield read
            time.sleep(pause)

    def _give(self, answer: Answer) -> None:
        time.sleep(answer.delay)
        if answer.silent:
            self.rfile.read(1)  # until the peer goes away, or stop() hangs up
            self.close_connection = True
        elif answer.reset == "read":
            self._reset()
        elif answer.raw:
            self._say(answer)
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

    def _say(self, answer: Answer) -> None:
        self.wfile.write(answer.raw)
        for _ in itertools.count() if answer.endless else range(bool(answer.more)):
            time.sleep(answer.pause)
            self.wfile.write(answer.more)
        self.close_connection = answer.close or self.close_connection

    def _reset(self) -> None:
        _reset(self.connection)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Say nothing on stderr."""


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


# --- decoding ---------------------------------------------------------------------------------------------------------


class _Decoded:
    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.logs: list[LogRecord] = []
        self.points: list[Point] = []
        self.resources: list[Attributes] = []

    def add(self, request: Request) -> None:
        kind = request.path.rstrip("/").rpartition("/")[2]
        if kind == "traces":
            self.spans.extend(decode_spans(request.payload, self._resource))
        elif kind == "logs":
            self.logs.extend(decode_logs(request.payload, self._resource))
        elif kind == "metrics":
            self.points.extend(decode_points(request.payload, self._resource))

    def _resource(self, attributes: Attributes) -> Attributes:
        for known in self.resources:
            if known == attributes:
                return known
        self.resources.append(attributes)
        return attributes


def _same(attributes: Attributes) -> Attributes:
    return attributes


def decode_spans(payload: bytes, resource_of: Callable[[Attributes], Attributes] = _same) -> Iterator[Span]:
    """The spans of an ExportTraceServiceRequest."""
    for group in ExportTraceServiceRequest.FromString(payload).resource_spans:
        resource = resource_of(_attributes(group.resource.attributes))
        for scoped in group.scope_spans:
            for span in scoped.spans:
                yield _span(span, scoped.scope, resource)


def decode_logs(payload: bytes, resource_of: Callable[[Attributes], Attributes] = _same) -> Iterator[LogRecord]:
    """The records of an ExportLogsServiceRequest."""
    for group in ExportLogsServiceRequest.FromString(payload).resource_logs:
        resource = resource_of(_attributes(group.resource.attributes))
        for scoped in group.scope_logs:
            for record in scoped.log_records:
                yield _log(record, scoped.scope, resource)


def decode_points(payload: bytes, resource_of: Callable[[Attributes], Attributes] = _same) -> Iterator[Point]:
    """The data points of an ExportMetricsServiceRequest."""
    for group in ExportMetricsServiceRequest.FromString(payload).resource_metrics:
        resource = resource_of(_attributes(group.resource.attributes))
        for scoped in group.scope_metrics:
            for metric in scoped.metrics:
                kind = metric.WhichOneof("data")
                if kind is not None:
                    data = getattr(metric, kind)
                    for point in data.data_points:
                        yield _point(metric, kind, data, point, scoped.scope, resource)


def _span(span: Any, scope: Any, resource: Attributes) -> Span:
    return Span(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        trace_state=span.trace_state,
        kind=SPAN_KINDS[span.kind],
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        events=tuple(Event(e.name, e.time_unix_nano, _attributes(e.attributes)) for e in span.events),
        links=tuple(
            Link(link.trace_id.hex(), link.span_id.hex(), link.trace_state, _attributes(link.attributes), link.flags)
            for link in span.links
        ),
        status=STATUS_CODES[span.status.code],
        status_message=span.status.message,
        flags=span.flags,
        dropped_attributes=span.dropped_attributes_count,
        dropped_events=span.dropped_events_count,
        dropped_links=span.dropped_links_count,
        scope=scope.name,
        scope_version=scope.version,
        resource=resource,
    )


def _log(record: Any, scope: Any, resource: Attributes) -> LogRecord:
    return LogRecord(
        body=_value(record.body),
        severity=record.severity_text,
        severity_number=record.severity_number,
        time=record.time_unix_nano,
        observed_time=record.observed_time_unix_nano,
        event_name=record.event_name,
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex(),
        flags=record.flags,
        attributes=_attributes(record.attributes),
        dropped_attributes=record.dropped_attributes_count,
        scope=scope.name,
        resource=resource,
    )


def _point(metric: Any, kind: str, data: Any, point: Any, scope: Any, resource: Attributes) -> Point:
    number = kind in {"sum", "gauge"}
    return Point(
        name=metric.name,
        kind=kind,
        unit=metric.unit,
        description=metric.description,
        attributes=_attributes(point.attributes),
        value=_number(point) if number else None,
        count=None if number else point.count,
        sum=None if number else point.sum,
        bounds=tuple(point.explicit_bounds) if kind == "histogram" else (),
        buckets=tuple(point.bucket_counts) if kind == "histogram" else (),
        exemplars=tuple(
            Exemplar(
                _number(e), e.trace_id.hex(), e.span_id.hex(), e.time_unix_nano, _attributes(e.filtered_attributes)
            )
            for e in point.exemplars
        ),
        start=point.start_time_unix_nano,
        time=point.time_unix_nano,
        monotonic=kind == "sum" and data.is_monotonic,
        temporality="" if kind == "gauge" else TEMPORALITIES[data.aggregation_temporality],
        scope=scope.name,
        resource=resource,
    )


def _number(message: Message) -> float:
    kind = message.WhichOneof("value")
    return 0 if kind is None else getattr(message, kind)


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return getattr(value, kind)
