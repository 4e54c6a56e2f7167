"""A websocket session has one span; it is not a request that is counted or timed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from fastapi import APIRouter, FastAPI, WebSocket, WebSocketException
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode
from starlette.responses import PlainTextResponse
from uvicorn.config import WS_PROTOCOLS
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from blogauto_otel.api.context import current_request_id
from testkit.requests import Watched, served, wait_until

# The other implementation warns of its end where this one exists.
PROTOCOL = "websockets-sansio" if "websockets-sansio" in WS_PROTOCOLS else "websockets"


def application() -> FastAPI:
    app, router = FastAPI(), APIRouter()

    @router.websocket("/rooms/{room}")
    async def room(websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        span = trace.get_current_span()
        await websocket.send_text(f"{'sampled' if span.is_recording() else 'unsampled'} {current_request_id()}")
        while True:
            if await websocket.receive_text() == "crash":
                raise ZeroDivisionError
            await websocket.send_text("yes")

    @router.websocket("/refused")
    async def refused(websocket: WebSocket) -> None:
        await websocket.close(1008)

    @router.websocket("/denied")
    async def denied(websocket: WebSocket) -> None:
        await websocket.send_denial_response(PlainTextResponse("pay first", 402))

    @router.websocket("/policy")
    async def policy(websocket: WebSocket) -> None:
        raise WebSocketException(1008)

    app.include_router(router, prefix="/ws")
    return app


def _ws(url: str) -> str:
    return url.replace("http", "ws", 1)


def talk(path: str, *messages: str) -> list[str]:
    """Connect through a real server, say all of it, and leave; what was answered."""
    headers = {"x-request-id": "abc"}
    with (
        served(application(), ws=PROTOCOL) as url,
        connect(_ws(url) + path, additional_headers=headers) as ws,
    ):
        answers = [str(ws.recv())]
        for message in messages:
            ws.send(message)
            with contextlib.suppress(ConnectionClosedError):
                answers.append(str(ws.recv()))
    return answers


def test_a_session_is_one_span_under_the_template_of_its_route(watched: Watched) -> None:
    assert talk("/ws/rooms/7?x=1", "hello", "again") == ["sampled abc", "yes", "yes"]
    span = watched.span
    assert span.name == "WS /ws/rooms/{room}"
    assert span.kind is SpanKind.SERVER
    assert span.attributes is not None
    expected = {
        "url.scheme": "ws",
        "url.path": "/ws/rooms/7",
        "url.query": "x=1",
        "http.route": "/ws/rooms/{room}",
        "http.response.status_code": 101,
        "network.protocol.name": "websocket",
        "request.id": "abc",
        "client.address": "127.0.0.1",
    }
    assert expected.items() <= dict(span.attributes).items()
    assert span.status.status_code is StatusCode.UNSET


def test_a_session_is_no_request_and_a_client_disconnect_no_error(watched: Watched) -> None:
    talk("/ws/rooms/7", "hello")
    assert watched.requests() == {}
    assert watched.durations() == {}
    assert watched.errors() == {}


OPEN = "blogauto.websockets.open"


def test_sessions_that_are_open_are_counted_by_route(watched: Watched) -> None:
    room = {(("endpoint", "/ws/rooms/{room}"),): 2}
    with served(application(), ws=PROTOCOL) as url:
        with connect(f"{_ws(url)}/ws/rooms/1") as one, connect(f"{_ws(url)}/ws/rooms/2") as other:
            one.recv(), other.recv()
            assert watched.points(OPEN) == room
        wait_until(lambda: set(watched.points(OPEN).values()) == {0})
        assert watched.points(OPEN).keys() == room.keys()


def test_a_refused_handshake_is_no_open_session(watched: Watched) -> None:
    with pytest.raises(InvalidStatus):
        talk("/ws/refused")
    assert watched.points(OPEN) == {}


def test_a_crash_fails_the_span_and_is_counted(watched: Watched) -> None:
    talk("/ws/rooms/7", "crash")
    assert watched.span.status.status_code is StatusCode.ERROR
    assert watched.span.attributes is not None
    assert watched.span.attributes["error.type"] == "ZeroDivisionError"
    assert [event.name for event in watched.span.events] == ["exception"]
    assert watched.errors() == {("ZeroDivisionError", "/ws/rooms/{room}"): 1}


REFUSALS = {
    "/ws/refused": (403, "/ws/refused"),
    "/ws/denied": (402, "/ws/denied"),
    "/ws/policy": (403, "/ws/policy"),
    "/ws/nothing": (403, None),
}


@pytest.mark.parametrize(("path", "expected"), REFUSALS.items(), ids=str)
def test_a_refused_handshake_has_the_status_that_the_client_sees(
    watched: Watched, path: str, expected: tuple[int, str | None]
) -> None:
    with served(application(), ws=PROTOCOL) as url, pytest.raises(InvalidStatus) as refused:
        connect(_ws(url) + path)
    assert refused.value.response.status_code == expected[0]
    assert watched.span.attributes is not None
    attributes = watched.span.attributes
    assert (attributes["http.response.status_code"], attributes.get("http.route")) == expected
    assert watched.span.status.status_code is StatusCode.UNSET


def test_a_long_session_is_not_slow_but_a_crash_is_not_lost(watch: Callable[..., Watched]) -> None:
    watched = watch(sampler=ALWAYS_OFF, slow_request_seconds=1e-9)
    assert talk("/ws/rooms/7", "hello")[0] == "unsampled abc"
    assert not watched.deferred
    talk("/ws/rooms/7", "crash")
    (deferred,) = watched.deferred
    assert deferred.name == "WS /ws/rooms/{room}"
    assert deferred.attributes["blogauto.sampling.reason"] == "error"
