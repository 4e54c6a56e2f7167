"""Pages of our own, such as /metrics, are answered before the application, unmeasured and untraced."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry, make_asgi_app
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Host, Mount, Route, Router

from blogauto_otel import _guard
from blogauto_otel.instrumentation import server
from testkit.requests import Watched, ask, served

PAGE = PlainTextResponse("ours")
Caplog: TypeAlias = pytest.LogCaptureFixture


async def theirs(request: Request) -> Response:
    return PlainTextResponse("theirs")


@pytest.fixture(autouse=True)
def _page(watched: Watched) -> None:
    server.serve("/metrics", PAGE)


@pytest.mark.parametrize("kind", [FastAPI, Starlette])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_page_is_answered_with_any_application(watched: Watched, kind: Any, method: str) -> None:
    response = await ask(kind(), "/metrics", method)
    assert response.status_code == 200
    assert not watched.spans
    assert watched.requests() == {}
    assert watched.in_progress() == {}
    assert "x-request-id" not in response.headers


async def test_it_answers_for_a_broken_route_of_the_application(watched: Watched, caplog: Caplog) -> None:
    app, asked = FastAPI(), list[str]()

    @app.get("/metrics")
    async def broken() -> None:
        asked.append("once")
        raise NameError("monitoring")

    for _ in range(3):
        response = await ask(app, "/metrics")
        assert (response.status_code, response.text) == (200, "ours")
    assert asked == ["once"]
    (line,) = [record.getMessage() for record in caplog.records if record.name == "blogauto_otel"]
    assert line.startswith("The application's own route /metrics fails (NameError); ours answers in its place.")
    assert "BLOGAUTO_OTEL_METRICS_PATH" in line
    assert watched.requests() == {}
    assert not watched.spans


@pytest.mark.parametrize("status", [500, 503])
async def test_it_answers_for_a_route_that_answers_with_a_failure(watched: Watched, status: int) -> None:
    def failing(request: Request) -> Response:
        return PlainTextResponse("theirs", status)

    app = Starlette(routes=[Route("/metrics", failing)])
    assert [(await ask(app, "/metrics")).text for _ in range(2)] == ["ours", "ours"]


def named_route() -> Any:
    return Starlette(routes=[Route("/metrics", theirs)])  # starlette_exporter's way


def decorated() -> Any:
    app = FastAPI()
    app.get("/metrics", include_in_schema=False)(theirs)  # prometheus-fastapi-instrumentator's way
    return app


def included() -> Any:
    app, router = FastAPI(), APIRouter()
    router.add_api_route("/metrics", theirs)
    app.include_router(router)
    return app


def below_a_mount() -> Any:
    return Starlette(routes=[Mount("", routes=[Route("/metrics", theirs)])])


def below_a_host() -> Any:
    return Starlette(routes=[Host("test", Router([Route("/metrics", theirs)]))])


def among_others() -> Any:
    return Starlette(routes=[Route("/metrics", theirs), Mount("/", PlainTextResponse("all"))])


OWN = [named_route, decorated, included, below_a_mount, below_a_host, among_others]


@pytest.mark.parametrize("make", OWN)
async def test_an_application_with_a_working_route_of_its_own_answers_itself(
    watched: Watched, caplog: Caplog, make: Any
) -> None:
    app = make()
    for _ in range(3):
        assert (await ask(app, "/metrics")).text == "theirs"
    (line,) = [record.getMessage() for record in caplog.records if record.name == "blogauto_otel"]
    assert line.startswith(
        "The application answers /metrics itself; ours is not served. Set BLOGAUTO_OTEL_METRICS_PATH"
    )
    assert watched.requests() == {}
    assert not watched.spans


async def test_the_mount_of_prometheus_client_is_the_applications(watched: Watched) -> None:
    app = FastAPI()
    app.mount("/metrics", make_asgi_app(CollectorRegistry()))
    first = await ask(app, "/metrics")
    assert (first.status_code, first.headers["location"]) == (307, "http://test/metrics/")
    assert (await ask(app, "/metrics/")).headers["content-type"].startswith("text/plain; version=")


OTHERS = [
    Starlette(routes=[Mount("/", PlainTextResponse("all"))]),
    Starlette(routes=[Route("/{path:path}", theirs)]),
    Starlette(routes=[Route("/{name}", theirs)]),
    Starlette(routes=[Route("/metrics", theirs, methods=["POST"])]),
    Starlette(routes=[Mount("/metricsx", PlainTextResponse("all")), Route("/metrics/", theirs)]),
]


@pytest.mark.parametrize("app", OTHERS, ids=range(len(OTHERS)))
async def test_a_route_that_does_not_stand_at_this_very_path_is_no_route_of_its_own(
    watched: Watched, app: Starlette
) -> None:
    assert (await ask(app, "/metrics")).text == "ours"


async def test_a_route_that_has_worked_keeps_its_failures(watched: Watched) -> None:
    statuses = [200, 503]

    def fails_after_the_first(request: Request) -> Response:
        return PlainTextResponse("theirs", statuses.pop(0))

    app = Starlette(routes=[Route("/metrics", fails_after_the_first)])
    assert [(await ask(app, "/metrics")).status_code for _ in range(2)] == [200, 503]


async def test_a_refusal_does_not_count_as_an_answer_of_the_route(watched: Watched) -> None:
    statuses = [401, 404, 500]

    def refusing(request: Request) -> Response:
        return PlainTextResponse("theirs", statuses.pop(0))

    app = Starlette(routes=[Route("/metrics", refusing)])
    assert [(await ask(app, "/metrics")).status_code for _ in range(3)] == [401, 404, 200]


async def test_a_client_disconnect_does_not_count_as_a_failure_of_the_route(watched: Watched) -> None:
    disconnects = [True, False]

    def disconnecting(request: Request) -> Response:
        if disconnects.pop(0):
            raise ClientDisconnect
        return PlainTextResponse("theirs")

    app = Starlette(routes=[Route("/metrics", disconnecting)])
    assert (await ask(app, "/metrics")).status_code == 500
    assert (await ask(app, "/metrics")).text == "theirs"


async def test_a_route_of_its_own_is_behind_its_own_middleware(watched: Watched) -> None:
    app = Starlette(
        routes=[Route("/metrics", theirs)],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["example.org"])],
    )
    assert (await ask(app, "/metrics")).status_code == 400
    assert (await ask(app, "/metrics", headers={"host": "example.org"})).text == "theirs"


@pytest.mark.needs("starlette>=1")  # before, it raises a group
async def test_what_fails_in_the_middle_of_its_answer_is_passed_on_as_it_is(watched: Watched) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"theirs"
        raise ValueError("middle")

    def streaming(request: Request) -> Response:
        return StreamingResponse(chunks())

    app = Starlette(routes=[Route("/metrics", streaming)])
    with pytest.raises(ValueError, match="middle"):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            await client.get("/metrics")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods_are_the_applications(watched: Watched, method: str) -> None:
    app = Starlette(routes=[Route("/metrics", theirs, methods=[method])])
    assert (await ask(app, "/metrics", method)).text == "theirs"
    assert watched.requests() == {(method, "/metrics", "200"): 1}
    assert (await ask(FastAPI(), "/metrics", method)).status_code == 404


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


def test_a_root_path_of_the_server_is_ignored(watched: Watched) -> None:
    with served(FastAPI(), root_path="/api") as url:
        assert httpx.get(url + "/metrics").text == "ours"


async def test_a_root_path_of_the_application_is_ignored(watched: Watched) -> None:
    app = FastAPI()
    app.root_path = "/api"
    assert (await ask(app, "/metrics")).text == "ours"
    assert (await ask(app, "/api/metrics")).text == "ours"
    assert (await ask(app, "/apimetrics")).status_code == 404


async def test_a_page_can_be_removed(watched: Watched) -> None:
    server.unserve("/metrics")
    server.unserve("/metrics")
    assert (await ask(FastAPI(), "/metrics")).status_code == 404


@pytest.mark.parametrize("requests", ["contrib", "off"])
async def test_it_is_answered_with_each_instrumentation_of_requests(
    watch: Callable[..., Watched], requests: str
) -> None:
    watched = watch(requests=requests)
    assert (await ask(FastAPI(), "/metrics")).text == "ours"
    assert not watched.spans


@pytest.mark.quiet_guard
async def test_a_page_that_fails_is_a_500_and_raises_nothing(watched: Watched) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError

    server.serve("/metrics", broken)
    assert (await ask(FastAPI(), "/metrics")).status_code == 500
    assert _guard.swallowed() == {"answering with a page of ours": 1}
