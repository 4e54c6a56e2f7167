"""Our server spans and metrics beside contrib's for the same requests: every difference is in the table, intended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import ReadableSpan

from blogauto_otel.instrumentation import server
from testkit.recording import Recording
from testkit.requests import Watched, ask

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HEADERS = {"user-agent": "curl/8", "host": "shop.example:8443", "traceparent": PARENT}

# Attribute or part of a span or point -> why ours differs from contrib's.
WANTED: Mapping[str, str] = {
    "request.id": "contrib knows no request ids",
    "server.address": "contrib takes the socket's, port and all, for the name that the client used",
    "server.port": "contrib has it in the address",
    "client.port": "nobody asks for it, and the conventions do not ask for it either (opt-in)",
    "url.query": "contrib lets secrets out",
    "http.route": "contrib has the path's converters in it, loses the redirected, and stops at a mount",
    "name": "it has the route in it",
    "error.type": "contrib says the status where the exception is known",
    "metric attributes": "they have the route and the error in them",
    "duration": "contrib counts the background task with its request",
    "description": "contrib does not say which exception it was",
}
SLOW = 0.4  # seconds; more than a request takes on a busy machine


def application() -> FastAPI:
    app, inner, router = FastAPI(), FastAPI(), APIRouter(prefix="/api")

    @router.get("/things/{thing:int}")
    async def thing(thing: int) -> int:
        return thing

    @router.get("/plain/{thing}")
    async def plain(thing: str) -> str:
        return thing

    @router.get("/crash")
    async def crash() -> None:
        raise ZeroDivisionError("by zero")

    @router.get("/refused")
    async def refused() -> None:
        raise HTTPException(403)

    @router.get("/failed")
    async def failed() -> Response:
        return PlainTextResponse("failed", 502)

    @router.get("/handled")
    async def handled() -> None:
        raise LookupError

    _add_others(router)

    @inner.get("/leaf/{leaf}")
    async def leaf(leaf: str) -> str:
        return leaf

    @app.exception_handler(LookupError)
    async def handle(_: Any, error: Exception) -> Response:
        return PlainTextResponse("busy", 503)

    app.include_router(router)
    app.mount("/inner", inner)
    return app


def _add_others(router: APIRouter) -> None:
    @router.get("/task")
    async def task(tasks: BackgroundTasks) -> None:
        tasks.add_task(later)

    @router.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(chunks())


async def chunks() -> AsyncIterator[bytes]:
    yield b"1"
    yield b"2"


def later() -> None:
    time.sleep(SLOW)


REQUESTS = (
    "GET /api/plain/7",
    "GET /api/plain/7?page=2",
    "GET /api/plain/7?token=abcdefgh12345678",
    "GET /api/things/7",
    "GET /api/things/x",
    "POST /api/things/7",
    "HEAD /api/plain/7",
    "BREW /api/plain/7",
    "GET /api/plain/7/",
    "GET /nothing",
    "GET /inner/leaf/7",
    "GET /inner/nothing",
    "GET /api/crash",
    "GET /api/refused",
    "GET /api/failed",
    "GET /api/handled",
    "GET /api/task",
    "GET /api/stream",
    "GET /docs",
)


@dataclass(frozen=True)
class Recorded:
    """The span and the points of one request."""

    spans: list[ReadableSpan]
    points: Mapping[Any, float]
    seconds: float


def _recorded(recording: Recording) -> Recorded:
    metric: Any = recording.metrics["http.server.request.duration"]
    seconds = sum(point.sum for point in metric.data.data_points)
    return Recorded(recording.spans, recording.points(metric.name), seconds)


def by_ours(request: str) -> Recorded:
    watched = Watched(http_semconv_metrics=True)
    try:
        _ask(application(), request)
        return _recorded(watched)
    finally:
        server.uninstrument()


def by_contrib(request: str) -> Recorded:
    recording, app = Recording(), application()
    FastAPIInstrumentor.instrument_app(
        app, tracer_provider=recording.tracers, meter_provider=recording.meters, exclude_spans=["send", "receive"]
    )
    try:
        _ask(app, request)
        return _recorded(recording)
    finally:
        FastAPIInstrumentor.uninstrument_app(app)


def _ask(app: Any, request: str) -> None:
    method, path = request.split()
    asyncio.run(ask(app, path, method, headers=HEADERS))


def differences(request: str) -> set[str]:
    """The differences between the two for one request."""
    ours, theirs = by_ours(request), by_contrib(request)
    a, b = (parts(_server_span(recorded.spans)) for recorded in (ours, theirs))
    found = {key for key in a.keys() | b.keys() if a.get(key) != b.get(key)}
    if len(ours.spans) != len(theirs.spans):
        found.add("spans")
    if ours.points != theirs.points:
        found.add("metric attributes")
    if (ours.seconds < SLOW) != (theirs.seconds < SLOW):
        found.add("duration")
    return found


def _server_span(spans: list[ReadableSpan]) -> ReadableSpan:
    return next(span for span in spans if span.parent and span.parent.is_remote)


def parts(span: ReadableSpan) -> dict[str, object]:
    """The content of a server span, in a comparable form."""
    assert span.context is not None
    assert span.parent is not None
    return {
        **dict(span.attributes or {}),
        "name": span.name,
        "kind": span.kind,
        "status": span.status.status_code,
        "description": span.status.description,
        "events": [event.name for event in span.events],
        "trace": span.context.trace_id,
        "parent": span.parent.span_id,
    }


@pytest.fixture(scope="module")
def found() -> Mapping[str, set[str]]:
    """The differences, by request."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
        patch.setattr(_OpenTelemetrySemanticConventionStability, "_initialized", False)
        return {request: differences(request) for request in REQUESTS}


@pytest.mark.parametrize("request_", REQUESTS)
def test_what_differs_from_contrib_is_wanted(request_: str, found: Mapping[str, set[str]]) -> None:
    assert found[request_] <= WANTED.keys()


def test_every_wanted_difference_is_there(found: Mapping[str, set[str]]) -> None:
    assert set().union(*found.values()) == WANTED.keys()
