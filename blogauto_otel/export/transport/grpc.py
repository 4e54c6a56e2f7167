"""OTLP over gRPC, for Collectors without HTTP: the same bytes in a generic call (extra `grpc`).

The thread that first sends creates the channel: one that was created before a fork hangs or crashes the child.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from blogauto_otel._clock import clock
from blogauto_otel._process import register
from blogauto_otel._threads import importing, signals_blocked
from blogauto_otel.errors import MalformedError
from blogauto_otel.export.transport import USER_AGENT, Destination, ExportResult, ExportStatus, clamped, partial_success
from blogauto_otel.export.transport.http import credentials
from blogauto_otel.export.transport.http_response import MAX_BODY
from blogauto_otel.otlp import protobuf
from blogauto_otel.otlp.signal import Signal

_METHODS: Final[Mapping[Signal, str]] = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}

# https://opentelemetry.io/docs/specs/otlp/#failures; RESOURCE_EXHAUSTED (8) only with a retry delay.
_RETRYABLE: Final = frozenset({1, 4, 10, 11, 14, 15})
_RESOURCE_EXHAUSTED: Final = 8
# grpcio has the same codes for an answer and for a failed connection; its message distinguishes them.
_DEADLINE_EXCEEDED: Final = 4
_NOT_CONNECTED: Final = ("connect", "socket", "dns", "resol", "handshake")

_OPTIONS: Final = (
    ("grpc.primary_user_agent", USER_AGENT),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", MAX_BODY),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5000),
)


class _Inherited:
    """Channels of a parent process, kept for ever: closing one in a child would wait for threads that do not exist."""

    def __init__(self) -> None:
        self.channels: list[object] = []


_inherited: Final = register(_Inherited())


class GrpcTransport:
    """Sends requests of one signal to one target."""

    def __init__(self, signal: Signal, destination: Destination) -> None:
        self._method = _METHODS[signal]
        self._destination = destination
        self._channel: Any = None
        self._export: Any = None
        self._call: Any = None
        headers = {**credentials(destination.url), **destination.headers}
        self._metadata = tuple((key.lower(), value) for key, value in headers.items())

    def send(self, body: bytes, deadline: float) -> ExportResult:
        """See `Transport`."""
        try:
            return self._exchange(body, deadline)
        except Exception as error:  # noqa: BLE001 - grpcio may raise anything
            return ExportResult(ExportStatus.RETRY, "connection", f"{type(error).__name__}: {error}", answered=False)

    def _exchange(self, body: bytes, deadline: float) -> ExportResult:
        with importing:
            import grpc

        if self._channel is None:
            with signals_blocked():  # the first channel starts the threads of grpcio
                self._channel = self._connect(grpc)
            self._export = self._channel.unary_unary(self._method)
        compression = grpc.Compression.Gzip if self._destination.gzip else None
        timeout = max(0.001, deadline - clock.monotonic())
        self._call = self._export.future(body, timeout=timeout, metadata=self._metadata, compression=compression)
        try:
            rejected, reason = partial_success(self._call.result())
            return ExportResult(ExportStatus.DELIVERED, message=reason, rejected=rejected)
        except grpc.FutureCancelledError:
            return ExportResult(ExportStatus.RETRY, "connection", "aborted", answered=False)
        except grpc.RpcError as error:
            return _failed(error)
        finally:
            self._call = None

    def _connect(self, grpc: Any) -> Any:
        parts = urlsplit(self._destination.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        target = f"{host}:{parts.port or (443 if parts.scheme == 'https' else 4317)}"
        if parts.scheme != "https":
            return grpc.insecure_channel(target, options=_OPTIONS)
        files = (self._destination.certificate, self._destination.client_key, self._destination.client_certificate)
        tls = grpc.ssl_channel_credentials(*map(_content, files))
        return grpc.secure_channel(target, tls, options=_OPTIONS)

    def abort(self) -> None:
        """See `Transport`."""
        call = self._call
        if call is not None:
            call.cancel()

    def after_fork_in_child(self) -> None:
        """See `Transport`."""
        if self._channel is not None:
            _inherited.channels.append((self._channel, self._export, self._call))
        self._channel = self._export = self._call = None

    def close(self) -> None:
        """See `Transport`."""
        channel, self._channel, self._export = self._channel, None, None
        if channel is not None:
            channel.close()


def _content(path: str | None) -> bytes | None:
    if path is None:
        return None
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib would be imported for this alone
        return file.read()


def _failed(error: Any) -> ExportResult:
    code, name = error.code().value
    text = f"gRPC {name}: {(error.details() or '')[:500]}"
    wait = retry_delay(error.trailing_metadata())
    if code in _RETRYABLE or (code == _RESOURCE_EXHAUSTED and wait is not None):
        answered = code != _DEADLINE_EXCEEDED and not any(word in text.lower() for word in _NOT_CONNECTED)
        return ExportResult(ExportStatus.RETRY, f"grpc_{code}", text, wait, answered=answered or wait is not None)
    return ExportResult(ExportStatus.REFUSED, f"grpc_{code}", text)


def retry_delay(metadata: Any) -> float | None:
    """The seconds of a google.rpc.RetryInfo in the trailing metadata, within bounds; None when there is none."""
    for key, value in metadata or ():
        if key == "grpc-status-details-bin":
            try:
                return _retry_delay(value)
            except MalformedError:
                return None
    return None


def _retry_delay(status: bytes) -> float | None:
    """Status.details has number 3; Any.type_url 1, .value 2; RetryInfo.retry_delay 1; Duration.seconds 1, .nanos 2."""
    for number, detail in protobuf.fields(status):
        if number != 3 or not isinstance(detail, bytes):
            continue
        any_ = dict(protobuf.fields(detail))
        info = any_.get(2)
        if str(any_.get(1)).find("google.rpc.RetryInfo") < 0 or not isinstance(info, bytes):
            continue
        duration = dict(protobuf.fields(info)).get(1, b"")
        if isinstance(duration, bytes):
            parts = dict(protobuf.fields(duration))
            seconds, nanos = parts.get(1, 0), parts.get(2, 0)
            if isinstance(seconds, int) and isinstance(nanos, int):
                return clamped(protobuf.signed(seconds) + protobuf.signed(nanos) / 1e9)
    return None
