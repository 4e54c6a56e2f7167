"""The gRPC transport: the same bytes, the same outcomes, and nothing inherited through a fork."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from blogauto_otel.delivery.grpc import GrpcTransport, retry_delay
from blogauto_otel.delivery.signal import Signal
from blogauto_otel.delivery.transport import Destination, Fate, Outcome
from blogauto_otel.delivery.wire import message, varint
from stack import receiver as peer
from tests.delivery.deliveries import delivering, offer
from tests.delivery.peers import refusing

Answering = Callable[[bytes, Any], bytes]


class GrpcReceiver(grpc.GenericRpcHandler):  # type: ignore[misc] # grpcio has no types
    """Takes every call as bytes; `answer` says what comes back."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bytes]] = []
        self.metadata: dict[str, str] = {}
        self.answer: Answering = lambda _, __: b""
        self._server = grpc.server(ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers([self])
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def service(self, details: Any) -> Any:
        self.metadata = dict(details.invocation_metadata)

        def handle(body: bytes, context: Any) -> bytes:
            self.calls.append((details.method, body))
            return self.answer(body, context)

        return grpc.unary_unary_rpc_method_handler(handle)

    def __enter__(self) -> GrpcReceiver:  # noqa: PYI034 - Self is not in typing before Python 3.11
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None)


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


def send(transport: GrpcTransport, *, within: float = 5.0) -> Outcome:
    started = time.monotonic()
    outcome = transport.send(b"body", started + within)
    assert time.monotonic() - started < within + 1.5
    return outcome


def asking_for(seconds: int, nanos: int) -> bytes:
    """A google.rpc.Status with a RetryInfo in it."""
    duration = b"\x08" + varint(seconds) + b"\x10" + varint(nanos)
    retry_info = message(b"\x0a", duration)
    packed = message(b"\x0a", b"type.googleapis.com/google.rpc.RetryInfo") + message(b"\x12", retry_info)
    return b"\x08\x08" + message(b"\x1a", packed)


def failing(code: Any, words: str = "", wait: float | None = None) -> Answering:
    def answer(_: bytes, context: Any) -> bytes:
        if wait is not None:
            status = asking_for(int(wait), int(wait % 1 * 1e9))
            context.set_trailing_metadata((("grpc-status-details-bin", status),))
        context.abort(code, words)
        return b""

    return answer


def test_each_signal_has_its_service(receiver: GrpcReceiver, to: Callable[..., GrpcTransport]) -> None:
    for signal in Signal:
        transport = to(receiver.url, signal, headers={"X-Api-Key": "abc"}, gzip=True)
        assert send(transport) == Outcome(Fate.DELIVERED)
    services = [method.split("/")[1].rsplit(".", 1)[1] for method, _ in receiver.calls]
    assert services == ["TraceService", "MetricsService", "LogsService"]
    assert {body for _, body in receiver.calls} == {b"body"}
    assert receiver.metadata["x-api-key"] == "abc"
    assert "OTel-OTLP-Exporter-Python" in receiver.metadata["user-agent"]


def test_a_partial_success_is_understood(receiver: GrpcReceiver, to: Callable[..., GrpcTransport]) -> None:
    body = peer.partial_success(3, "too old").body
    assert isinstance(body, bytes)
    receiver.answer = lambda _, __: body
    assert send(to(receiver.url)) == Outcome(Fate.DELIVERED, message="too old", rejected=3)


@pytest.mark.parametrize("code", ["CANCELLED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"])
def test_trouble_that_passes_is_a_reason_to_try_again(
    receiver: GrpcReceiver, to: Callable[..., GrpcTransport], code: str
) -> None:
    receiver.answer = failing(grpc.StatusCode[code], "memory is short")
    outcome = send(to(receiver.url))
    assert (outcome.fate, outcome.answered) == (Fate.RETRY, True)
    assert outcome.reason == f"grpc_{grpc.StatusCode[code].value[0]}"


@pytest.mark.parametrize(
    "code", ["INVALID_ARGUMENT", "UNAUTHENTICATED", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED", "INTERNAL"]
)
def test_other_failures_are_final(receiver: GrpcReceiver, to: Callable[..., GrpcTransport], code: str) -> None:
    receiver.answer = failing(grpc.StatusCode[code], "no")
    outcome = send(to(receiver.url))
    assert (outcome.fate, outcome.reason) == (Fate.REFUSED, f"grpc_{grpc.StatusCode[code].value[0]}")
    assert "no" in outcome.message


@pytest.mark.parametrize(("asked", "waited"), [(2.5, 2.5), (0.0, 0.5), (1e6, 60.0)])
def test_a_receiver_that_asks_for_a_pause_is_understood(
    receiver: GrpcReceiver, to: Callable[..., GrpcTransport], asked: float, waited: float
) -> None:
    receiver.answer = failing(grpc.StatusCode.RESOURCE_EXHAUSTED, "later", wait=asked)
    outcome = send(to(receiver.url))
    assert (outcome.fate, outcome.retry_after) == (Fate.RETRY, waited)


@pytest.mark.parametrize("details", [b"\xff", b"\x1a\x02\x0a\x00", b"", b"\x1a\x05\x12\x03abc"])
def test_details_that_cannot_be_read_ask_for_nothing(details: bytes) -> None:
    assert retry_delay((("grpc-status-details-bin", details),)) is None


def test_nobody_there(to: Callable[..., GrpcTransport]) -> None:
    with refusing() as url:
        outcome = send(to(url))
    assert (outcome.fate, outcome.answered) == (Fate.RETRY, False)


def test_the_deadline_holds(to: Callable[..., GrpcTransport]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        outcome = send(to(f"http://127.0.0.1:{silent.getsockname()[1]}"), within=0.5)
    assert (outcome.fate, outcome.answered) == (Fate.RETRY, False)


def test_a_missing_certificate_is_a_reason_with_words(to: Callable[..., GrpcTransport]) -> None:
    outcome = send(to("https://127.0.0.1:1", certificate="/nowhere/ca.pem"))
    assert outcome.fate is Fate.RETRY
    assert "/nowhere/ca.pem" in outcome.message


def test_items_travel_from_end_to_end(receiver: GrpcReceiver) -> None:
    with delivering(receiver.url, protocol="grpc") as delivery:
        offer(delivery, ["over gRPC"])
        assert delivery.force_flush(10.0)
    [(_, body)] = receiver.calls
    assert [span.name for span in peer.decode_spans(body)] == ["over gRPC"]


def test_a_channel_is_made_by_the_first_request_and_not_inherited(receiver: GrpcReceiver) -> None:
    transport = GrpcTransport(Signal.TRACES, Destination(receiver.url))
    channels: list[Any] = [transport._channel]
    send(transport)
    channels.append(transport._channel)
    transport.forget()  # as a forked child does
    channels.append(transport._channel)
    send(transport)
    channels.append(transport._channel)
    transport.close()
    assert channels[0] is None
    assert channels[2] is None
    assert channels[1] is not channels[3]
