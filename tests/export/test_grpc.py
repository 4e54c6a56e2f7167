"""The gRPC transport: the same bytes, the same results, and nothing inherited by a fork."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from blogauto_otel.export.transport import Destination, ExportResult, ExportStatus
from blogauto_otel.export.transport.grpc import GrpcTransport, retry_delay
from blogauto_otel.otlp.signal import Signal
from testkit import receiver as peer
from tests.export.delivery import delivering, enqueue
from tests.export.peers import GrpcReceiver, failing, refusing


@pytest.fixture
def receiver() -> Iterator[GrpcReceiver]:
    with GrpcReceiver() as receiver:
        yield receiver


@pytest.fixture
def to() -> Iterator[Callable[..., GrpcTransport]]:
    made: list[GrpcTransport] = []

    def to(url: str, signal: Signal = Signal.TRACES, **fields: Any) -> GrpcTransport:
        made.append(GrpcTransport(signal, Destination(url, **fields)))
        return made[-1]

    yield to
    for transport in made:
        transport.close()


def send(transport: GrpcTransport, *, within: float = 5.0) -> ExportResult:
    started = time.monotonic()
    result = transport.send(b"body", started + within)
    assert time.monotonic() - started < within + 1.5
    return result


def test_each_signal_has_its_service(receiver: GrpcReceiver, to: Callable[..., GrpcTransport]) -> None:
    for signal in Signal:
        transport = to(receiver.url, signal, headers={"X-Api-Key": "abc"}, gzip=True)
        assert send(transport) == ExportResult(ExportStatus.DELIVERED)
    assert [request.path for request in receiver.requests] == ["/v1/traces", "/v1/metrics", "/v1/logs"]
    for request in receiver.requests:
        assert request.body == b"body"
        assert request.headers["x-api-key"] == "abc"
        assert "OTel-OTLP-Exporter-Python" in request.headers["user-agent"]


def test_a_partial_success_is_understood(receiver: GrpcReceiver, to: Callable[..., GrpcTransport]) -> None:
    body = peer.partial_success(3, "too old").body
    assert isinstance(body, bytes)
    receiver.reply = lambda _: body
    assert send(to(receiver.url)) == ExportResult(ExportStatus.DELIVERED, message="too old", rejected=3)


@pytest.mark.parametrize("code", ["CANCELLED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"])
def test_temporary_failures_are_retried(receiver: GrpcReceiver, to: Callable[..., GrpcTransport], code: str) -> None:
    receiver.reply = failing(grpc.StatusCode[code], "memory is short")
    result = send(to(receiver.url))
    assert (result.status, result.answered) == (ExportStatus.RETRY, True)
    assert result.reason == f"grpc_{grpc.StatusCode[code].value[0]}"


@pytest.mark.parametrize(
    "code", ["INVALID_ARGUMENT", "UNAUTHENTICATED", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED", "INTERNAL"]
)
def test_other_failures_are_final(receiver: GrpcReceiver, to: Callable[..., GrpcTransport], code: str) -> None:
    receiver.reply = failing(grpc.StatusCode[code], "no")
    result = send(to(receiver.url))
    assert (result.status, result.reason) == (ExportStatus.REFUSED, f"grpc_{grpc.StatusCode[code].value[0]}")
    assert "no" in result.message


@pytest.mark.parametrize(("asked", "waited"), [(2.5, 2.5), (0.0, 0.5), (1e6, 60.0)])
def test_the_retry_delay_is_read(
    receiver: GrpcReceiver, to: Callable[..., GrpcTransport], asked: float, waited: float
) -> None:
    receiver.reply = failing(grpc.StatusCode.RESOURCE_EXHAUSTED, "later", wait=asked)
    result = send(to(receiver.url))
    assert (result.status, result.retry_after) == (ExportStatus.RETRY, waited)


@pytest.mark.parametrize("details", [b"\xff", b"\x1a\x02\x0a\x00", b"", b"\x1a\x05\x12\x03abc"])
def test_malformed_details_have_no_retry_delay(details: bytes) -> None:
    assert retry_delay((("grpc-status-details-bin", details),)) is None


def test_a_refused_connection_is_retried(to: Callable[..., GrpcTransport]) -> None:
    with refusing() as url:
        result = send(to(url))
    assert (result.status, result.answered) == (ExportStatus.RETRY, False)


def test_a_request_ends_at_its_deadline(to: Callable[..., GrpcTransport]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = send(to(f"http://127.0.0.1:{silent.getsockname()[1]}"), within=0.5)
    assert (result.status, result.answered) == (ExportStatus.RETRY, False)


def test_a_missing_certificate_is_named(to: Callable[..., GrpcTransport]) -> None:
    result = send(to("https://127.0.0.1:1", certificate="/nowhere/ca.pem"))
    assert result.status is ExportStatus.RETRY
    assert "/nowhere/ca.pem" in result.message


def test_items_are_delivered_over_grpc(receiver: GrpcReceiver) -> None:
    with delivering(receiver.url, protocol="grpc") as delivery:
        enqueue(delivery, ["over gRPC"])
        assert delivery.force_flush(10.0)
    assert [span.name for span in receiver.spans] == ["over gRPC"]


def test_a_channel_is_created_by_the_first_request_and_not_inherited(receiver: GrpcReceiver) -> None:
    transport = GrpcTransport(Signal.TRACES, Destination(receiver.url))
    channels: list[Any] = [transport._channel]
    send(transport)
    channels.append(transport._channel)
    transport.after_fork_in_child()
    channels.append(transport._channel)
    send(transport)
    channels.append(transport._channel)
    transport.close()
    assert channels[0] is None
    assert channels[2] is None
    assert channels[1] is not channels[3]
