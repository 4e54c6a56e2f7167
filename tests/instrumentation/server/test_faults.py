"""Whatever fails in our code, the request is answered as without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException, WebSocket
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from starlette.responses import StreamingResponse

from blogauto_otel import _guard
from blogauto_otel.api.context import current_request_id
from blogauto_otel.instrumentation.server import attributes, instrumentation, request
from blogauto_otel.instrumentation.server import metrics as server_metrics
from blogauto_otel.instrumentation.server.deferred import DeferredSpans
from blogauto_otel.instrumentation.server.headers import Headers
from blogauto_otel.instrumentation.server.instrumentation import state
from blogauto_otel.instrumentation.server.metrics import CounterStore
from blogauto_otel.instrumentation.server.routes import RouteTracker
from blogauto_otel.instrumentation.starlette import background
from blogauto_otel.redaction import Redactor
from testkit.requests import Watched, ask

pytestmark = pytest.mark.quiet_guard


class BrokenError(Exception):
    """An error of our code."""


def broken(*_: Any, **__: Any) -> Any:
    raise BrokenError


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/x/{x}")
    async def x(x: int, tasks: BackgroundTasks) -> float:
        tasks.add_task(lambda: None)
        return 1 / x

    @app.get("/refused")
    async def refused() -> None:
        raise HTTPException(403, "no")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter([b"1", b"2"]))

    inside = FastAPI()
    inside.get("/y")(lambda: "y")
    app.mount("/mounted", inside)

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    return app


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
# The answers, whatever fails: path, status, body.
ANSWERS = {
    "/x/2?token=1": (200, "0.5"),
    "/x/no": (422, None),
    "/refused": (403, '{"detail":"no"}'),
    "/stream": (200, "12"),
    "/mounted/y": (200, '"y"'),
    "/nothing": (404, '{"detail":"Not Found"}'),
    "/x/1/": (307, ""),
    "/x/0": (500, "Internal Server Error"),
}

PARTS: dict[str, tuple[Any, str]] = {
    "headers": (instrumentation, "new_request_id"),
    "trace context": (Headers, "incoming"),
    "attributes for sampling": (attributes, "for_sampling"),
    "attributes of the request": (attributes, "of_client"),
    "attributes of the response": (attributes, "of_response"),
    "redactor": (Redactor, "query"),
    "scope": (request.Request, "enter"),
    "span in context": (instrumentation, "OtelContext"),
    "entering": (request, "attach_context"),
    "leaving": (request.Request, "_step_out"),
    "classifying": (request.Request, "classify"),
    "reading a response": (request.Request, "match_template"),
    "adding a header": (request.Request, "_started"),
    "naming": (request.Request, "span_name"),
    "releasing": (request.Request, "release"),
    "template": (RouteTracker, "find_template"),
    "classifying a failure": (request.Request, "_classify_failure"),
    "recording a mount": (RouteTracker, "enter_mount"),
    "redirect": (RouteTracker, "redirect_target"),
    "counters": (CounterStore, "add"),
    "recording": (server_metrics.RequestMetrics, "record"),
    "errors": (server_metrics.RequestMetrics, "count_error"),
    "failing": (instrumentation.ServerInstrumentation, "_count_error"),
    "background name": (background, "_span_name"),
}


@pytest.mark.parametrize("part", PARTS)
async def test_a_request_is_answered_when_a_part_of_ours_fails(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr(*PARTS[part], broken)
    app = application()
    for path, (status, body) in ANSWERS.items():
        response = await ask(app, path, headers={"traceparent": TRACE})
        assert response.status_code == status, path
        assert body is None or response.text == body, path
    assert _guard.swallowed()
    assert not any(watched.in_progress().values())


@pytest.mark.parametrize("part", PARTS)
async def test_the_applications_exception_is_unchanged_when_a_part_of_ours_fails(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr(*PARTS[part], broken)
    with pytest.raises(ZeroDivisionError) as raised:
        await _call(application(), {"type": "http", "method": "GET", "path": "/x/0"})
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


@pytest.mark.parametrize("part", PARTS)
async def test_a_websocket_is_served_when_a_part_of_ours_fails(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr(*PARTS[part], broken)
    sent = await _call(application(), {"type": "websocket", "path": "/ws"})
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]


async def test_a_request_is_answered_when_its_deferred_span_cannot_be_written(
    watch: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = watch(sampler=ALWAYS_OFF)
    monkeypatch.setattr(DeferredSpans, "write", broken)
    assert (await ask(application(), "/x/0")).status_code == 500
    assert watched.requests() == {("GET", "/x/{x}", "500"): 1}
    assert _guard.swallowed() == {"ending the span of a request": 1}


class BrokenSpan(trace.NonRecordingSpan):
    def __getattribute__(self, name: str) -> Any:
        if name in {"is_recording", "set_attributes", "end", "update_name", "set_status", "record_exception"}:
            return broken
        return super().__getattribute__(name)


class BrokenTracer:
    start_span = broken


class TracerOfBrokenSpans:
    def start_span(self, *_: Any, **__: Any) -> BrokenSpan:
        return BrokenSpan(trace.INVALID_SPAN_CONTEXT)


@pytest.mark.parametrize("tracer", [BrokenTracer(), TracerOfBrokenSpans()], ids=lambda tracer: type(tracer).__name__)
async def test_with_a_broken_tracer_requests_are_still_counted(watched: Watched, tracer: Any) -> None:
    assert state.active is not None
    state.active.tracer = tracer
    app = application()
    for path, (status, _) in ANSWERS.items():
        assert (await ask(app, path)).status_code == status
    assert sum(watched.requests().values()) == len(ANSWERS)
    assert watched.errors()["ZeroDivisionError", "/x/{x}"] == 1


async def test_with_broken_metrics_there_are_still_spans(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    assert state.active is not None
    monkeypatch.setattr(state.active.metrics, "_durations", None)
    await ask(application(), "/refused")
    assert watched.names == ["GET /refused"]


@pytest.mark.parametrize("part", ["scope", "leaving", "entering"])
async def test_no_context_remains_after_the_request(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    app = application()
    with monkeypatch.context() as patching:
        if part != "leaving":
            patching.setattr(*PARTS[part], broken)
        await ask(app, "/refused")
    assert current_request_id() is None
    assert not trace.get_current_span().get_span_context().is_valid
    assert request.current() is None


def test_a_provider_that_fails_is_a_broken_instrumentation(watch: Callable[..., Watched]) -> None:
    import dataclasses

    from blogauto_otel.instrumentation.registry import State, _instrument

    watched = watch(instrument=False)
    context = dataclasses.replace(watched.context, meter_provider=BrokenTracer())  # type: ignore[arg-type]
    assert _instrument("asgi", "blogauto_otel.instrumentation.server", context).state is State.BROKEN


async def _call(app: Any, scope: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    kind = {"http": "http.request", "websocket": "websocket.connect"}[scope["type"]]

    async def receive() -> dict[str, Any]:
        return {"type": kind}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(
        {"query_string": b"", "headers": [(b"traceparent", TRACE.encode())], "asgi": {"spec_version": "2.4"}, **scope},
        receive,
        send,
    )
    return sent
