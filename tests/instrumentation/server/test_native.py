"""FastAPI's own telemetry is suppressed for instrumented requests, and untouched for all others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.util._once import Once
from starlette.applications import Starlette
from starlette.routing import Mount

from blogauto_otel.instrumentation.starlette import other_telemetry, patches
from testkit.requests import Watched, ask

records = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]


@pytest.fixture(autouse=True)
def _records() -> Iterator[None]:
    yield
    records.clear()


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[Watched], None]:
    """Make the providers global, which is what switches FastAPI's telemetry on."""

    def make_global(watched: Watched) -> None:
        loggers = LoggerProvider(shutdown_on_exit=False)
        loggers.add_log_record_processor(SimpleLogRecordProcessor(records))
        for module, name, provider in (
            (trace, "_TRACER_PROVIDER", watched.tracers),
            (metrics._internal, "_METER_PROVIDER", watched.meters),
            (_logs._internal, "_LOGGER_PROVIDER", loggers),
        ):
            monkeypatch.setattr(module, name, provider)
            monkeypatch.setattr(module, f"{name}_SET_ONCE", Once())

    return make_global


def application() -> FastAPI:
    app, inner = FastAPI(), FastAPI()

    @app.get("/x/{x}")
    async def x(x: int, tasks: BackgroundTasks) -> int:
        tasks.add_task(lambda: None)
        return 1 // x

    @inner.get("/leaf/{leaf}")
    async def leaf(leaf: int) -> int:
        return 1 // leaf

    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError

    app.mount("/inner", inner)
    return app


PATHS = ("/x/1", "/x/0", "/x/no", "/inner/leaf/1", "/inner/leaf/0", "/inner/leaf/no", "/broken", "/nothing")


@pytest.mark.parametrize("outer", [None, Starlette], ids=["FastAPI", "FastAPI in Starlette"])
async def test_nothing_is_reported_twice_in_any_signal(
    watched: Watched, install: Callable[[Watched], None], outer: Any
) -> None:
    install(watched)
    app: Any = application() if outer is None else Starlette(routes=[Mount("", application())])
    for path in PATHS:
        await ask(app, path)
    scopes = {span.instrumentation_scope.name for span in watched.spans if span.instrumentation_scope}
    assert scopes == {"blogauto_otel.http"}
    assert len([span for span in watched.spans if not span.name.startswith("background")]) == len(PATHS)
    assert all(name.startswith("blogauto.") for name in watched.metrics)
    assert records.get_finished_logs() == ()


async def test_the_key_is_gone_after_the_request(watched: Watched) -> None:
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/x/1", "query_string": b"", "headers": []}
    keys = set(scope)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        assert scope[other_telemetry.NATIVE_KEY] is None

    await application()(scope, receive, send)
    assert other_telemetry.NATIVE_KEY not in scope
    assert not any("blogauto" in key for key in set(scope) - keys)


async def test_it_is_suppressed_for_contrib(watch: Callable[..., Watched], install: Callable[[Watched], None]) -> None:
    watched = watch(requests="contrib")
    install(watched)
    import fastapi

    app = fastapi.FastAPI()
    app.get("/x")(lambda: "x")
    await ask(app, "/x")
    assert watched.names == ["GET /x"]


def test_a_fastapi_without_telemetry_of_its_own_needs_no_suppression() -> None:
    class Older:
        def __init__(self, openapi_url: str | None) -> None:
            assert openapi_url is None

    assert other_telemetry.native_is_suppressed(Older, FastAPI.__call__, {})


def test_a_fastapi_whose_telemetry_cannot_be_suppressed_is_logged(
    watch: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(other_telemetry, "native_is_suppressed", lambda *_: False)
    watch()
    assert "requests are reported twice" in caplog.text
    assert patches._state.originals


if hasattr(FastAPI(), "_native_telemetry"):  # FastAPI 0.142 and later

    async def test_it_reports_requests_that_we_do_not_instrument(
        watch: Callable[..., Watched], install: Callable[[Watched], None]
    ) -> None:
        watched = watch(requests="off")
        install(watched)
        await ask(application(), "/x/no")
        assert "http.server.request.duration" in watched.metrics
        assert len(records.get_finished_logs()) == 1

    def test_its_suppression_is_tested_at_start() -> None:
        call = FastAPI.__call__
        assert other_telemetry.native_is_suppressed(FastAPI, call, {other_telemetry.NATIVE_KEY: None})
        assert not other_telemetry.native_is_suppressed(FastAPI, call, {})
