"""A part of a path is a secret when its route calls it so: the path is then told as its template."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from fastapi import FastAPI, WebSocket
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from websockets.sync.client import connect

from blogauto_otel.instrumentation import server
from testkit.requests import Watched, ask, served

APP = FastAPI()
ACCESS = logging.getLogger("uvicorn.access")


@APP.get("/users/{user}/reset/{token:path}")
async def reset(user: int, token: str) -> None:
    # As uvicorn logs the request, while its response is on its way.
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


async def test_the_path_is_told_as_its_template(watched: Watched, access: pytest.LogCaptureFixture) -> None:
    assert (await ask(APP, "/users/7/reset/c4n4ry/x?page=2")).status_code == 200
    assert path_of(watched) == "/users/{user}/reset/{token}"
    assert access.messages == ['127.0.0.1:1 - "GET /users/{user}/reset/{token}?page=2 HTTP/1.1" 200']


async def test_another_path_is_told_as_it_is(watched: Watched, access: pytest.LogCaptureFixture) -> None:
    await ask(APP, "/users/7")
    assert path_of(watched) == "/users/7"
    assert access.messages == ['127.0.0.1:1 - "GET /users/7 HTTP/1.1" 200', "of another form"]


async def test_so_it_is_of_requests_that_fail_and_were_not_sampled(watch: Callable[..., Watched]) -> None:
    watched = watch(sampler=ALWAYS_OFF)
    await ask(APP, "/fails/c4n4ry")
    [late] = watched.late
    assert late.attributes["url.path"] == "/fails/{api_key}"


def test_and_of_websockets(watched: Watched) -> None:
    with served(APP) as url, connect(url.replace("http", "ws", 1) + "/rooms/c4n4ry") as websocket:
        assert list(websocket) == []
    assert path_of(watched) == "/rooms/{invite_token}"


async def test_names_of_the_user_count(watch: Callable[..., Watched]) -> None:
    watched = watch(redact_keys=["user"])
    await ask(APP, "/users/7")
    assert path_of(watched) == "/users/{user}"


async def test_not_when_nothing_is_to_be_redacted(watch: Callable[..., Watched]) -> None:
    watched = watch(redact=False)
    await ask(APP, "/users/7/reset/c4n4ry")
    assert path_of(watched) == "/users/7/reset/c4n4ry"


def test_the_access_log_is_left_alone_afterwards(watch: Callable[..., Watched]) -> None:
    before = list(ACCESS.filters)
    watched = watch()
    watched.instrument()
    assert len(ACCESS.filters) == len(before) + 1
    server.uninstrument()
    assert ACCESS.filters == before
