"""Applications with uncommon uses of ASGI are answered and recorded like all others."""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Iterable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from blogauto_otel import _guard
from blogauto_otel.api.context import current_request_id
from blogauto_otel.instrumentation.server.types import Receive, Scope, Send
from testkit.requests import Watched

START = "http.response.start"
BODY = {"type": "http.response.body", "body": b"x"}


async def call(app: Any, kind: str = "http", path: str = "/") -> list[dict[str, Any]]:
    """What the application sends."""
    sent: list[dict[str, Any]] = []
    scope = {"type": kind, "method": "GET", "path": path, "headers": [], "query_string": b"", "root_path": ""}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def answering(*messages: dict[str, Any]) -> Starlette:
    """A plain ASGI application mounted in a framework's."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return Starlette(routes=[Mount("/", app)])


@pytest.mark.parametrize("kind", [list, tuple, iter], ids=lambda kind: kind.__name__)
async def test_response_headers_may_be_any_iterable(watched: Watched, kind: Any) -> None:
    given: Iterable[Any] = kind([(b"content-type", b"text/x"), [b"etag", b"1"]])
    start, _ = await call(answering({"type": START, "status": 200, "headers": given}, BODY))
    names = [name for name, _ in start["headers"]]
    assert names == [b"content-type", b"etag", b"x-request-id"]


@pytest.mark.parametrize("kind", [list, iter], ids=lambda kind: kind.__name__)
async def test_a_request_id_of_the_application_stays_however_it_is_written(watched: Watched, kind: Any) -> None:
    given = kind([(b"X-Request-ID", b"own"), (b"etag", b"1")])
    start, _ = await call(answering({"type": START, "status": 200, "headers": given}, BODY))
    assert list(start["headers"]) == [(b"X-Request-ID", b"own"), (b"etag", b"1")]


async def test_the_first_status_is_the_one_that_the_client_saw(watched: Watched) -> None:
    app = answering({"type": START, "status": 200}, {"type": START, "status": 500}, BODY)
    await call(app)
    assert watched.requests() == {("GET", "/{path}", "200"): 1}


async def test_an_application_may_empty_its_scope(watched: Watched) -> None:
    async def answer_and_empty(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("yes")(scope, receive, send)
        scope.clear()

    app = Starlette()
    app.middleware_stack = answer_and_empty
    assert (await call(app))[0]["status"] == 200
    assert watched.requests() == {("GET", "unmatched", "200"): 1}


@pytest.mark.quiet_guard
async def test_a_message_without_a_type_is_left_to_the_server(watched: Watched) -> None:
    async def greet(_: Scope, __: Receive, send: Send) -> None:
        await send({"text": "hello"})

    app = Starlette()
    app.middleware_stack = greet
    sent = await call(app, kind="websocket")
    assert sent == [{"text": "hello"}]


async def test_an_exception_that_is_only_called_a_group_passes_untouched(watched: Watched) -> None:
    class ExceptionGroup(Exception):  # noqa: N818 - the point of it
        pass

    app = FastAPI()

    @app.get("/")
    async def fail() -> None:
        raise ExceptionGroup("mine")

    with pytest.raises(ExceptionGroup, match="mine"):
        await call(app)
    assert watched.errors() == {("ExceptionGroup", "/"): 1}


async def test_a_request_that_is_abandoned_and_closed_within_another_leaves_that_one_alone(watched: Watched) -> None:
    app = FastAPI()

    @app.get("/forever")
    async def forever() -> None:
        await asyncio.Future()

    @app.get("/other/{x}")
    async def other(x: int) -> tuple[str | None, str | None]:
        before = current_request_id()
        abandoned.close()
        return before, current_request_id()

    abandoned = call(app, path="/forever")
    contextvars.copy_context().run(abandoned.send, None)
    sent = await call(app, path="/other/1")
    before, after = json.loads(sent[1]["body"])
    assert before is not None
    assert after == before
    assert watched.requests()["GET", "/other/{x}", "200"] == 1


@pytest.mark.quiet_guard
async def test_a_route_that_cannot_be_read_only_loses_its_name(watched: Watched) -> None:
    class Hiding(Route):
        @property
        def path_format(self) -> str:
            raise RuntimeError("no format")

        @path_format.setter
        def path_format(self, value: str) -> None:
            pass

    async def answer(_: Any) -> PlainTextResponse:
        assert watched.in_progress() == {("GET", "unmatched"): 1}
        return PlainTextResponse("yes")

    await call(Starlette(routes=[Hiding("/", answer)]))
    assert watched.requests() == {("GET", "unmatched", "200"): 1}
    assert watched.names == ["GET"]
    assert set(_guard.swallowed()) == {"finding a route"}
