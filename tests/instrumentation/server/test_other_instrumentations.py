"""Other instrumentations of the same requests: one server span and one id, and the status says whose."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as ContribMiddleware
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from opentelemetry.util._once import Once
from starlette.applications import Starlette
from starlette.routing import Mount

from blogauto_otel.api.context import current_request_id
from blogauto_otel.instrumentation import server
from blogauto_otel.instrumentation.server import hooks
from blogauto_otel.instrumentation.server.instrumentation import state
from blogauto_otel.instrumentation.starlette import patches
from testkit.requests import Watched, ask

try:
    from starlette.middleware.opentelemetry import OpenTelemetryMiddleware as StarletteMiddleware
except ImportError:  # before Starlette 1.10
    StarletteMiddleware = None  # type: ignore[assignment,misc]

MIDDLEWARES = {"contrib": ContribMiddleware, "Starlette": StarletteMiddleware}
PRESENT = [pytest.param(kind, id=name) for name, kind in MIDDLEWARES.items() if kind is not None]


class OwnProvider:
    """A tracer provider of the application's."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def finished(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    @property
    def spans(self) -> list[ReadableSpan]:
        return [span for span in self.finished if span.kind is SpanKind.SERVER]


@pytest.fixture
def own() -> OwnProvider:
    return OwnProvider()


@pytest.fixture
def installed(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Our provider is the global one, which is what the others use."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", watched.tracers)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    return watched


Contrib = Callable[..., None]


@pytest.fixture
def contrib() -> Iterator[Contrib]:
    """contrib's `instrument_app`, undone after the test: it patches background tasks of the whole process."""
    apps: list[FastAPI] = []

    def instrument(app: FastAPI, **options: Any) -> None:
        FastAPIInstrumentor.instrument_app(app, **options)
        apps.append(app)

    yield instrument
    for app in apps:
        FastAPIInstrumentor.uninstrument_app(app)


def application(**options: Any) -> FastAPI:
    app = FastAPI(**options)

    @app.get("/x/{x}")
    async def x(x: int) -> float:
        return 1 / x

    return app


def detail() -> str:
    report = server.report()
    return "" if report is None else report.detail


async def test_contribs_instrument_app_left_in_the_code(installed: Watched, contrib: Contrib) -> None:
    app = application()
    contrib(app, server_request_hook=lambda span, _: span.set_attribute("by", "contrib"))
    await ask(app, "/x/1")
    assert installed.names == ["GET /x/{x}"]
    assert installed.span.attributes is not None
    assert installed.span.attributes["by"] == "contrib"
    assert not any(name.startswith("http.server") for name in installed.metrics)
    assert "opentelemetry.instrumentation.asgi.OpenTelemetryMiddleware is passed over" in detail()


async def test_contribs_instrument_app_records_no_second_exception(installed: Watched, contrib: Contrib) -> None:
    app = application()
    contrib(app)
    await ask(app, "/x/0")
    assert [event.name for event in installed.span.events] == ["exception"]


async def test_contrib_with_a_provider_of_its_own_keeps_working(
    installed: Watched, own: OwnProvider, contrib: Contrib
) -> None:
    app = application()
    contrib(app, tracer_provider=own.provider)
    await ask(app, "/x/1")
    assert installed.names == ["GET /x/{x}"]
    assert own.provider is not installed.tracers
    assert len(own.finished) > 0


@pytest.mark.parametrize("kind", PRESENT)
async def test_a_middleware_within_the_application(installed: Watched, kind: Any) -> None:
    app = application()
    app.add_middleware(kind)
    await ask(app, "/x/1")
    assert installed.names == ["GET /x/{x}"]
    assert "is passed over" in detail()


@pytest.mark.parametrize("kind", PRESENT)
async def test_a_middleware_around_the_application(installed: Watched, kind: Any) -> None:
    options = {"exclude_spans": ["send", "receive"]} if kind is ContribMiddleware else {}
    response = await ask(kind(application(), **options), "/x/1")
    [span] = installed.spans
    assert span.kind is SpanKind.SERVER
    assert span.attributes is not None
    assert span.attributes["request.id"] == response.headers["x-request-id"]
    assert installed.requests() == {("GET", "/x/{x}", "200"): 1}
    assert "makes the server spans, around the application" in detail()


if StarletteMiddleware is not None:

    async def test_starlettes_middleware_with_a_provider_of_its_own_keeps_working(
        installed: Watched, own: OwnProvider
    ) -> None:
        app = application()
        app.add_middleware(StarletteMiddleware, tracer_provider=own.provider)
        await ask(app, "/x/1")
        assert len(own.spans) == 1
        assert installed.names == ["GET /x/{x}"]


if hasattr(FastAPI(), "_native_telemetry"):  # FastAPI 0.142 and later

    @pytest.mark.parametrize("kind", ["tracer_provider", "meter_provider"])
    async def test_a_provider_given_to_fastapi_keeps_working(installed: Watched, own: OwnProvider, kind: str) -> None:
        reader = InMemoryMetricReader()
        given = {"tracer_provider": own.provider, "meter_provider": MeterProvider([reader], shutdown_on_exit=False)}
        app = application(telemetry={kind: given[kind], "operation_spans": False, "logs": False})
        response = await ask(app, "/x/1")
        spans = own.spans if kind == "tracer_provider" else installed.spans
        assert [span.name for span in spans] == ["GET /x/{x}"]
        assert len(installed.spans) == (0 if kind == "tracer_provider" else 1)
        assert installed.requests() == {("GET", "/x/{x}", "200"): 1}
        assert "x-request-id" in response.headers
        assert "FastAPI(telemetry=...) makes the server spans" in detail()
        assert kind == "tracer_provider" or reader.get_metrics_data() is not None

    async def test_fastapi_with_a_provider_for_metrics_only_leaves_the_spans_to_us(installed: Watched) -> None:
        reader = InMemoryMetricReader()
        meters = MeterProvider([reader], shutdown_on_exit=False)
        app = application(telemetry={"meter_provider": meters, "tracing": False, "logs": False})
        await ask(app, "/x/1")
        assert installed.names == ["GET /x/{x}"]
        assert reader.get_metrics_data() is not None

    async def test_our_own_provider_given_to_fastapi_changes_nothing(installed: Watched) -> None:
        app = application(telemetry={"tracer_provider": installed.tracers})
        await ask(app, "/x/1")
        assert installed.names == ["GET /x/{x}"]
        assert detail() == ""

    async def test_a_mounted_application_with_a_provider_keeps_it(installed: Watched, own: OwnProvider) -> None:
        app = application(telemetry={"tracer_provider": own.provider, "operation_spans": False, "logs": False})
        await ask(Starlette(routes=[Mount("/in", app)]), "/in/x/1")
        assert len(own.spans) == 1
        assert installed.names == ["GET /in/x/{x}"]

    async def test_a_background_task_has_the_span_of_the_provider_given_to_fastapi(
        installed: Watched, own: OwnProvider
    ) -> None:
        seen: list[Any] = []
        app = application(telemetry={"tracer_provider": own.provider, "logs": False})

        @app.get("/task")
        async def task(tasks: BackgroundTasks) -> None:
            tasks.add_task(lambda: seen.append(trace.get_current_span().get_span_context()))

        await ask(app, "/task")
        [span] = [span for span in own.finished if span.name == "fastapi.background_task"]
        assert seen == [span.context]
        assert installed.names == []

    async def test_a_failed_background_task_is_reported_with_that_span(installed: Watched, own: OwnProvider) -> None:
        reported: list[Any] = []
        app = application(telemetry={"tracer_provider": own.provider, "logs": False})

        def fail() -> None:
            raise ZeroDivisionError

        @app.get("/task")
        async def task(tasks: BackgroundTasks) -> None:
            tasks.add_task(fail)

        def report(error: BaseException, span: Any) -> None:
            reported.append((type(error), span.name))

        hooks.on_request_error(report)
        try:
            await ask(app, "/task")
        finally:
            hooks.remove_on_request_error(report)
        assert reported == [(ZeroDivisionError, "fastapi.background_task")]

    async def test_what_fastapi_excludes_stays_within_the_span_around_it(installed: Watched, own: OwnProvider) -> None:
        inner = application(telemetry={"tracer_provider": own.provider, "logs": False, "exclude": lambda _: True})
        seen: list[Any] = []

        @inner.get("/within")
        async def within() -> None:
            seen.append(trace.get_current_span().get_span_context())

        with installed.tracer.start_as_current_span("around") as span:
            await ask(inner, "/within")
        assert seen == [span.get_span_context()]
        assert own.finished == ()

    @pytest.mark.parametrize("outermost", [FastAPI, Starlette])
    async def test_what_fastapi_excludes_is_excluded_in_mounted_applications(
        installed: Watched, own: OwnProvider, outermost: Any
    ) -> None:
        telemetry: Any = {"tracer_provider": own.provider, "logs": False}
        excluding: Any = {**telemetry, "exclude": lambda scope: scope["path"].endswith("/x/1")}
        app = FastAPI(telemetry=excluding)
        app.mount("/in", application(telemetry=telemetry))
        served = app if outermost is FastAPI else Starlette(routes=[Mount("", app)])
        await ask(served, "/in/x/1")
        assert own.finished == ()
        await ask(served, "/in/x/2")
        assert [span.name for span in own.spans] == ["GET /in/x/{x}"]


async def test_a_request_within_a_request_has_its_own_server_span(installed: Watched) -> None:
    inner, outer = application(), FastAPI()

    @outer.get("/outer")
    async def call() -> None:
        await ask(inner, "/x/1")

    await ask(outer, "/outer")
    assert sorted(installed.names) == ["GET /outer", "GET /x/{x}"]


def test_without_others_there_is_no_new_report(watched: Watched) -> None:
    assert server.report() is None


# --- asgi-correlation-id ----------------------------------------------------------------------------------------------


correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)


@dataclass
class CorrelationIdMiddleware:
    """As that of asgi-correlation-id: it chooses an id, sets the variable, and adds a header to the response."""

    app: Any
    generator: Callable[[], str]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        correlation_id.set(self.generator())

        async def send_with_header(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-request-id", str(correlation_id.get()).encode()))
            await send(message)

        await self.app(scope, receive, send_with_header)


@pytest.fixture
def _correlation(watch: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package is imported, as far as our part sees it."""
    package, context = (
        types.ModuleType("asgi_correlation_id.middleware"),
        types.ModuleType("asgi_correlation_id.context"),
    )
    package.CorrelationIdMiddleware = CorrelationIdMiddleware  # type: ignore[attr-defined]
    context.correlation_id = correlation_id  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "asgi_correlation_id.context", context)
    watch()
    [patch] = [patch for patch in patches.OTHERS if patch.module == "asgi_correlation_id.middleware"]
    patches._patch(patch, package)
    yield
    server.uninstrument()


@pytest.mark.usefixtures("_correlation")
@pytest.mark.parametrize("chosen", ["chosen-1", "not well-formed: " + "x" * 200])
async def test_the_id_that_the_middleware_chooses_is_the_only_one(watch: Callable[..., Watched], chosen: str) -> None:
    app, seen = FastAPI(), []

    @app.get("/")
    async def answer() -> None:
        seen.append(current_request_id())

    app.add_middleware(CorrelationIdMiddleware, generator=lambda: chosen)
    watched = Watched(instrument=False)
    assert state.active is not None
    state.active.tracer = watched.tracers.get_tracer("blogauto_otel.http")
    response = await ask(app, "/")
    assert response.headers["x-request-id"] == chosen
    assert watched.span.attributes is not None
    ids = {seen[0], watched.span.attributes["request.id"]}
    assert len(ids) == 1
    assert (ids == {chosen}) is (chosen == "chosen-1")
