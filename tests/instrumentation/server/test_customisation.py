"""Hooks, captured headers, excluded URLs, known methods, applications that opt out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI, Response, WebSocket
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Span
from starlette.applications import Starlette
from starlette.routing import Mount

from blogauto_otel import _guard
from blogauto_otel.instrumentation import server
from blogauto_otel.instrumentation.server import hooks
from testkit.requests import Watched, ask

APP = FastAPI()


@APP.get("/x")
async def answer(response: Response) -> int:
    response.headers["X-Shard"] = "7"
    response.headers.append("Set-Cookie", "session=c4n4ry")
    return 1


@APP.get("/reset/{token}")
async def reset(token: str, response: Response) -> None:
    response.headers["X-Self"] = f"/reset/{token}"


@APP.get("/crash")
async def crash() -> None:
    raise ZeroDivisionError


@APP.websocket("/ws")
async def talk(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


def attributes(watched: Watched) -> dict[str, Any]:
    return dict((watched.deferred[0] if watched.deferred else watched.span).attributes or {})


@pytest.fixture
def with_settings(watch: Callable[..., Watched]) -> Callable[..., Watched]:
    """Instrument with settings by field name."""

    def begin(sampler: Any = None, **settings: Any) -> Watched:
        watched = watch(instrument=False, sampler=sampler)
        for name, value in settings.items():
            object.__setattr__(watched.context.settings, name, value)
        watched.instrument()
        return watched

    return begin


# --- hooks ------------------------------------------------------------------------------------------------------------


def set_port(span: Span, scope: Any) -> None:
    if span.is_recording():
        span.set_attribute("shop.client", scope["client"][0])


def set_code(span: Span, scope: Any, code: int) -> None:
    span.set_attribute("shop.code", f"{scope['path']} {code}")


@pytest.fixture
def hooked() -> Iterator[None]:
    hooks.on_request(set_port)
    hooks.on_response(set_code)
    yield
    hooks.remove(set_port)
    hooks.remove(set_code)


@pytest.mark.parametrize("sampler", [None, ALWAYS_OFF], ids=["sampled", "deferred"])
@pytest.mark.usefixtures("hooked")
async def test_hooks_set_attributes_on_the_server_span(watch: Callable[..., Watched], sampler: Any) -> None:
    watched = watch(sampler=sampler)
    await ask(APP, "/crash")
    found = attributes(watched)
    assert found["shop.client"] == "127.0.0.1"
    assert found["shop.code"] == "/crash 500"


@pytest.mark.usefixtures("hooked")
async def test_hooks_are_called_once_per_request_and_not_after_they_are_removed(watched: Watched) -> None:
    calls: list[int] = []
    hooks.on_request(lambda *_: calls.append(0))
    one = hooks.state.request[-1]
    hooks.on_request(one)
    await ask(APP, "/x")
    hooks.remove(one)
    await ask(APP, "/x")
    assert calls == [0]


async def test_hooks_of_the_context_are_used_until_uninstrument(watch: Callable[..., Watched]) -> None:
    watched = watch(instrument=False)
    given = SimpleNamespace(server_request=set_port, server_response=None)
    object.__setattr__(watched.context, "hooks", given)
    watched.instrument()
    await ask(APP, "/x")
    assert attributes(watched)["shop.client"] == "127.0.0.1"
    server.uninstrument()
    assert set_port not in hooks.state.request


@pytest.mark.quiet_guard
async def test_a_request_is_answered_when_a_hook_fails(watched: Watched) -> None:
    def fail(*_: Any) -> None:
        raise SystemExit

    hooks.on_request(fail)
    hooks.on_response(fail)
    try:
        assert (await ask(APP, "/x")).json() == 1
    finally:
        hooks.remove(fail)
    assert set(_guard.swallowed()) == {"a request hook", "a response hook"}


# --- captured headers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", [None, ALWAYS_OFF], ids=["sampled", "deferred"])
async def test_request_headers_by_name_and_by_pattern(with_settings: Callable[..., Watched], sampler: Any) -> None:
    watched = with_settings(sampler, capture_request_headers=("X-Shop", "accept.*"), sanitize_headers=("x-sh.*",))
    await ask(APP, "/crash", headers={"x-shop": "secret place", "Accept-Language": "ko", "x-other": "no"})
    found = {name: value for name, value in attributes(watched).items() if name.startswith("http.request.header")}
    assert found["http.request.header.x-shop"] == ("[redacted]",)
    assert found["http.request.header.accept-language"] == ("ko",)
    assert "http.request.header.x-other" not in found


async def test_response_headers_with_secrets_redacted(with_settings: Callable[..., Watched]) -> None:
    watched = with_settings(capture_response_headers=(".*",))
    await ask(APP, "/x")
    found = attributes(watched)
    assert found["http.response.header.x-shard"] == ("7",)
    assert "c4n4ry" not in str(found)
    assert "http.response.header.set-cookie" in found


async def test_a_secret_path_in_a_header(with_settings: Callable[..., Watched]) -> None:
    watched = with_settings(capture_response_headers=("x-self",), capture_request_headers=("referer",))
    await ask(APP, "/reset/c4n4ry", headers={"referer": "http://test/reset/c4n4ry"})
    found = attributes(watched)
    assert found["http.response.header.x-self"] == ("/reset/{token}",)
    assert found["http.request.header.referer"] == ("http://test/reset/{token}",)


async def test_headers_are_not_captured_unless_asked_for(watched: Watched) -> None:
    await ask(APP, "/x")
    assert not any(name.startswith(("http.request.header", "http.response.header")) for name in attributes(watched))


# --- what is not instrumented -----------------------------------------------------------------------------------------


async def test_excluded_urls_are_neither_traced_nor_measured(with_settings: Callable[..., Watched]) -> None:
    watched = with_settings(excluded_urls=("test/x$", "/none"))
    assert (await ask(APP, "/x")).json() == 1
    await ask(APP, "/crash")
    assert watched.names == ["GET /crash"]
    assert set(watched.requests()) == {("GET", "/crash", "500")}


async def test_known_methods(with_settings: Callable[..., Watched]) -> None:
    watched = with_settings(known_methods=("GET", "PURGE"))
    await ask(APP, "/x", method="PURGE")
    await ask(APP, "/x", method="POST")
    assert {method for method, *_ in watched.requests()} == {"PURGE", "_OTHER"}


async def test_an_application_that_opts_out(watched: Watched) -> None:
    app = FastAPI()
    app.get("/x")(lambda: 1)
    server.uninstrument_app(app)
    response = await ask(app, "/x")
    assert response.json() == 1
    assert "x-request-id" not in response.headers
    await ask(Starlette(routes=[Mount("/in", app)]), "/in/x")
    assert watched.names == ["GET /in/x"]
    app.blogauto_otel_excluded = False  # type: ignore[attr-defined]
    await ask(app, "/x")
    assert watched.names == ["GET /in/x", "GET /x"]
