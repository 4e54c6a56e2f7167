"""A response ends with its last byte; a client disconnect before that is recorded, and is no failure."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.trace import StatusCode
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from testkit.requests import Watched, ask, served, wait_until

CLIENT_LEFT = "blogauto.client_left"


async def slow_chunks(number: int = 3, pause: float = 0.05) -> AsyncIterator[bytes]:
    for _ in range(number):
        yield b"data: x\n\n"
        await asyncio.sleep(pause)


async def until_the_client_leaves(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def test_a_stream_lasts_until_its_last_chunk(watched: Watched) -> None:
    async def stream(request: Request) -> Response:
        return StreamingResponse(slow_chunks(), media_type="text/event-stream")

    response = await ask(Starlette(routes=[Route("/events", stream)]), "/events")
    assert response.content == b"data: x\n\n" * 3
    assert watched.durations()["GET", "/events"] >= 0.15
    span = watched.span
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time >= 150_000_000


@pytest.mark.parametrize("under", [None, BaseHTTPMiddleware], ids=["plain", "BaseHTTPMiddleware"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_client_that_disconnects_from_a_stream_is_recorded_as_such(watched: Watched, loop: str, under: Any) -> None:
    async def stream(request: Request) -> Response:
        return StreamingResponse(slow_chunks(10_000, 0.01), media_type="text/event-stream")

    async def dispatch(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        return response

    app = Starlette(routes=[Route("/events", stream)])
    if under:
        app.add_middleware(under, dispatch=dispatch)
    with served(app, loop=loop) as url:
        with httpx.stream("GET", url + "/events") as response:
            next(response.iter_raw())
        wait_until(lambda: watched.spans)
    assert watched.requests() == {("GET", "/events", "200"): 1}
    assert watched.in_progress() == {("GET", "/events"): 0}
    span = watched.span
    assert span.attributes is not None
    assert span.attributes[CLIENT_LEFT] is True
    assert span.status.status_code is StatusCode.UNSET
    assert "error.type" not in span.attributes


def test_a_client_that_disconnects_before_the_response_is_a_499(watched: Watched) -> None:
    async def wait(request: Request) -> Response:
        await until_the_client_leaves(request)
        return PlainTextResponse("nobody reads this")

    with served(Starlette(routes=[Route("/wait", wait)])) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda: watched.in_progress().get(("GET", "/wait")) == 1)
        wait_until(lambda: watched.spans)
    assert watched.requests() == {("GET", "/wait", "499"): 1}
    assert watched.span.attributes is not None
    assert "http.response.status_code" not in watched.span.attributes
    assert watched.span.status.status_code is StatusCode.UNSET


def test_a_client_that_disconnects_during_its_upload_is_no_failure(watched: Watched) -> None:
    async def upload(request: Request) -> Response:
        await request.body()
        return PlainTextResponse("complete")

    with served(Starlette(routes=[Route("/upload", upload, methods=["POST"])])) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
            wait_until(lambda: watched.in_progress().get(("POST", "/upload")) == 1)
        wait_until(lambda: watched.spans)
    assert watched.requests() == {("POST", "/upload", "499"): 1}
    assert watched.errors() == {("ClientDisconnect", "/upload"): 1}
    assert watched.span.status.status_code is StatusCode.UNSET
    assert not watched.span.events


def test_a_crash_stays_a_crash_after_a_client_disconnect(watched: Watched) -> None:
    async def wait(request: Request) -> Response:
        await until_the_client_leaves(request)
        raise ZeroDivisionError

    with served(Starlette(routes=[Route("/wait", wait)])) as url:
        with pytest.raises(httpx.TimeoutException):
            httpx.get(url + "/wait", timeout=0.3)
        wait_until(lambda: watched.spans)
    assert watched.requests() == {("GET", "/wait", "500"): 1}
    assert watched.span.status.status_code is StatusCode.ERROR


def test_requests_in_flight_at_the_end_of_the_server_are_recorded(watched: Watched) -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.5)
        return PlainTextResponse("slow")

    statuses: list[int] = []
    with served(Starlette(routes=[Route("/slow", slow)])) as url:
        client = threading.Thread(target=lambda: statuses.append(httpx.get(url + "/slow").status_code))
        client.start()
        wait_until(lambda: watched.in_progress().get(("GET", "/slow")) == 1)
    client.join()
    assert statuses == [200]
    assert watched.requests() == {("GET", "/slow", "200"): 1}
    assert watched.names == ["GET /slow"]


async def test_trailers_and_files_sent_by_path_end_a_response(watched: Watched) -> None:
    passed: list[Any] = []

    async def trailers(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        await send({"type": "http.response.body", "body": b"x"})
        passed.append(watched.in_progress())
        await send({"type": "http.response.trailers", "headers": [(b"x", b"1")], "more_trailers": True})
        await send({"type": "http.response.trailers", "headers": [(b"y", b"2")]})
        passed.append(watched.in_progress())

    async def by_path(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": "/etc/hostname"})
        passed.append(watched.in_progress())

    for app, messages in ((trailers, 4), (by_path, 2)):
        sent = await _call(_only(app))
        assert len(sent) == messages
    assert [next(iter(counts.values())) for counts in passed] == [1, 0, 0]
    assert [span.status.status_code for span in watched.spans] == [StatusCode.UNSET] * 2


async def test_a_response_that_is_never_finished_is_incomplete(watched: Watched) -> None:
    async def half(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})

    await _call(_only(half))
    assert watched.requests() == {("GET", "/x/{path}", "500"): 1}
    assert watched.span.attributes is not None
    assert watched.span.attributes["error.type"] == "incomplete_response"


async def test_unknown_messages_pass_through(watched: Watched) -> None:
    async def odd(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.push", "path": "/style.css", "headers": []})
        await send({"type": "http.response.debug", "info": {}})
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.zerocopysend", "file": 1, "more_body": True})
        await send({"type": "http.response.zerocopysend", "file": 1})

    sent = await _call(_only(odd))
    assert [message["type"].rpartition(".")[2] for message in sent] == ["push", "debug", "start", *["zerocopysend"] * 2]
    assert watched.requests() == {("GET", "/x/{path}", "200"): 1}


async def test_a_cancelled_request_is_recorded(watched: Watched) -> None:
    app, running = FastAPI(), asyncio.Event()

    @app.get("/x")
    async def x() -> None:
        running.set()
        await asyncio.sleep(30)

    task = asyncio.create_task(ask(app, "/x"))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert watched.requests() == {("GET", "/x", "500"): 1}
    assert watched.errors() == {("CancelledError", "/x"): 1}
    assert watched.in_progress() == {("GET", "/x"): 0}


def _only(app: Any) -> Starlette:
    return Starlette(routes=[Mount("/x", app)])


async def _call(app: Any) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "http", "method": "GET", "path": "/x/1", "query_string": b"", "headers": []}, receive, send)
    return sent
