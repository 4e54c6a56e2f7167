"""Pages of our own, such as /metrics, are answered before the application, unmeasured and untraced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from blogauto_otel import _guard
from blogauto_otel.instrumentation import asgi
from tests.support.requests import Watched, ask, served

PAGE = PlainTextResponse("ours")


async def theirs(request: Request) -> Response:
    return PlainTextResponse("theirs")


@pytest.fixture(autouse=True)
def _page(watched: Watched) -> None:
    asgi.serve("/metrics", PAGE)


@pytest.mark.parametrize("kind", [FastAPI, Starlette])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_a_page_is_answered_whatever_the_application_has(watched: Watched, kind: Any, method: str) -> None:
    response = await ask(kind(), "/metrics", method)
    assert response.status_code == 200
    assert not watched.spans
    assert watched.requests() == {}
    assert watched.in_progress() == {}
    assert "x-request-id" not in response.headers


async def test_it_wins_over_a_broken_route_of_the_application(watched: Watched) -> None:
    app = FastAPI()

    @app.get("/metrics")
    async def broken() -> None:
        raise NameError("monitoring")

    assert (await ask(app, "/metrics")).text == "ours"


async def test_no_middleware_of_the_application_stands_before_it(watched: Watched) -> None:
    async def refuse(request: Request, call_next: Any) -> Response:
        return PlainTextResponse("log in", 401)

    app = Starlette(
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=["example.org"]),
            Middleware(BaseHTTPMiddleware, dispatch=refuse),
        ]
    )
    assert (await ask(app, "/metrics")).text == "ours"
    assert (await ask(app, "/")).status_code == 400


async def test_only_the_outermost_application_has_it(watched: Watched) -> None:
    inner = FastAPI()
    inner.router.routes.append(Route("/metrics", theirs))
    app = FastAPI()
    app.mount("/inner", inner)
    assert (await ask(app, "/inner/metrics")).text == "theirs"
    assert watched.requests() == {("GET", "/inner/metrics", "200"): 1}


async def test_similar_paths_are_the_applications(watched: Watched) -> None:
    app = Starlette(routes=[Mount("/", PlainTextResponse("theirs"))])
    for path in ("/metrics/", "/metrics/x", "/metricsx", "/Metrics", "/api/metrics"):
        assert (await ask(app, path)).text == "theirs"


def test_a_root_path_that_the_server_puts_before_it_is_seen_through(watched: Watched) -> None:
    with served(FastAPI(), root_path="/api") as url:
        assert httpx.get(url + "/metrics").text == "ours"


async def test_a_root_path_of_the_application_is_seen_through(watched: Watched) -> None:
    app = FastAPI()
    app.root_path = "/api"
    assert (await ask(app, "/metrics")).text == "ours"
    assert (await ask(app, "/api/metrics")).text == "ours"
    assert (await ask(app, "/apimetrics")).status_code == 404


async def test_it_can_be_taken_back(watched: Watched) -> None:
    asgi.unserve("/metrics")
    asgi.unserve("/metrics")
    assert (await ask(FastAPI(), "/metrics")).status_code == 404


@pytest.mark.parametrize("requests", ["contrib", "off"])
async def test_it_is_answered_whoever_watches_the_requests(watch: Callable[..., Watched], requests: str) -> None:
    watched = watch(requests=requests)
    assert (await ask(FastAPI(), "/metrics")).text == "ours"
    assert not watched.spans


@pytest.mark.quiet_guard
async def test_a_page_that_fails_is_a_500_and_nobodys_exception(watched: Watched) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError

    asgi.serve("/metrics", broken)
    assert (await ask(FastAPI(), "/metrics")).status_code == 500
    assert _guard.swallowed() == {"answering with a page of ours": 1}
