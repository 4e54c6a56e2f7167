"""An application that fails in many ways: each route is a row of `failure_cases.py`, whose path its exception names."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.lowlevel
import sentry_sdk
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, WebSocket
from opentelemetry import trace
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import blogauto_otel

log = logging.getLogger("failing_app")
tracer = trace.get_tracer("failing_app")
pool = ThreadPoolExecutor(2)
engine = create_engine("sqlite://")
async_engine = create_async_engine("sqlite+aiosqlite://")


class DomainError(Exception):
    pass


class RefusedError(Exception):
    pass


SHARED = DomainError("case:shared")

if os.environ.get("FAILING_APP_CONFIGURES", "yes") == "yes":
    blogauto_otel.configure()

app = FastAPI()


class SpanHeader:
    """Adds a response header with the id of the request's span, because an unsampled span is not exported."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        span_id = format(trace.get_current_span().get_span_context().span_id, "016x").encode()

        async def saying(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-span", span_id)]}
            await send(message)

        await self._app(scope, receive, saying)


app.add_middleware(SpanHeader)


async def pass_through(request: Request, call_next: RequestResponseEndpoint) -> Response:
    return await call_next(request)


if os.environ.get("FAILING_APP_MIDDLEWARE"):
    app.add_middleware(BaseHTTPMiddleware, dispatch=pass_through)


@app.exception_handler(DomainError)
async def domain(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": "domain"}, 500)


@app.exception_handler(RefusedError)
async def refused(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": "refused"}, 409)


@app.get("/ready")
async def ready() -> str:
    return "yes"


# --- raised -----------------------------------------------------------------------------------------------------------


@app.get("/unhandled-async")
async def unhandled_async() -> None:
    raise ValueError("case:unhandled-async")


@app.get("/unhandled-sync")
def unhandled_sync() -> None:
    raise ValueError("case:unhandled-sync")


@app.get("/inner-async")
async def inner_async() -> None:
    with tracer.start_as_current_span("inner-async"):
        raise ValueError("case:inner-async")


@app.get("/inner-sync")
def inner_sync() -> None:
    with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner-sync"):
        raise ValueError("case:inner-sync")


@app.get("/operation")
async def in_operation() -> None:
    with blogauto_otel.operation("operation"):
        raise ValueError("case:operation")


@app.get("/database-sync")
def database_sync() -> None:
    with engine.connect() as connection:
        connection.execute(text(r"SELECT 1 FROM [case\:database-sync]"))


@app.get("/database-async")
async def database_async() -> None:
    async with async_engine.connect() as connection:
        await connection.execute(text(r"SELECT 1 FROM [case\:database-async]"))


@app.get("/wrapped")
async def wrapped() -> None:
    try:
        raise KeyError("cause")
    except KeyError as error:
        raise ValueError("case:wrapped") from error


@app.get("/shared")
async def shared() -> None:
    raise SHARED


@app.get("/http-503")
async def http_503() -> None:
    raise HTTPException(503, "case:http-503")


@app.get("/http-404")
async def http_404() -> None:
    raise HTTPException(404, "case:http-404")


@app.get("/validation")
async def validation(number: int) -> None: ...


@app.get("/handled-500")
def handled_500() -> None:
    raise DomainError("case:handled-500")


@app.get("/handled-409")
def handled_409() -> None:
    raise RefusedError("case:handled-409")


@app.get("/health")
async def health() -> None:
    raise ValueError("case:health")


# --- logged -----------------------------------------------------------------------------------------------------------


@app.get("/log-error")
async def log_error() -> None:
    log.error("case:%s", "log-error")


@app.get("/log-error-sync")
def log_error_sync() -> None:
    with tracer.start_as_current_span("log-error-sync"):
        log.error("case:%s", "log-error-sync")


@app.get("/log-exception")
async def log_exception() -> None:
    try:
        with tracer.start_as_current_span("log-exception"):
            raise ValueError("case:log-exception")
    except ValueError:
        log.exception("it failed")


@app.get("/log-and-raise-async")
async def log_and_raise_async() -> None:
    try:
        raise ValueError("case:log-and-raise-async")
    except ValueError:
        log.exception("it failed")
        raise


@app.get("/log-and-raise-sync")
def log_and_raise_sync() -> None:
    try:
        raise ValueError("case:log-and-raise-sync")
    except ValueError:
        log.exception("it failed")
        raise


@app.get("/by-hand")
async def by_hand() -> None:
    sentry_sdk.capture_message("case:by-hand", level="error")


@app.get("/by-hand-and-raised")
async def by_hand_and_raised() -> None:
    try:
        raise ValueError("case:by-hand-and-raised")
    except ValueError as error:
        sentry_sdk.capture_exception(error)
        raise


# --- elsewhere --------------------------------------------------------------------------------------------------------


async def fail_in_background() -> None:
    raise ValueError("case:background-async")


def fail_in_background_sync() -> None:
    raise ValueError("case:background-sync")


@app.get("/background-async")
async def background_async(tasks: BackgroundTasks) -> None:
    tasks.add_task(fail_in_background)


@app.get("/background-sync")
def background_sync(tasks: BackgroundTasks) -> None:
    tasks.add_task(fail_in_background_sync)


def fail(case: str) -> None:
    raise ValueError(f"case:{case}")


@app.get("/thread-raises")
def thread_raises() -> None:
    thread = threading.Thread(target=fail, args=("thread-raises",))
    thread.start()
    thread.join()


@app.get("/thread-logs")
async def thread_logs() -> None:
    thread = threading.Thread(target=log.error, args=("case:thread-logs",))
    thread.start()
    thread.join()


@app.get("/pool-raises")
def pool_raises() -> None:
    pool.submit(fail, "pool-raises").result()


@app.get("/pool-logs")
def pool_logs() -> None:
    pool.submit(log.error, "case:pool-logs").result()


@app.get("/executor-raises")
async def executor_raises() -> None:
    await asyncio.get_running_loop().run_in_executor(None, fail, "executor-raises")


@app.get("/to-thread-raises")
async def to_thread_raises() -> None:
    await asyncio.to_thread(fail, "to-thread-raises")


async def fail_in_task(case: str) -> None:
    raise ValueError(f"case:{case}")


@app.get("/task-awaited")
async def task_awaited() -> None:
    await asyncio.create_task(fail_in_task("task-awaited"))


later: set[asyncio.Task[None]] = set()


async def log_later() -> None:
    await asyncio.sleep(0.2)
    log.error("case:task-later")


@app.get("/task-later")
async def task_later() -> None:
    task = asyncio.create_task(log_later())
    later.add(task)
    task.add_done_callback(later.discard)


@app.get("/task-abandoned")
async def task_abandoned() -> None:
    asyncio.create_task(fail_in_task("task-abandoned"))  # noqa: RUF006 - abandoned


async def fail_in_span(case: str) -> None:
    with tracer.start_as_current_span(case):
        raise ValueError(f"case:{case}")


@app.get("/task-abandoned-inner")
async def task_abandoned_inner() -> None:
    asyncio.create_task(fail_in_span("task-abandoned-inner"))  # noqa: RUF006 - abandoned


@app.get("/collect")
async def collect() -> None:
    """Another request, in which the garbage collector finds the abandoned tasks."""
    gc.collect()


@app.get("/group-of-one")
async def group_of_one() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(fail_in_span, "group-of-one")


@app.get("/group-of-two")
async def group_of_two() -> None:
    async def wait_and_fail(event: anyio.Event) -> None:
        try:
            await event.wait()
        finally:
            raise KeyError("second")

    async with anyio.create_task_group() as group:
        group.start_soon(wait_and_fail, anyio.Event())
        await anyio.lowlevel.checkpoint()
        group.start_soon(fail_in_span, "group-of-two")


@app.websocket("/websocket")
async def websocket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.receive_text()
    raise ValueError("case:websocket")


@app.get("/stream")
async def stream() -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        raise ValueError("case:stream")

    return StreamingResponse(pieces())


def torn_down() -> Iterator[None]:
    yield
    raise ValueError("case:teardown")


@app.get("/teardown", dependencies=[Depends(torn_down)])
def teardown() -> None: ...
