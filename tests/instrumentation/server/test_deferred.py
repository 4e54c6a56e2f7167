"""A request that was not sampled costs nothing, and is not lost when it fails or is slow."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Span, SpanKind, StatusCode
from starlette.background import BackgroundTask
from starlette.responses import Response

from blogauto_otel.instrumentation import server
from blogauto_otel.sampling import build_sampler
from blogauto_otel.testing import capture_telemetry
from testkit.requests import LOCAL, Watched, ask

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


@pytest.fixture
def unsampled(watch: Callable[..., Watched]) -> Watched:
    return watch(sampler=ParentBased(ALWAYS_OFF), slow_request_seconds=0.05)


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/quick")
    async def quick() -> dict[str, Any]:
        context = trace.get_current_span().get_span_context()
        return {"trace": context.trace_id, "span": context.span_id, "sampled": bool(context.trace_flags.sampled)}

    @app.get("/slow/{x}")
    async def slow(x: int) -> dict[str, Any]:
        await asyncio.sleep(0.1)
        return await quick()

    @app.get("/crash")
    async def crash() -> None:
        raise ZeroDivisionError("by zero")

    @app.get("/failed")
    async def failed() -> Response:
        return Response(status_code=502)

    @app.get("/refused")
    async def refused() -> None:
        raise HTTPException(403)

    @app.get("/health")
    async def health() -> None:
        await asyncio.sleep(0.1)
        raise ZeroDivisionError

    return app


async def test_a_healthy_request_has_no_span_but_a_trace_id_and_is_counted(unsampled: Watched) -> None:
    said = (await ask(application(), "/quick")).json()
    assert said["trace"]
    assert not said["sampled"]
    assert not unsampled.spans
    assert not unsampled.deferred
    assert unsampled.requests() == {("GET", "/quick", "200"): 1}
    assert unsampled.durations()["GET", "/quick"] > 0


async def test_an_exemplar_points_to_a_span_that_is_exported(watch: Callable[..., Watched]) -> None:
    app, path = application(), "/slow/7"
    for sampler, slow, is_kept in ((ALWAYS_ON, 0.0, True), (ALWAYS_OFF, 0.05, True), (ALWAYS_OFF, 0.0, False)):
        watched = watch(sampler=ParentBased(sampler), slow_request_seconds=slow)
        await ask(app, path)
        said = (await ask(app, path)).json()  # of a series, the first measurement goes another way than those after it
        expected = {(said["trace"], said["span"])} if is_kept else set()
        assert watched.exemplars("blogauto.api.request.duration") == expected
        server.uninstrument()


async def test_a_slow_request_gets_its_span_with_its_true_times(unsampled: Watched) -> None:
    said = (await ask(application(), "/slow/7?x=1", headers={"x-request-id": "abc"})).json()
    (deferred,) = unsampled.deferred
    assert deferred.name == "GET /slow/{x}"
    assert deferred.kind is SpanKind.SERVER
    assert deferred.scope.name == "blogauto_otel.http"
    assert (deferred.context.trace_id, deferred.context.span_id) == (said["trace"], said["span"])
    assert deferred.context.trace_flags.sampled
    assert deferred.parent is None
    assert deferred.seconds >= 0.1
    assert deferred.seconds == pytest.approx(unsampled.durations()["GET", "/slow/{x}"])
    assert deferred.status.status_code is StatusCode.UNSET
    assert deferred.attributes["blogauto.sampling.reason"] == "slow"
    assert deferred.attributes["http.route"] == "/slow/{x}"
    assert deferred.attributes["url.query"] == "x=1"
    assert deferred.attributes["request.id"] == "abc"
    assert deferred.attributes["http.response.status_code"] == 200
    assert not deferred.events


async def test_a_crash_gets_its_span_with_the_exception(unsampled: Watched) -> None:
    await ask(application(), "/crash")
    (deferred,) = unsampled.deferred
    assert deferred.attributes["blogauto.sampling.reason"] == "error"
    assert deferred.attributes["error.type"] == "ZeroDivisionError"
    assert deferred.status.status_code is StatusCode.ERROR
    (event,) = deferred.events
    assert event.name == "exception"
    assert event.attributes["exception.message"] == "by zero"
    assert "raise ZeroDivisionError" in event.attributes["exception.stacktrace"]
    assert deferred.start_time <= event.timestamp <= deferred.end_time


async def test_a_5xx_without_an_exception_gets_its_span_too(unsampled: Watched) -> None:
    await ask(application(), "/failed")
    (deferred,) = unsampled.deferred
    assert deferred.attributes["error.type"] == "502"
    assert not deferred.events


async def test_a_refusal_is_no_failure(unsampled: Watched) -> None:
    await ask(application(), "/refused")
    await ask(application(), "/nothing")
    assert not unsampled.deferred
    assert unsampled.errors() == {("HTTPException", "/refused"): 1, ("HTTPException", "unmatched"): 1}


async def test_the_caller_stays_the_parent(unsampled: Watched) -> None:
    await ask(application(), "/crash", headers={"traceparent": PARENT})
    (deferred,) = unsampled.deferred
    assert f"{deferred.parent.span_id:016x}" == "b7ad6b7169203331"
    assert f"{deferred.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"


async def test_the_exemplar_of_an_unsampled_crash_points_to_its_deferred_span(unsampled: Watched) -> None:
    app = application()
    await ask(app, "/quick")
    await ask(app, "/crash")
    (deferred,) = unsampled.deferred
    exemplars = {
        point.attributes["endpoint"]: [exemplar.span_id for exemplar in point.exemplars]  # type: ignore[index]
        for point in unsampled.metrics["blogauto.api.request.duration"].data.data_points
    }
    assert exemplars == {"/quick": [], "/crash": [deferred.context.span_id]}


async def test_health_checks_have_no_span_whatever_happens(watch: Callable[..., Watched]) -> None:
    watched = watch(slow_request_seconds=0.01)
    watched = watch(sampler=build_sampler(watched.context.settings), slow_request_seconds=0.01)
    await ask(application(), "/health")
    assert not watched.spans
    assert not watched.deferred
    assert watched.requests() == {("GET", "/health", "500"): 1}


async def test_a_route_with_a_rate_of_its_own_is_recognised_at_the_start(watch: Callable[..., Watched]) -> None:
    settings = watch(sample_rate=0.0, sample_routes={"/slow/{x}": 1.0}).context.settings
    watched = watch(sampler=build_sampler(settings), slow_request_seconds=0.0)
    await ask(application(), "/slow/7")
    await ask(application(), "/quick")
    assert watched.names == ["GET /slow/{x}"]
    assert not watched.deferred


async def test_zero_switches_slow_spans_off(watch: Callable[..., Watched]) -> None:
    watched = watch(sampler=ALWAYS_OFF, slow_request_seconds=0.0)
    await ask(application(), "/slow/7")
    assert not watched.deferred


async def test_a_sampled_request_is_not_written_twice(watch: Callable[..., Watched]) -> None:
    watched = watch(slow_request_seconds=0.01)
    await ask(application(), "/slow/7")
    await ask(application(), "/crash")
    assert watched.names == ["GET /slow/{x}", "GET /crash"]
    assert not watched.deferred


async def test_a_span_that_is_recorded_but_not_sampled_is_written_when_it_fails(watch: Callable[..., Watched]) -> None:
    class RecordOnly(Sampler):
        def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
            return SamplingResult(Decision.RECORD_ONLY)

        def get_description(self) -> str:
            return "record only"

    watched = watch(sampler=RecordOnly())
    await ask(application(), "/crash")
    assert len(watched.deferred) == 1


async def test_error_callbacks_can_set_attributes_on_it(unsampled: Watched) -> None:
    def on_error(error: BaseException, span: Span) -> None:
        span.set_attribute("sentry.event_id", format(span.get_span_context().span_id, "x"))

    server.on_request_error(on_error)
    await ask(application(), "/crash")
    (deferred,) = unsampled.deferred
    assert deferred.attributes["sentry.event_id"] == format(deferred.context.span_id, "x")


async def test_with_a_foreign_provider_nothing_is_written(watch: Callable[..., Watched]) -> None:
    import dataclasses

    watched = watch(instrument=False, sampler=ALWAYS_OFF)
    watched.context = dataclasses.replace(watched.context, write_deferred_span=None)
    watched.instrument()
    assert (await ask(application(), "/crash")).status_code == 500
    assert watched.errors() == {("ZeroDivisionError", "/crash"): 1}


async def test_a_background_task_that_fails_is_written_with_its_request(unsampled: Watched) -> None:
    app = FastAPI()

    def publish(post: int) -> None:
        raise ZeroDivisionError

    @app.get("/post")
    async def post(tasks: BackgroundTasks) -> None:
        tasks.add_task(publish, 1)

    assert (await ask(app, "/post", client=LOCAL)).status_code == 200
    task, request = unsampled.deferred
    assert (task.name, request.name) == ("background publish", "GET /post")
    assert task.parent.span_id == request.context.span_id
    assert task.status.status_code is StatusCode.ERROR
    assert request.status.status_code is StatusCode.UNSET
    assert [deferred.attributes["blogauto.sampling.reason"] for deferred in (task, request)] == ["error", "error"]
    assert unsampled.requests() == {("GET", "/post", "200"): 1}
    assert unsampled.errors() == {("ZeroDivisionError", "/post"): 1}


async def test_a_background_task_that_outlives_its_request_is_written_when_it_fails(unsampled: Watched) -> None:
    app, released = FastAPI(), asyncio.Event()

    async def publish() -> None:
        await released.wait()
        raise ZeroDivisionError

    @app.get("/post")
    async def post() -> None:
        app.state.task = asyncio.create_task(BackgroundTask(publish)())

    await ask(app, "/post")
    released.set()
    with pytest.raises(ZeroDivisionError):
        await app.state.task
    (deferred,) = unsampled.deferred
    assert deferred.name == "background publish"


async def test_span_log_record_and_exemplar_of_an_unsampled_failure_have_one_trace_id() -> None:
    app = FastAPI()

    @app.get("/crash")
    async def crash() -> None:
        logging.getLogger("shop").error("about to crash")
        raise ZeroDivisionError

    with capture_telemetry(sample_rate=0.0) as telemetry:
        assert (await ask(app, "/crash")).status_code == 500
        span = telemetry.span("GET /crash")
        (record,) = [record.log_record for record in telemetry.logs if record.log_record.body == "about to crash"]
        (duration,) = [metric for metric in telemetry.metrics if metric.name == "blogauto.api.request.duration"]
    assert span.context is not None
    (point,) = duration.data.data_points
    (exemplar,) = point.exemplars
    assert span.context.trace_id == record.trace_id == exemplar.trace_id
    assert span.context.span_id == record.span_id == exemplar.span_id
    assert span.attributes is not None
    assert span.attributes["blogauto.sampling.reason"] == "error"


async def test_an_exception_without_text_is_recorded_too(unsampled: Watched) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("what it is about is gone")

    app = FastAPI()

    @app.get("/mute")
    async def mute() -> None:
        raise MuteError

    assert (await ask(app, "/mute")).status_code == 500
    (written,) = unsampled.deferred
    (event,) = written.events
    assert event.attributes["exception.message"] == "<MuteError without text: RuntimeError>"
    assert "in mute" in event.attributes["exception.stacktrace"]
