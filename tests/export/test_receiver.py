"""The receiver of the tests: it shows what arrived, and fails as configured."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.metrics.export import Metric, NumberDataPoint, Sum
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from blogauto_otel.otlp.signal import Signal
from testkit import receiver as peer
from testkit.receiver import Receiver
from tests.export.delivery import ENCODER, a_span, delivering, enqueue
from tests.otlp import otlp_strategies as shapes


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def post(receiver: Receiver, body: bytes = b"", *, timeout: float = 3.0) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=timeout)
    connection.request("POST", "/v1/traces", body)
    return connection.getresponse()


def is_closed(connection: socket.socket) -> bool:
    """Reset, or closed in order when the receiver's thread was faster."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def counted(**values: int) -> list[tuple[bytes, bytes]]:
    points = [NumberDataPoint({"who": who}, 1, 2, value) for who, value in values.items()]
    metric = Metric("m", "", "{x}", Sum(points, 2, True))  # type: ignore[arg-type]
    return ENCODER.metrics(shapes.metrics_data(InstrumentationScope("s"), [metric]))


def test_points_are_found_by_name_attributes_and_instance_and_the_latest_counts(receiver: Receiver) -> None:
    with delivering(receiver) as delivery:
        for values in ({"a": 1, "b": 5}, {"a": 2, "b": 6}):
            for scope, item in counted(**values):
                delivery.enqueue(Signal.METRICS, scope, item)
            assert delivery.force_flush(5.0)
    assert len(receiver.metrics) == 4
    assert receiver.point("m", {"who": "a"}).value == 2
    assert receiver.total("m") == 8
    assert receiver.total("m", instance="parent") == 8
    assert receiver.total("m", instance="another instance") == 0
    with pytest.raises(LookupError, match="2 series of m"):
        receiver.point("m")


def test_clear_removes_items_and_a_failed_wait_lists_the_received_ones(receiver: Receiver) -> None:
    with delivering(receiver) as delivery:
        enqueue(delivery, ["one"])
        receiver.wait_for(lambda r: r.spans)
    receiver.clear()
    assert (receiver.spans, receiver.requests, receiver.resources) == ((), [], ())
    with pytest.raises(TimeoutError, match="0 spans"):
        receiver.wait_for(lambda r: r.spans, timeout=0.1)


def test_answers_come_in_turn_and_then_all_is_well_again(receiver: Receiver) -> None:
    receiver.answer(peer.status(503, retry_after=9), times=2)
    answers = [post(receiver) for _ in range(3)]
    assert [answer.status for answer in answers] == [503, 503, 200]
    assert answers[0].headers["Retry-After"] == "9"
    assert [request.answered for request in receiver.requests] == [503, 503, 200]


def test_a_refused_item_does_not_count_as_received_and_a_lost_acknowledgement_does(receiver: Receiver) -> None:
    _, scope, item = a_span("x")
    body = b"\x0a" + bytes((len(scope) + len(item) + 2,)) + b"\x12" + bytes((len(scope) + len(item),)) + scope + item
    receiver.answer(peer.status(503), times=1)
    post(receiver, body)
    assert not receiver.spans
    receiver.answer(peer.lost_acknowledgement(), times=1)
    with pytest.raises(ConnectionError):
        post(receiver, body)
    assert [span.name for span in receiver.spans] == ["x"]


def test_an_answer_can_be_delayed_and_sent_in_pieces(receiver: Receiver) -> None:
    for answer in (peer.delay(0.3), peer.Answer(drip=0.01)):
        receiver.answer(answer, times=1)
        started = time.monotonic()
        post(receiver).read()
        assert time.monotonic() - started > 0.25


def test_stop_closes_the_port_and_hangs_up_and_start_opens_the_same(receiver: Receiver) -> None:
    receiver.answer(peer.silence())
    with socket.create_connection(("127.0.0.1", receiver.port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        receiver.wait_for(lambda r: r.requests)
        receiver.stop()
        connection.settimeout(5.0)
        assert is_closed(connection)
    with pytest.raises(ConnectionRefusedError):
        post(receiver)
    receiver.answer(peer.ok())
    receiver.start()
    assert post(receiver).status == 200


def test_a_frozen_receiver_accepts_and_reads_nothing_until_it_thaws(receiver: Receiver) -> None:
    receiver.freeze()
    with pytest.raises(TimeoutError):
        post(receiver, timeout=0.3)
    receiver.thaw()
    assert post(receiver).status == 200
