"""A request that ended in an exception is counted once, by the exception's class, handled or not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from opentelemetry.trace import Span, StatusCode
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from blogauto_otel.instrumentation import server
from testkit.requests import Watched, ask


class DomainError(Exception):
    pass


class Teapot(HTTPException):
    pass


def application() -> FastAPI:
    app = FastAPI()
    _add_answers(app)
    _add_refusals(app)
    return app


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(DomainError)
    async def by_class(request: Request, error: Exception) -> Response:
        return JSONResponse({"detail": "domain"}, 409)

    @app.exception_handler(418)
    def by_status(request: Request, error: Exception) -> Response:
        return JSONResponse({"detail": "teapot"}, 418)

    async def denied() -> None:
        raise HTTPException(401)

    @app.get("/http")
    async def http() -> None:
        raise HTTPException(404)

    @app.get("/thread")
    def thread() -> None:
        raise HTTPException(404)

    @app.get("/dependency", dependencies=[Depends(denied)])
    async def dependency() -> None: ...

    @app.get("/validation")
    async def validation(number: int) -> None: ...

    @app.get("/domain")
    async def domain() -> None:
        raise DomainError

    @app.get("/status")
    async def status() -> None:
        raise Teapot(418)


def _add_answers(app: FastAPI) -> None:
    @app.get("/fine")
    async def fine() -> str:
        return "fine"

    @app.get("/crash")
    async def crash() -> None:
        raise ZeroDivisionError

    @app.get("/returned")
    async def returned() -> Response:
        return JSONResponse({}, 500)


CASES = {
    "/fine": (200, None),
    "/http": (404, "HTTPException"),
    "/thread": (404, "HTTPException"),
    "/dependency": (401, "HTTPException"),
    "/validation": (422, "RequestValidationError"),
    "/domain": (409, "DomainError"),
    "/status": (418, "Teapot"),
    "/crash": (500, "ZeroDivisionError"),
    "/returned": (500, None),
}


class PassingOn(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        return response


@pytest.mark.parametrize("middleware", [None, PassingOn], ids=["plain", "BaseHTTPMiddleware"])
@pytest.mark.parametrize(("path", "expected"), CASES.items(), ids=str)
async def test_the_class_is_counted_under_the_endpoint(
    watched: Watched, path: str, expected: tuple[int, str | None], middleware: Any
) -> None:
    app = application()
    if middleware:
        app.add_middleware(middleware)
    status, name = expected
    assert (await ask(app, path)).status_code == status
    assert watched.errors() == ({(name, path): 1} if name else {})
    assert watched.requests() == {("GET", path, str(status)): 1}


async def test_an_unknown_path_is_an_exception_too_and_counted_as_unmatched(watched: Watched) -> None:
    await ask(application(), "/nothing")
    assert watched.errors() == {("HTTPException", "unmatched"): 1}


async def test_an_exception_of_a_middleware_is_counted(watched: Watched) -> None:
    app = application()

    @app.middleware("http")
    async def broken(request: Request, call_next: Any) -> Response:
        raise LookupError

    assert (await ask(app, "/fine")).status_code == 500
    assert watched.errors() == {("LookupError", "/fine"): 1}


async def test_a_handler_for_all_exceptions_makes_a_failure_no_success(watched: Watched) -> None:
    app = application()

    @app.exception_handler(Exception)
    async def all_of_them(request: Request, error: Exception) -> Response:
        return JSONResponse({"detail": "sorry"}, 500)

    await ask(app, "/crash")
    assert watched.errors() == {("ZeroDivisionError", "/crash"): 1}
    assert watched.span.status.status_code is StatusCode.ERROR
    assert [event.name for event in watched.span.events] == ["exception"]


async def test_a_handler_that_raises_is_a_crash_of_its_own(watched: Watched) -> None:
    app = application()

    @app.exception_handler(RequestValidationError)
    async def broken(request: Request, error: Exception) -> Response:
        raise TypeError

    await ask(app, "/validation")
    assert watched.errors() == {("TypeError", "/validation"): 1}
    assert watched.requests() == {("GET", "/validation", "500"): 1}


async def test_a_crash_after_the_first_byte_counts_as_a_500_though_the_client_saw_a_200(watched: Watched) -> None:
    app = FastAPI()

    async def half() -> AsyncIterator[bytes]:
        yield b"one"
        raise ZeroDivisionError

    @app.get("/half")
    async def stream() -> Response:
        return StreamingResponse(half())

    await ask(app, "/half")
    assert watched.requests() == {("GET", "/half", "500"): 1}
    assert watched.errors() == {("ZeroDivisionError", "/half"): 1}
    assert watched.span.attributes is not None
    assert watched.span.attributes["http.response.status_code"] == 200
    assert watched.span.status.status_code is StatusCode.ERROR


async def test_an_exception_that_a_task_group_wraps_is_recorded_as_itself(watched: Watched) -> None:
    class ExceptionGroup(Exception):  # noqa: N818 - its name
        """As Python 3.11 has it, and a package for those before."""

        def __init__(self, *exceptions: Exception) -> None:
            self.exceptions = exceptions

    app = FastAPI()

    @app.get("/one")
    async def one() -> None:
        raise ExceptionGroup(ExceptionGroup(ZeroDivisionError()))

    @app.get("/two")
    async def two() -> None:
        raise ExceptionGroup(ZeroDivisionError(), KeyError())

    await ask(app, "/one")
    await ask(app, "/two")
    assert watched.errors() == {("ZeroDivisionError", "/one"): 1, ("ExceptionGroup", "/two"): 1}


async def test_a_dependency_that_fails_after_the_response_is_recorded_with_the_request(watched: Watched) -> None:
    app = FastAPI()

    async def session() -> AsyncIterator[str]:
        yield "session"
        raise ConnectionResetError

    @app.get("/x")
    async def x(used: str = Depends(session)) -> str:
        return used

    await ask(app, "/x")
    assert watched.errors() == {("ConnectionResetError", "/x"): 1}
    assert watched.span.status.status_code is StatusCode.ERROR
    assert len(watched.spans) == 1


async def test_an_application_that_never_answers_is_counted_as_a_crash(watched: Watched) -> None:
    async def silent(request: Request) -> Callable[..., Any]:
        async def nothing(scope: Any, receive: Any, send: Any) -> None: ...

        return nothing

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None: ...

    app = Starlette(routes=[Route("/silent", silent)])
    scope = {"type": "http", "method": "GET", "path": "/silent", "headers": [], "query_string": b""}
    await app(scope, receive, send)
    assert watched.requests() == {("GET", "/silent", "500"): 1}
    assert watched.span.attributes is not None
    assert watched.span.attributes["error.type"] == "no_response"


async def test_error_callbacks_are_called_once_per_failure_while_the_span_is_open(watched: Watched) -> None:
    reported: list[tuple[str, bool]] = []

    def on_error(error: BaseException, span: Span) -> None:
        reported.append((type(error).__name__, span.is_recording()))
        span.set_attribute("sentry.event_id", "abc")

    server.on_request_error(on_error)
    server.on_request_error(on_error)
    app = application()
    for path in ("/fine", "/http", "/returned", "/crash"):
        await ask(app, path)
    assert reported == [("ZeroDivisionError", True)]
    assert watched.spans[-1].attributes is not None
    assert watched.spans[-1].attributes["sentry.event_id"] == "abc"


@pytest.mark.quiet_guard
async def test_an_error_callback_that_fails_does_not_affect_the_request(watched: Watched) -> None:
    def broken(error: BaseException, span: Span) -> None:
        raise RuntimeError

    server.on_request_error(broken)
    assert (await ask(application(), "/crash")).status_code == 500
    assert watched.errors() == {("ZeroDivisionError", "/crash"): 1}
    assert watched.span.status.status_code is StatusCode.ERROR


async def test_a_response_object_that_is_sent_again_gets_no_second_request_id(watched: Watched) -> None:
    app, ready = FastAPI(), PlainTextResponse("ready")

    @app.get("/ready")
    async def always_the_same() -> Response:
        return ready

    for _ in range(3):
        response = await ask(app, "/ready")
        assert len(response.headers.get_list("x-request-id")) == 1
