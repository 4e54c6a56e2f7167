"""Responses of a middleware for a path that has a route are recorded under the route's template."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from blogauto_otel.instrumentation.starlette import routes
from testkit.requests import Watched, ask, client_of
from tests.instrumentation.server.test_routes import (
    FASTAPI,
    STARLETTE,
    answer,
    fastapi_application,
    starlette_application,
)

PREFLIGHT = {"origin": "https://blog.example", "access-control-request-method": "GET"}


def refusing(status: int) -> Any:
    """A middleware that answers itself, as one for logins, rates or maintenance does."""

    class Refusing:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                await PlainTextResponse("no", status)(scope, receive, send)
            elif scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})

    return Refusing


# What the router alone would redirect: a middleware that answers in its place does not.
REDIRECTED = {"GET /api/v1/articles/7/", "GET /inner/leaf/1/", "GET /inner", "GET /articles/7/"}


def without_redirects(expected: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(asked, "unmatched" if asked in REDIRECTED else endpoint) for asked, endpoint in expected.items()]


@pytest.mark.parametrize(("asked", "endpoint"), without_redirects(FASTAPI), ids=str)
async def test_a_fastapi_application_that_refuses_every_request(watched: Watched, asked: str, endpoint: str) -> None:
    method, path = asked.split()
    app = fastapi_application()
    app.add_middleware(refusing(401))
    await ask(app, path, method)
    assert watched.requests() == {(method, endpoint, "401"): 1}
    assert watched.span.name == (method if endpoint == "unmatched" else f"{method} {endpoint}")
    assert watched.span.attributes is not None
    assert watched.span.attributes.get("http.route") == (None if endpoint == "unmatched" else endpoint)


@pytest.mark.parametrize(("asked", "endpoint"), without_redirects(STARLETTE), ids=str)
async def test_a_starlette_application_in_maintenance(
    watched: Watched, tmp_path: Path, asked: str, endpoint: str
) -> None:
    method, path = asked.split()
    app = starlette_application(tmp_path)
    app.add_middleware(refusing(503))
    await ask(app, path, method)
    assert watched.requests() == {(method, endpoint, "503"): 1}


async def test_a_host_is_looked_at_as_the_router_does(watched: Watched, tmp_path: Path) -> None:
    app = starlette_application(tmp_path)
    app.add_middleware(refusing(429))
    for host in ("api.test", "other.test"):
        await ask(app, "/only-here", headers={"host": host})
    assert watched.requests() == {("GET", "/only-here", "429"): 1, ("GET", "unmatched", "429"): 1}


async def test_a_cors_preflight(watched: Watched) -> None:
    app = fastapi_application()
    app.add_middleware(CORSMiddleware, allow_origins=["https://blog.example"])
    assert (await ask(app, "/api/v1/articles/7", "OPTIONS", headers=PREFLIGHT)).status_code == 200
    assert watched.requests() == {("OPTIONS", "/api/v1/articles/{article}", "200"): 1}


async def test_a_middleware_of_a_mounted_application(watched: Watched) -> None:
    inner, app = fastapi_application(), FastAPI()
    inner.add_middleware(refusing(401))
    app.mount("/all/{tenant}", inner)
    await ask(app, "/all/acme/api/v1/articles/7")
    await ask(app, "/all/acme/nothing")
    assert watched.requests() == {
        ("GET", "/all/{tenant}/api/v1/articles/{article}", "401"): 1,
        ("GET", "unmatched", "401"): 1,
    }


async def test_a_middleware_of_a_mount(watched: Watched) -> None:
    app = Starlette(routes=[Mount("/in", routes=[Route("/{x}", answer)], middleware=[Middleware(refusing(403))])])
    await ask(app, "/in/7")
    assert watched.requests() == {("GET", "/in/{x}", "403"): 1}


async def test_a_middleware_that_raises(watched: Watched) -> None:
    async def broken(request: Request, call_next: Any) -> Response:
        raise ValueError

    app = fastapi_application()
    app.add_middleware(BaseHTTPMiddleware, dispatch=broken)
    await ask(app, "/api/v1/articles/7")
    assert watched.requests() == {("GET", "/api/v1/articles/{article}", "500"): 1}
    assert watched.errors() == {("ValueError", "/api/v1/articles/{article}"): 1}


async def test_the_root_path_of_the_application_is_no_part_of_it(watched: Watched) -> None:
    app = fastapi_application()
    app.root_path = "/proxied"
    app.add_middleware(refusing(401))
    await ask(app, "/proxied/api/v1/articles/7")
    assert watched.requests() == {("GET", "/api/v1/articles/{article}", "401"): 1}


async def test_a_path_with_a_secret_is_not_recorded(watched: Watched) -> None:
    app = FastAPI()
    app.add_middleware(refusing(429))

    @app.post("/reset/{token}")
    async def reset(token: str) -> None: ...

    await ask(app, "/reset/hunter2", "POST")
    assert watched.span.attributes is not None
    assert watched.span.attributes["url.path"] == "/reset/{token}"


# --- what it costs ----------------------------------------------------------------------------------------------------


class Counted(Route):
    """A route that counts how often it was looked at."""

    looked_at = 0

    def matches(self, scope: Any) -> Any:
        type(self).looked_at += 1
        return super().matches(scope)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[Counted]:
    monkeypatch.setattr(routes, "_matches", routes._Matches())
    monkeypatch.setattr(Counted, "looked_at", 0)
    return Counted


def closed(*paths: str) -> Starlette:
    return Starlette(routes=[Counted(path, answer) for path in paths], middleware=[Middleware(refusing(401))])


async def test_a_path_is_matched_once(watched: Watched, counted: type[Counted]) -> None:
    app = closed("/a", "/b", "/items/{item}")
    for _ in range(20):
        await ask(app, "/items/7")
    assert counted.looked_at == 3
    assert watched.requests() == {("GET", "/items/{item}", "401"): 20}


async def test_a_path_without_a_route_is_not_matched_again(watched: Watched, counted: type[Counted]) -> None:
    await ask(Starlette(routes=[Counted("/a", answer)]), "/nothing", "POST")
    assert counted.looked_at == 2, "by the router, for the path and for its redirect"


async def test_hostile_paths_do_not_increase_memory(watched: Watched, counted: type[Counted]) -> None:
    app = closed("/items/{item}")
    async with client_of(app) as asking:
        for number in range(routes.MAX_CACHED + 50):
            await asking.get(f"/items/{number}")
        await asking.get("/items/" + "x" * 5000)
    remembered = routes._matches._cache
    assert 0 < len(remembered) <= routes.MAX_CACHED
    assert not any(len(path) > routes.MAX_CACHED_PATH for *_, path in remembered)
    assert set(watched.requests()) == {("GET", "/items/{item}", "401")}


async def test_no_more_routes_are_looked_at_than_a_bound(watched: Watched, counted: type[Counted]) -> None:
    app = closed(*(f"/r{number}" for number in range(routes.MAX_ROUTES + 50)))
    await ask(app, f"/r{routes.MAX_ROUTES + 10}")
    assert counted.looked_at == routes.MAX_ROUTES
    assert watched.requests() == {("GET", "unmatched", "401"): 1}


async def test_the_cached_templates_of_an_application_are_not_anothers(
    watched: Watched, counted: type[Counted]
) -> None:
    make: Callable[[str], Starlette] = closed
    for name in ("x", "y"):
        app = make(f"/{{{name}}}")
        await ask(app, "/7")
        app.router.routes.insert(0, Route("/7", answer))
        await ask(app, "/7")
        del app
        gc.collect()
    assert watched.requests() == {("GET", "/{x}", "401"): 1, ("GET", "/{y}", "401"): 1, ("GET", "/7", "401"): 2}


@pytest.mark.quiet_guard
async def test_a_request_is_answered_when_its_route_cannot_be_matched(watched: Watched) -> None:
    class Odd(Route):
        def matches(self, scope: Any) -> Any:
            return None

    app = Starlette(routes=[Odd("/x", answer)], middleware=[Middleware(refusing(401))])
    assert (await ask(app, "/x")).status_code == 401
    assert watched.requests() == {("GET", "unmatched", "401"): 1}
