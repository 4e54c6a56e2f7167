"""An error handled and reported in an unsampled request: the request's span is exported, and the report names it."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI
from opentelemetry import trace
from opentelemetry.context import attach

from blogauto_otel.testing import Captured, capture_telemetry
from testkit.requests import ask

log = logging.getLogger("shop")
tracer = trace.get_tracer("shop")


def report() -> None:
    try:
        raise ValueError("out of stock")
    except ValueError:
        log.exception("it failed")


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/in-the-request")
    async def in_the_request() -> None:
        report()

    @app.get("/in-a-span")
    def in_a_span() -> None:
        with tracer.start_as_current_span("inner"):
            report()

    @app.get("/in-a-background-task")
    async def in_a_background_task(tasks: BackgroundTasks) -> None:
        tasks.add_task(report)

    @app.get("/in-a-task-that-outlives-it")
    async def in_a_task() -> None:
        async def later() -> None:
            await asyncio.sleep(0)
            await app.state.is_over.wait()
            report()

        app.state.task = asyncio.create_task(later())

    @app.get("/crash")
    def crash() -> None:
        with tracer.start_as_current_span("inner"):
            report()
        with tracer.start_as_current_span("inner"):
            raise KeyError("gone")

    @app.get("/no-exception")
    async def no_exception() -> None:
        log.error("only a message")
        log.warning("handled", exc_info=ValueError("x"))

    @app.get("/health")
    async def health() -> None:
        report()

    return app


def spans_and_ids(telemetry: Captured) -> tuple[list[tuple[str, int]], list[int | None]]:
    """Exported spans with their ids, and the span ids of the error records."""
    spans = [(span.name, span.context.span_id) for span in telemetry.spans if span.context is not None]
    records = [record.log_record for record in telemetry.logs if record.log_record.body == "it failed"]
    return spans, [record.span_id for record in records]


@pytest.mark.parametrize("path", ["/in-the-request", "/in-a-span", "/in-a-background-task"])
async def test_the_server_span_is_exported_and_the_log_record_names_it(path: str) -> None:
    with capture_telemetry(sample_rate=0.0) as telemetry:
        assert (await ask(application(), path)).status_code == 200
        spans, records = spans_and_ids(telemetry)
        (span,) = telemetry.spans
    assert spans == [(f"GET {path}", records[0])]
    assert span.attributes is not None
    assert span.attributes["blogauto.sampling.reason"] == "error"
    assert span.attributes["http.response.status_code"] == 200
    assert span.status.is_unset, "the request itself succeeded"


async def test_a_task_that_outlives_the_request_reports_to_its_span_too() -> None:
    app = application()
    app.state.is_over = asyncio.Event()
    with capture_telemetry(sample_rate=0.0) as telemetry:
        await ask(app, "/in-a-task-that-outlives-it")
        assert not telemetry.spans
        app.state.is_over.set()
        await app.state.task
        spans, records = spans_and_ids(telemetry)
        (span,) = telemetry.spans
    assert spans == [("GET /in-a-task-that-outlives-it", records[0])]
    assert span.attributes is not None
    assert span.attributes["url.path"] == "/in-a-task-that-outlives-it"


async def test_a_request_that_reports_and_crashes_has_one_span() -> None:
    with capture_telemetry(sample_rate=0.0) as telemetry:
        assert (await ask(application(), "/crash")).status_code == 500
        spans, records = spans_and_ids(telemetry)
    assert spans == [("GET /crash", records[0])]


async def test_the_server_logs_a_crash_with_a_span_that_exists() -> None:
    """The inner span that the exception ended was not sampled: the record names the request's."""
    with capture_telemetry(sample_rate=0.0) as telemetry:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application()), base_url="http://test") as client:
            with pytest.raises(KeyError) as raised:
                await client.get("/crash")
        logging.getLogger("uvicorn.error").error("Exception in ASGI application", exc_info=raised.value)
        (span,) = telemetry.spans
        (record,) = [r.log_record for r in telemetry.logs if r.log_record.body == "Exception in ASGI application"]
    assert span.context is not None
    assert (record.trace_id, record.span_id) == (span.context.trace_id, span.context.span_id)


@pytest.mark.parametrize("path", ["/no-exception", "/health"])
async def test_without_an_exception_or_on_an_untraced_route_there_is_no_span(path: str) -> None:
    with capture_telemetry(sample_rate=0.0) as telemetry:
        await ask(application(), path)
        assert not telemetry.spans


@pytest.mark.parametrize("path", ["/in-a-span", "/crash", "/in-a-background-task"])
@pytest.mark.parametrize("sampler", ["always_off", "parentbased_always_off"])
async def test_a_sampler_that_the_user_configured_is_obeyed(sampler: str, path: str) -> None:
    with capture_telemetry(sampler=sampler, slow_request_seconds=1e-9) as telemetry:
        await ask(application(), path)
        assert not telemetry.spans
        assert telemetry.logs, "the record itself is exported"


async def test_a_sampler_that_cannot_be_used_decides_nothing() -> None:
    settings: dict[str, Any] = {"sampler": "allways_off", "sample_rate": 0.0}
    with capture_telemetry(**settings) as telemetry:
        await ask(application(), "/crash")
        assert [span.name for span in telemetry.spans] == ["GET /crash"]


async def test_two_threads_that_report_at_once_write_one_span() -> None:
    app = FastAPI()

    @app.get("/threads")
    def threads() -> None:
        together = threading.Barrier(4)
        context = trace.set_span_in_context(trace.get_current_span())

        def work() -> None:
            attach(context)
            together.wait(30.0)
            report()

        started = [threading.Thread(target=work) for _ in range(4)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()

    with capture_telemetry(sample_rate=0.0) as telemetry:
        await ask(app, "/threads")
        spans, records = spans_and_ids(telemetry)
    ((_, span_id),) = spans
    assert records == [span_id] * 4
