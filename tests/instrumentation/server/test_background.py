"""Background tasks have a span of their own, and no part in the duration of their request."""

from __future__ import annotations

import asyncio
import functools
import time
from typing import Any

from fastapi import BackgroundTasks, FastAPI
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from blogauto_otel.api.context import current_request_id
from blogauto_otel.instrumentation import server
from testkit.requests import Watched, ask


def application(task: Any, *arguments: Any) -> FastAPI:
    app = FastAPI()

    @app.get("/post")
    async def post(tasks: BackgroundTasks) -> str:
        tasks.add_task(task, *arguments)
        return "posted"

    return app


async def test_a_task_is_a_child_of_its_request_and_begins_after_it(watched: Watched) -> None:
    seen: list[Any] = []

    async def publish(post: int) -> None:
        await asyncio.sleep(0.1)
        seen.append((trace.get_current_span().get_span_context().span_id, current_request_id()))

    response = await ask(application(publish, 1), "/post")
    request, task = watched.spans
    assert (request.name, task.name) == ("GET /post", "background publish")
    assert task.kind is SpanKind.INTERNAL
    assert task.parent == request.context
    assert task.context is not None
    assert seen == [(task.context.span_id, response.headers["x-request-id"])]
    function = f"{__name__}.{publish.__qualname__}"
    assert task.attributes == {"code.function.name": function, "request.id": response.headers["x-request-id"]}
    assert request.end_time is not None
    assert task.start_time is not None
    assert request.end_time <= task.start_time
    assert watched.durations()["GET", "/post"] < 0.1


async def test_the_request_is_recorded_before_its_task_runs(watched: Watched) -> None:
    seen = []

    def publish() -> None:
        seen.append((watched.requests(), watched.names))

    await ask(application(publish), "/post")
    assert seen == [({("GET", "/post", "200"): 1}, ["GET /post"])]


async def test_a_task_in_a_thread_and_under_a_base_http_middleware(watched: Watched) -> None:
    def publish() -> None:
        time.sleep(0.1)
        watched.tracer.start_span("sql").end()

    async def dispatch(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        return response

    app = application(functools.partial(publish))
    app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    await ask(app, "/post")
    assert watched.names == ["GET /post", "background publish"]
    assert watched.durations()["GET", "/post"] < 0.1


async def test_several_tasks_have_a_span_each(watched: Watched) -> None:
    class Sending:
        async def __call__(self) -> None: ...

    app = FastAPI()

    @app.get("/post")
    async def post(tasks: BackgroundTasks) -> None:
        tasks.add_task(Sending())
        tasks.add_task(lambda: None)

    await ask(app, "/post")
    assert watched.names == ["GET /post", "background Sending", "background <lambda>"]


async def test_a_task_that_fails_fails_its_own_span_and_is_counted_with_its_request(watched: Watched) -> None:
    reported: list[tuple[str, str]] = []

    def on_error(error: BaseException, span: Span) -> None:
        reported.append((type(error).__name__, getattr(span, "name", "")))

    server.on_request_error(on_error)

    async def publish() -> None:
        raise ZeroDivisionError

    await ask(application(publish), "/post")
    request, task = watched.spans
    assert request.status.status_code is StatusCode.UNSET
    assert task.status.status_code is StatusCode.ERROR
    assert task.attributes is not None
    assert task.attributes["error.type"] == "ZeroDivisionError"
    assert [event.name for event in task.events] == ["exception"]
    assert watched.requests() == {("GET", "/post", "200"): 1}
    assert watched.errors() == {("ZeroDivisionError", "/post"): 1}
    assert reported == [("ZeroDivisionError", "background publish")]


async def test_a_task_run_in_the_middle_of_a_request_is_part_of_it(watched: Watched) -> None:
    app = FastAPI()

    async def step() -> None: ...

    @app.get("/x")
    async def x() -> None:
        await BackgroundTask(step)()

    await ask(app, "/x")
    assert watched.names == ["background step", "GET /x"]


async def test_a_task_outside_any_request_has_no_span(watched: Watched) -> None:
    ran: list[int] = []
    await BackgroundTask(ran.append, 1)()
    assert ran == [1]
    assert not watched.spans


async def test_a_task_that_outlives_its_request_holds_no_request(watched: Watched) -> None:
    import gc
    import weakref

    app, alive = FastAPI(), []

    class Payload:
        pass

    async def forever() -> None:
        await asyncio.sleep(30)

    @app.get("/x")
    async def x(request: Request) -> Response:
        payload = request.scope["payload"] = Payload()
        alive.append(weakref.ref(payload))
        app.state.task = asyncio.create_task(forever())
        return PlainTextResponse("x")

    await ask(app, "/x")
    gc.collect()
    assert alive[0]() is None
    app.state.task.cancel()
