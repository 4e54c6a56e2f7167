"""The last message is sent outside the request's context, and what runs after it is inside again."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, WebSocket
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import StreamingResponse

from blogauto_otel.api.context import bind, bound, current_request_id
from blogauto_otel.instrumentation import server
from blogauto_otel.instrumentation.server import request_context
from blogauto_otel.instrumentation.server.request import current
from testkit.requests import Watched

REQUESTS = 300
MOST_OBJECTS = 4  # more than the bare application leaves behind
VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")

Seen = tuple[int, str | None, object, str]


def seen() -> Seen:
    """The values in the context of the code that asks."""
    trace_id = trace.get_current_span().get_span_context().trace_id
    return trace_id, current_request_id(), bound().get("user.id"), VARIABLE.get()


NOTHING: Seen = (0, None, None, "outside")


class Server:
    """Sends as uvicorn does: a keep-alive timer is started while the last byte is sent, and cancelled later."""

    def __init__(self) -> None:
        self.timers: list[asyncio.TimerHandle] = []
        self.seen: list[Seen] = []
        self.messages: list[Any] = []

    async def ask(self, app: Any, path: str = "/", **scope: Any) -> None:
        base = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "root_path": ""}
        await asyncio.create_task(app({**base, **scope}, self.receive_once(), self.send))

    def receive_once(self) -> Any:
        """The body, and nothing more: the client stays."""
        messages = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            return messages.pop() if messages else await asyncio.Future()

        return receive

    async def send(self, message: Any) -> None:
        self.messages.append(message["type"])
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.seen.append(seen())
            timer = asyncio.get_running_loop().call_later(600, print)
            timer.cancel()
            self.timers.append(timer)


def application() -> tuple[FastAPI, dict[str, Seen]]:
    """Each part of it records the context it sees, by name."""
    notes: dict[str, Seen] = {}
    app = FastAPI()

    async def resource() -> AsyncIterator[None]:
        yield
        notes["dependency"] = seen()

    async def task() -> None:
        notes["background"] = seen()

    @app.get("/")
    async def plain(tasks: BackgroundTasks, _: None = Depends(resource)) -> int:
        bind(user_id=42)
        notes["endpoint"] = seen()
        tasks.add_task(task)
        return 1

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"1"
            bind(user_id=42)
            notes["endpoint"] = seen()
            yield b"2"
            notes["stream"] = seen()

        return StreamingResponse(parts())

    return app, notes


class Outer:
    """A middleware that works on after the response."""

    def __init__(self, app: Any, notes: dict[str, Seen]) -> None:
        self.app = app
        self.notes = notes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)
        self.notes["middleware"] = seen()


@pytest.fixture(params=[False, True], ids=["plain middleware", "BaseHTTPMiddleware"])
def parts(request: pytest.FixtureRequest) -> tuple[FastAPI, dict[str, Seen]]:
    app, notes = application()
    if request.param:

        async def pass_on(request: Any, call_next: Any) -> Any:
            return await call_next(request)

        app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    app.add_middleware(Outer, notes=notes)
    return app, notes


@pytest.mark.parametrize("path", ["/", "/stream"])
async def test_what_runs_after_the_last_byte_belongs_to_the_request(
    watched: Watched, parts: tuple[FastAPI, dict[str, Seen]], path: str
) -> None:
    app, notes = parts
    sending = Server()
    request_context.reset_per_request(VARIABLE, lambda: "inside")
    try:
        await sending.ask(app, path)
    finally:
        request_context.stop_resetting(VARIABLE)
    assert sending.seen == [NOTHING]
    inside = notes.pop("endpoint")
    [span] = [span for span in watched.spans if span.kind is trace.SpanKind.SERVER]
    assert span.attributes is not None
    assert span.context is not None
    assert inside == (span.context.trace_id, span.attributes["request.id"], 42, "inside")
    assert len(notes) == (3 if path == "/" else 2)
    for name, what in notes.items():
        assert what == inside, name


async def test_a_span_around_the_application_is_current_again(watched: Watched) -> None:
    app, _ = application()
    after: list[bool] = []

    class Spanning:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))) as span:
                await self.app(scope, receive, send)
                after.append(trace.get_current_span() is span)

    app.add_middleware(Spanning)
    await Server().ask(app, "/stream")
    assert after == [True]


async def test_a_server_that_refuses_the_last_message_leaves_the_application_in_its_context(watched: Watched) -> None:
    app = FastAPI()
    inside: list[bool] = []

    class Careful:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            try:
                await self.app(scope, receive, send)
            except OSError:
                inside.append(current() is not None)

    app.get("/")(lambda: 1)
    app.add_middleware(Careful)
    sending = Server()

    async def refuse(message: Any) -> None:
        await sending.send(message)
        if message["type"] == "http.response.body":
            raise OSError

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"", "root_path": ""}
    await app(scope, sending.receive_once(), refuse)
    assert inside == [True]
    assert current() is None
    assert seen() == NOTHING


async def test_a_request_abandoned_in_its_last_message_changes_no_other_context(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    app = FastAPI()
    app.get("/")(lambda: 1)

    async def stall(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Future()

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"", "root_path": ""}
    unfinished = app(scope, Server().receive_once(), stall)
    step = contextvars.copy_context()
    while True:
        waited_for = step.run(unfinished.send, None)
        if waited_for is not None:
            break
    unfinished.close()
    assert current() is None
    assert seen() == NOTHING
    assert "detach" not in caplog.text
    assert watched.errors() == {("GeneratorExit", "/"): 1}  # silent, and counted


async def test_an_abandoned_background_task_changes_no_other_context(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    app = FastAPI()

    async def wait() -> None:
        await asyncio.Future()

    @app.get("/")
    async def answer(tasks: BackgroundTasks) -> None:
        tasks.add_task(wait)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"", "root_path": ""}
    unfinished, step = app(scope, Server().receive_once(), Server().send), contextvars.copy_context()
    while step.run(unfinished.send, None) is None:
        pass
    unfinished.close()
    assert seen() == NOTHING
    assert "detach" not in caplog.text
    assert "background wait" in watched.names


def test_a_websocket_stays_in_its_context(watched: Watched) -> None:
    app, inside = FastAPI(), []

    @app.websocket("/ws")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()
        inside.append(current() is not None)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(_: Any) -> None:
        inside.append(current() is not None)

    asyncio.run(app({"type": "websocket", "path": "/ws", "headers": [], "query_string": b""}, receive, send))
    assert inside == [True, True, True]


async def tracked_objects_left(app: Any) -> float:
    """Tracked objects a request leaves behind while its cancelled timers are not yet discarded."""
    sending = Server()
    for _ in range(50):  # caches are filled, series exist
        await sending.ask(app)
    sending = Server()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(REQUESTS):
        await sending.ask(app)
    gc.collect()
    after = len(gc.get_objects())
    assert len(sending.timers) == REQUESTS
    return (after - before) / REQUESTS


def small() -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.get("/")
    async def answer() -> dict[str, bool]:
        return {"ok": True}

    return app


def measure() -> float:
    """In an empty context, as a server starts: each variable that is set costs every context objects of its own."""
    return contextvars.Context().run(asyncio.run, tracked_objects_left(small()))


def test_a_finished_request_leaves_next_to_nothing_behind_a_cancelled_timer(watch: Callable[..., Watched]) -> None:
    server.uninstrument()
    bare = measure()
    watch(sampler=ALWAYS_OFF)
    assert measure() - bare <= MOST_OBJECTS


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, ALWAYS_ON], ids=["unsampled", "sampled"])
async def test_ten_thousand_requests_leave_nothing_that_the_garbage_collector_tracks(
    watch: Callable[..., Watched], sampler: Any
) -> None:
    watched, app, sending = watch(sampler=sampler), small(), Server()
    for _ in range(50):
        await sending.ask(app)
    gc.collect()
    sending.timers.clear()
    before = len(gc.get_objects())
    gc.disable()
    try:
        for _ in range(10_000):
            await sending.ask(app)
            sending.timers.clear()
            sending.seen.clear()
            sending.messages.clear()
            watched._exporter.clear()
        grown = len(gc.get_objects()) - before  # what needs a collection counts as left behind
    finally:
        gc.enable()
    assert grown < 100
