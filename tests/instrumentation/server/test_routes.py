"""Every request is recorded under the template of its route, whatever the application is built of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles

from testkit.requests import Watched, ask, client_of


async def answer(request: Request) -> Response:
    return PlainTextResponse("yes")


class Page(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return PlainTextResponse("page")


def fastapi_application() -> FastAPI:
    """Routers in routers, mounts in mounts, an application in the application."""
    app = FastAPI()
    articles, comments = APIRouter(prefix="/articles"), APIRouter(prefix="/{article}/comments")

    @articles.get("/{article:int}")
    async def article(article: int) -> int:
        return article

    @articles.get("/feed", response_class=PlainTextResponse)
    async def feed() -> str:
        return "feed"

    @comments.get("/{comment}")
    def comment(article: int, comment: int) -> int:
        return comment

    @comments.post("/{comment}/flags")
    async def flag(article: int, comment: int, reason: str) -> str:
        return reason

    articles.include_router(comments)
    app.include_router(articles, prefix="/api/v1")

    inner, deepest = FastAPI(), FastAPI()

    @inner.get("/leaf/{leaf}")
    async def leaf(leaf: str) -> str:
        return leaf

    @deepest.get("/leaf/{leaf}")
    async def deep_leaf(leaf: str) -> str:
        return leaf

    inner.mount("/deeper/{level}", deepest)
    app.mount("/inner", inner)
    app.mount(
        "/old", Starlette(routes=[Route("/page/{number}", answer), Mount("/down", routes=[Route("/{x}", answer)])])
    )
    app.mount("/foreign", PlainTextResponse("foreign"))
    app.router.routes.append(Route("/plain/{name}", answer))

    @app.get("/")
    async def root() -> str:
        return "root"

    return app


FASTAPI = {
    "GET /": "/",
    "GET /api/v1/articles/7": "/api/v1/articles/{article}",
    "GET /api/v1/articles/feed": "/api/v1/articles/feed",
    "GET /api/v1/articles/7/comments/8": "/api/v1/articles/{article}/comments/{comment}",
    "GET /api/v1/articles/x/comments/8": "/api/v1/articles/{article}/comments/{comment}",  # 422
    "POST /api/v1/articles/7/comments/8/flags": "/api/v1/articles/{article}/comments/{comment}/flags",  # 422
    "DELETE /api/v1/articles/7": "/api/v1/articles/{article}",  # 405
    "HEAD /api/v1/articles/7": "/api/v1/articles/{article}",  # 405
    "GET /api/v1/articles/7/": "/api/v1/articles/{article}",  # 307
    "GET /inner/leaf/1": "/inner/leaf/{leaf}",
    "GET /inner/leaf/1/": "/inner/leaf/{leaf}",  # 307 inside the mounted application
    "GET /inner/nothing": "unmatched",
    "GET /inner": "/inner/{path}",  # 307 to the mount
    "GET /inner/deeper/3/leaf/1": "/inner/deeper/{level}/leaf/{leaf}",
    "GET /old/page/1": "/old/page/{number}",
    "GET /old/down/1": "/old/down/{x}",
    "GET /old/nothing": "unmatched",
    "GET /foreign/any/thing": "/foreign/{path}",
    "GET /plain/me": "/plain/{name}",
    "GET /openapi.json": "/openapi.json",
    "GET /docs": "/docs",
    "GET /nothing": "unmatched",
    "GET /nothing/": "unmatched",
    "POST /nothing": "unmatched",
}


@pytest.mark.parametrize(("asked", "endpoint"), FASTAPI.items(), ids=str)
async def test_a_fastapi_request_is_recorded_under_its_full_template(
    watched: Watched, asked: str, endpoint: str
) -> None:
    method, path = asked.split()
    response = await ask(fastapi_application(), path, method)
    assert watched.requests() == {(method, endpoint, str(response.status_code)): 1}
    route = None if endpoint == "unmatched" else endpoint
    assert watched.span.attributes is not None
    assert watched.span.attributes.get("http.route") == route
    assert watched.span.name == (f"{method} {route}" if route else method)


def starlette_application(folder: Path) -> Starlette:
    (folder / "site.css").write_text("body {}")
    return Starlette(
        routes=[
            Route("/articles/{article:int}", answer, methods=["GET", "POST"]),
            Route("/page", Page),
            Mount("/files", StaticFiles(directory=folder)),
            Mount("/tenants/{tenant}", routes=[Route("/users/{user}", answer)]),
            Mount("/router", Router([Route("/{x:path}", answer)])),
            Host("api.test", Router([Route("/only-here", answer)])),
        ]
    )


STARLETTE = {
    "GET /articles/7": "/articles/{article}",
    "HEAD /articles/7": "/articles/{article}",
    "PUT /articles/7": "/articles/{article}",  # 405
    "GET /articles/7/": "/articles/{article}",  # 307
    "GET /page": "/page",
    "DELETE /page": "/page",  # 405 by the endpoint class
    "GET /files/site.css": "/files/{path}",
    "GET /files/nothing.css": "/files/{path}",
    "GET /tenants/acme/users/7": "/tenants/{tenant}/users/{user}",
    "GET /tenants/acme/nothing": "unmatched",
    "GET /router/a/b/c": "/router/{x}",
    "GET /only-here": "unmatched",
}


@pytest.mark.parametrize(("asked", "endpoint"), STARLETTE.items(), ids=str)
async def test_a_starlette_request_is_recorded_under_its_full_template(
    watched: Watched, tmp_path: Path, asked: str, endpoint: str
) -> None:
    method, path = asked.split()
    response = await ask(starlette_application(tmp_path), path, method)
    assert watched.requests() == {(method, endpoint, str(response.status_code)): 1}


async def test_a_route_below_a_host_is_recorded_without_the_host(watched: Watched, tmp_path: Path) -> None:
    await ask(starlette_application(tmp_path), "/only-here", headers={"host": "api.test"})
    assert watched.requests() == {("GET", "/only-here", "200"): 1}


async def test_a_mount_without_a_path_adds_none(watched: Watched) -> None:
    app = Starlette(routes=[Mount("", routes=[Route("/page/{x}", answer)])])
    await ask(app, "/page/7")
    await ask(app, "/nothing")
    assert set(watched.requests()) == {("GET", "/page/{x}", "200"), ("GET", "unmatched", "404")}


async def test_a_middleware_that_copies_the_scope_hides_no_route(watched: Watched) -> None:
    class Copying:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(dict(scope), receive, send)

    app = Starlette(routes=[Route("/{x}", answer)], middleware=[Middleware(Copying)])
    await ask(app, "/7")
    fast = fastapi_application()
    fast.add_middleware(Copying)
    await ask(fast, "/api/v1/articles/7")
    await ask(fast, "/inner/leaf/1/")
    assert watched.requests() == {
        ("GET", "/{x}", "200"): 1,
        ("GET", "/api/v1/articles/{article}", "200"): 1,
        ("GET", "/inner/leaf/{leaf}", "307"): 1,
    }


async def test_a_response_made_before_routing_is_unmatched(watched: Watched) -> None:
    class Refusing:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await JSONResponse({"detail": "no"}, 403)(scope, receive, send)

    app = FastAPI()
    app.add_middleware(Refusing)
    await ask(app, "/secret/path/7")
    assert watched.requests() == {("GET", "unmatched", "403"): 1}


async def test_an_unknown_method_is_counted_as_other(watched: Watched) -> None:
    app = Starlette(routes=[Route("/", answer)])
    for method in ("BREW", "PROPFIND"):
        await ask(app, "/", method)
    assert {method for method, _, _ in watched.requests()} == {"_OTHER"}
    span = watched.spans[0]
    assert span.name == "HTTP /"
    assert span.attributes is not None
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "BREW"


async def test_many_unknown_paths_hosts_and_agents_make_no_series(watched: Watched) -> None:
    app = fastapi_application()
    async with client_of(app) as asking:
        for number in range(60):
            headers = {"host": f"h{number}.example", "user-agent": f"agent {number}"}
            await asking.get(f"/{number}", headers=headers)
            await asking.get(f"/api/v1/articles/{number}", headers=headers)
    assert set(watched.requests()) == {
        ("GET", "unmatched", "404"),
        ("GET", "/api/v1/articles/{article}", "200"),
    }
    assert len(watched.durations()) == 2


if hasattr(FastAPI, "frontend"):  # not in the oldest FastAPI we support

    async def test_front_end_files_are_recorded_under_their_folder(watched: Watched, tmp_path: Path) -> None:
        (tmp_path / "index.html").write_text("<html></html>")
        (tmp_path / "app.js").write_text("1")
        app, router = FastAPI(), APIRouter()
        app.frontend("/site", directory=tmp_path)
        router.frontend("/files", directory=tmp_path)
        app.include_router(router, prefix="/all")
        for path in ("/site/app.js", "/site/no/such", "/all/files/app.js"):
            await ask(app, path)
        assert watched.requests() == {
            ("GET", "/site/{path}", "200"): 1,
            ("GET", "/site/{path}", "404"): 1,
            ("GET", "/all/files/{path}", "200"): 1,
        }


async def test_the_endpoint_is_known_while_the_request_runs(watched: Watched) -> None:
    app = FastAPI()
    seen: list[dict[tuple[str, str], float]] = []

    @app.get("/slow/{x}")
    async def slow(x: int) -> int:
        seen.append(watched.in_progress())
        return x

    await ask(app, "/slow/1")
    assert seen == [{("GET", "/slow/{x}"): 1}]
    assert watched.in_progress() == {("GET", "/slow/{x}"): 0}


async def test_a_request_in_a_middleware_is_in_progress_as_unmatched(watched: Watched) -> None:
    seen: list[dict[tuple[str, str], float]] = []
    app = FastAPI()

    @app.middleware("http")
    async def hold(request: Request, call_next: Any) -> Response:
        seen.append(watched.in_progress())
        response: Response = await call_next(request)
        return response

    @app.get("/x")
    async def x() -> None:
        raise HTTPException(404)

    await ask(app, "/x")
    assert seen == [{("GET", "unmatched"): 1}]
    assert watched.in_progress() == {("GET", "unmatched"): 0, ("GET", "/x"): 0}


async def test_a_stream_is_in_progress_until_its_last_byte_and_a_background_task_is_not(watched: Watched) -> None:
    from starlette.background import BackgroundTask
    from starlette.responses import StreamingResponse

    seen: list[float] = []

    async def chunks() -> AsyncIterator[bytes]:
        yield b"1"
        seen.append(watched.in_progress()["GET", "/stream"])
        yield b"2"

    def later() -> None:
        seen.append(watched.in_progress()["GET", "/stream"])

    async def stream(request: Request) -> Response:
        return StreamingResponse(chunks(), background=BackgroundTask(later))

    await ask(Starlette(routes=[Route("/stream", stream)]), "/stream")
    assert seen == [1, 0]
