"""A path whose route has a parameter with a secret's name is replaced by its template."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request, WebSocket
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from websockets.sync.client import connect

from blogauto_otel.instrumentation import logging as logging_instrumentation
from blogauto_otel.instrumentation import server
from testkit.requests import Watched, ask, served

APP = FastAPI()
ACCESS = logging.getLogger("uvicorn.access")


@APP.get("/users/{user}/reset/{token:path}")
async def reset(user: int, token: str) -> None:
    # As uvicorn logs the request, while its response is being sent.
    ACCESS.info('%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "GET", f"/users/{user}/reset/{token}?page=2", "1.1", 200)


@APP.get("/users/{user}")
async def show(user: int) -> None:
    ACCESS.info('%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "GET", f"/users/{user}", "1.1", 200)
    ACCESS.info("of another form")


@APP.websocket("/rooms/{invite_token}")
async def enter(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


@APP.get("/fails/{api_key}")
async def fail(api_key: str) -> None:
    raise RuntimeError


def path_of(watched: Watched) -> object:
    assert watched.span.attributes is not None
    return watched.span.attributes["url.path"]


@pytest.fixture
def access(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "uvicorn.access")
    return caplog


async def test_the_path_is_replaced_by_its_template(watched: Watched, access: pytest.LogCaptureFixture) -> None:
    assert (await ask(APP, "/users/7/reset/c4n4ry/x?page=2")).status_code == 200
    assert path_of(watched) == "/users/{user}/reset/{token}"
    assert access.messages == ['127.0.0.1:1 - "GET /users/{user}/reset/{token}?page=2 HTTP/1.1" 200']


async def test_another_path_is_recorded_as_it_is(watched: Watched, access: pytest.LogCaptureFixture) -> None:
    await ask(APP, "/users/7")
    assert path_of(watched) == "/users/7"
    assert access.messages == ['127.0.0.1:1 - "GET /users/7 HTTP/1.1" 200', "of another form"]


async def test_also_on_deferred_spans(watch: Callable[..., Watched]) -> None:
    watched = watch(sampler=ALWAYS_OFF)
    await ask(APP, "/fails/c4n4ry")
    [deferred] = watched.deferred
    assert deferred.attributes["url.path"] == "/fails/{api_key}"


def test_also_for_websockets(watched: Watched) -> None:
    with served(APP) as url, connect(url.replace("http", "ws", 1) + "/rooms/c4n4ry") as websocket:
        assert list(websocket) == []
    assert path_of(watched) == "/rooms/{invite_token}"


async def test_also_for_names_that_the_user_lists(watch: Callable[..., Watched]) -> None:
    watched = watch(redact_keys=["user"])
    await ask(APP, "/users/7")
    assert path_of(watched) == "/users/{user}"


async def test_not_when_redaction_is_off(watch: Callable[..., Watched]) -> None:
    watched = watch(redact=False)
    await ask(APP, "/users/7/reset/c4n4ry")
    assert path_of(watched) == "/users/7/reset/c4n4ry"


def test_the_access_log_has_no_filter_afterwards(watch: Callable[..., Watched]) -> None:
    before = list(ACCESS.filters)
    watched = watch()
    watched.instrument()
    assert len(ACCESS.filters) == len(before) + 1
    server.uninstrument()
    assert ACCESS.filters == before


# --- other lines than uvicorn's access log ----------------------------------------------------------------------------


class Lines(logging.Handler):
    """What a handler of the application prints."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage() + str(vars(record).get("path", "")))


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler, names = Lines(), ("uvicorn.error", "hypercorn.access", "granian.access", "gunicorn.access")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    yield handler
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)


def test_uvicorns_lines_of_websockets(watched: Watched, lines: Lines) -> None:
    with served(APP) as url, connect(url.replace("http", "ws", 1) + "/rooms/c4n%204ry?x=1") as websocket:
        assert list(websocket) == []
    [line] = [line for line in lines.lines if "WebSocket" in line]
    assert line.endswith('"WebSocket /rooms/{invite_token}?x=1" [accepted]')


class Atoms(dict[str, str]):
    """As gunicorn's and hypercorn's: a mapping that answers for missing names."""

    def __missing__(self, name: str) -> str:
        return "-"


@pytest.mark.parametrize("log_at", ["within", "with the last byte", "after"])
async def test_lines_of_other_servers(watched: Watched, lines: Lines, log_at: str) -> None:
    path = "/users/7/reset/c4n4ry"

    def log() -> None:
        logging.getLogger("hypercorn.access").info("%(r)s %(none)s", Atoms(r=f"GET {path} HTTP/2"))
        logging.getLogger("granian.access").info("%s %s", {"path": path}, 200)
        logging.getLogger("gunicorn.access").info(f"GET {path}", extra={"path": path})  # noqa: G004 - the message has the path

    async def send(message: Any) -> None:
        if (log_at == "within") == (message["type"] == "http.response.start") and log_at != "after":
            log()

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "root_path": ""}

    async def serve() -> None:
        await APP(scope, lambda: asyncio.sleep(60, {}), send)
        if log_at == "after":
            log()

    await asyncio.create_task(serve())
    template = "/users/{user}/reset/{token}"
    assert lines.lines == [f"GET {template} HTTP/2 -", f"{{'path': '{template}'}} 200", f"GET {template}{template}"]


async def test_a_redirect_to_the_path_with_a_slash(watched: Watched, lines: Lines) -> None:
    app, error = FastAPI(), logging.getLogger("uvicorn.error")
    app.get("/invites/{token}/")(lambda: error.info("route"))

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            error.info('"GET %s" %d', "/invites/c4n4ry", message["status"])

    scope = {"type": "http", "method": "GET", "path": "/invites/c4n4ry", "headers": [], "query_string": b""}
    await app({**scope, "root_path": ""}, lambda: asyncio.sleep(60, {}), send)
    assert lines.lines == ['"GET /invites/{token}/" 307']
    assert path_of(watched) == "/invites/{token}/"


@pytest.mark.parametrize("below", ["/known", "/unknown"])
async def test_what_is_mounted_below_a_secret(watched: Watched, below: str) -> None:
    inner = Starlette(routes=[Route("/known", lambda _: PlainTextResponse("yes"))])
    await ask(Starlette(routes=[Mount("/box/{api_key}", inner)]), "/box/c4n4ry" + below)
    assert "c4n4ry" not in str(path_of(watched))


async def test_a_task_that_outlives_its_request(watched: Watched, lines: Lines) -> None:
    app, tasks, ended = FastAPI(), [], asyncio.Event()

    async def work() -> None:
        await ended.wait()
        logging.getLogger("uvicorn.error").info("done with /invites/c4n4ry")

    @app.get("/invites/{token}")
    async def invite() -> None:
        tasks.append(asyncio.create_task(work()))

    await ask(app, "/invites/c4n4ry")
    ended.set()
    await tasks[0]
    assert lines.lines == ["done with /invites/{token}"]


async def test_the_next_request_of_a_task_is_another(watched: Watched, lines: Lines) -> None:
    await ask(APP, "/users/7/reset/c4n4ry")
    await ask(APP, "/users/7")
    logging.getLogger("granian.access").info("GET /users/7/reset/c4n4ry")
    assert lines.lines == ["GET /users/7/reset/c4n4ry"]


async def test_any_record_of_the_request_where_records_are_instrumented(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    app = FastAPI()

    @app.get("/invites/{token}")
    async def invite(token: str, request: Request) -> None:
        logging.getLogger("shop").info("asked for %s", request.url)

    instrumented = logging_instrumentation.instrument(watched.context)
    assert instrumented
    try:
        await ask(app, "/invites/c4n4ry")
    finally:
        logging_instrumentation.uninstrument()
    assert "asked for http://test/invites/{token}" in caplog.messages
