"""The page and its API: a Starlette application behind the guard of `security`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from blogauto_otel.errors import FilterError, PlanError
from blogauto_otel.inspector import metrics, queries, services
from blogauto_otel.inspector.mcp_endpoint import PATH, McpEndpoint
from blogauto_otel.inspector.security import Guard
from blogauto_otel.inspector.state import Inspector

STATIC: Final = Path(__file__).parent / "static"
MEDIA_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2"}
CHANGE_SECONDS: Final = 0.25  # between two events of one stream
COMMENT_SECONDS: Final = 15.0

logger = logging.getLogger(__name__)


def build_app(inspector: Inspector, *, token: str, port: int) -> ASGIApp:
    """The application of the page.

    Args:
        inspector: what it shows.
        token: that requests carry.
        port: of the page, as in its address.
    """
    routes = [Route(path, _endpoint(inspector, answer)) for path, answer in ANSWERS.items()]
    routes += [
        Route("/", _index),
        Route("/assets/{name:path}", _asset),
        Route("/api/stream", _stream(inspector)),
        Route("/api/explain", _explain(inspector), methods=["POST"]),
        Route("/api/clear", _clear(inspector), methods=["POST"]),
    ]
    agents = McpEndpoint(inspector, port=port)
    routes.append(Route(PATH, agents, methods=["GET", "POST", "DELETE"]))

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await agents.stop()

    return Guard(Starlette(routes=routes, lifespan=lifespan), token=token, port=port)


# --- answers ---------------------------------------------------------------------------------------------------------

QueryHandler = Callable[[Inspector, Request], Any]


def _limit(request: Request) -> int:
    given = request.query_params.get("limit", "100")
    if not given.isdecimal():
        raise FilterError(f"limit={given}: expected a whole number")
    return int(given)


def _list(query: Callable[..., dict[str, Any]]) -> QueryHandler:
    def answer(inspector: Inspector, request: Request) -> Any:
        asked = request.query_params
        return query(inspector.store, asked.get("q", ""), limit=_limit(request), before=asked.get("before"))

    return answer


# None is answered by 404. They run in threads.
ANSWERS: Final[Mapping[str, QueryHandler]] = {
    "/api/requests": _list(queries.requests),
    "/api/logs": _list(queries.logs),
    "/api/traces/{trace_id}": lambda inspector, request: queries.trace(
        inspector.store, request.path_params["trace_id"].lower(), inspector.explainer
    ),
    "/api/endpoints": lambda inspector, request: queries.endpoints(inspector.store, request.query_params.get("since")),
    "/api/errors": lambda inspector, _: queries.errors(inspector.store),
    "/api/statements": lambda inspector, _: queries.statements(inspector.store, inspector.explainer),
    "/api/metrics": lambda inspector, _: metrics.metrics(inspector.store),
    "/api/metrics/{id}": lambda inspector, request: metrics.metric(inspector.store, request.path_params["id"]),
    "/api/services": lambda inspector, _: services.services(inspector.store),
    "/api/status": lambda inspector, _: inspector.status(),
}


def _endpoint(inspector: Inspector, answer: QueryHandler) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        try:
            found = answer(inspector, request)
        except FilterError as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"error": "not found"}, 404) if found is None else JSONResponse(found)

    return endpoint


def _index(_request: Request) -> Response:
    return FileResponse(STATIC / "index.html", media_type="text/html")


def _asset(request: Request) -> Response:
    """A file of the bundle; only names that the bundle has are opened."""
    name = request.path_params["name"]
    folder = STATIC / "assets"
    known = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    if name not in known:
        return JSONResponse({"error": "not found"}, 404)
    return FileResponse(known[name], media_type=MEDIA_TYPES.get(known[name].suffix, "application/octet-stream"))


def _explain(inspector: Inspector) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            asked = await request.json()
            ids = (bytes.fromhex(asked["trace_id"]), bytes.fromhex(asked["span_id"]))
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"error": 'expected {"trace_id": ..., "span_id": ...}'}, 400)
        from anyio import to_thread

        return JSONResponse(await to_thread.run_sync(_plan, inspector, *ids))

    return endpoint


def _plan(inspector: Inspector, trace_id: bytes, span_id: bytes) -> dict[str, str]:
    found = inspector.store.read(
        "SELECT system, text FROM spans JOIN traces ON traces.id = trace JOIN statements ON statements.id = statement"
        " WHERE trace_id = ? AND span_id = ?",
        (trace_id, span_id),
    )
    if not found:
        return {"error": "this span has no statement"}
    try:
        return {"plan": inspector.explainer.plan(*found[0])}
    except PlanError as error:
        return {"error": str(error)}


def _clear(inspector: Inspector) -> Callable[[Request], Response]:
    def endpoint(_request: Request) -> Response:
        inspector.store.clear()
        return Response(status_code=204)

    return endpoint


# --- events ----------------------------------------------------------------------------------------------------------


def _stream(inspector: Inspector) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(_request: Request) -> Response:
        return StreamingResponse(_events(inspector), media_type="text/event-stream")

    return endpoint


async def _events(inspector: Inspector) -> AsyncIterator[str]:
    """An event whenever the figures differ from those of the last one."""
    sent = _figures(inspector)
    yield f"event: hello\ndata: {json.dumps(sent)}\n\n"
    quiet = 0.0
    while not inspector.is_stopping:
        await asyncio.sleep(CHANGE_SECONDS)
        quiet += CHANGE_SECONDS
        now = _figures(inspector)
        if now != sent:
            sent, quiet = now, 0.0
            yield f"event: change\ndata: {json.dumps(now)}\n\n"
        elif quiet >= COMMENT_SECONDS:
            quiet = 0.0
            yield ": nothing new\n\n"


def _figures(inspector: Inspector) -> dict[str, int]:
    counts = inspector.store.counts()
    names = ("requests", "logs", "errors", "spans", "points")
    return {**{name: counts[name] for name in names}, "evicted": inspector.store.evicted_spans}
