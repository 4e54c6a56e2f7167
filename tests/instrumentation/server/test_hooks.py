"""Callbacks of the request path: which failures are reported, once each, and with which span."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Span
from starlette.requests import ClientDisconnect

from blogauto_otel.api.failures import failure_of
from blogauto_otel.instrumentation.server import hooks, request_context
from blogauto_otel.instrumentation.server.request import current
from testkit.requests import Watched, ask

Reported = list[tuple[BaseException, Span]]


@pytest.fixture
def reported() -> Iterator[Reported]:
    """The reported failures, with their spans."""
    found: Reported = []

    def collect(error: BaseException, span: Span) -> None:
        found.append((error, span))

    hooks.on_request_error(collect)
    yield found
    hooks.remove_on_request_error(collect)


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/crash")
    @app.get("/health")
    async def crash() -> None:
        raise ZeroDivisionError

    @app.get("/unavailable")
    async def unavailable() -> None:
        raise HTTPException(503)

    @app.get("/gone")
    async def gone() -> None:
        raise ClientDisconnect

    @app.get("/later")
    async def later(tasks: BackgroundTasks) -> None:
        tasks.add_task(crash)

    return app


SAMPLING = {"sampled": None, "not sampled": ALWAYS_OFF}


@pytest.mark.parametrize("sampler", SAMPLING.values(), ids=SAMPLING)
@pytest.mark.parametrize("path", ["/crash", "/unavailable", "/later", "/health"])
async def test_each_failure_is_reported_once_whether_its_span_is_sampled_or_not(
    watch: Callable[..., Watched], reported: Reported, path: str, sampler: object
) -> None:
    """`/health` is never traced, but its failures are reported."""
    watch(sampler=sampler)
    await ask(application(), path)
    assert len(reported) == 1


@pytest.mark.parametrize("path", ["/gone", "/nowhere"])
async def test_what_is_no_failure_of_the_application_is_not_reported(
    watched: Watched, reported: Reported, path: str
) -> None:
    await ask(application(), path)
    assert reported == []


async def test_uninstrumented_requests_report_unhandled_exceptions(
    watch: Callable[..., Watched], reported: Reported
) -> None:
    watch(requests="off")
    for path in ("/crash", "/unavailable", "/gone"):
        await ask(application(), path)
    assert [type(error) for error, _ in reported] == [ZeroDivisionError]


async def test_an_exception_that_ended_a_request_remembers_its_span(watched: Watched, reported: Reported) -> None:
    await ask(application(), "/crash")
    failure = failure_of(reported[0][0])
    assert failure is not None
    assert failure.span_context == watched.span.context


async def test_each_request_has_its_own_value_of_a_variable_in_all_its_threads(watched: Watched) -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    made = iter(["first", "second"])
    app, seen = FastAPI(), []

    @app.get("/in-a-thread")
    def in_a_thread() -> None:
        seen.append(variable.get())

    request_context.reset_per_request(variable, lambda: next(made))
    try:
        for _ in range(2):
            await ask(app, "/in-a-thread")
    finally:
        request_context.stop_resetting(variable)
    await ask(app, "/in-a-thread")
    assert seen == ["first", "second", "outside"]
    assert variable.get() == "outside"


@pytest.mark.parametrize("sampler", SAMPLING.values(), ids=SAMPLING)
async def test_extra_attributes_of_a_request_are_on_its_span_sampled_or_deferred(
    watch: Callable[..., Watched], sampler: object
) -> None:
    watched, app = watch(sampler=sampler), FastAPI()

    @app.get("/noted")
    async def noted() -> None:
        request = current()
        assert request is not None
        request.extra_attributes = {"sentry.event_id": "e1"}
        raise ZeroDivisionError

    await ask(app, "/noted")
    span = watched.deferred[0] if watched.deferred else watched.span
    assert span.attributes is not None
    assert span.attributes["sentry.event_id"] == "e1"


@pytest.mark.quiet_guard
async def test_a_request_is_answered_when_a_variable_cannot_be_created(watched: Watched) -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    request_context.reset_per_request(variable, lambda: ThreadPoolExecutor(-1))
    try:
        assert (await ask(application(), "/nowhere")).status_code == 404
    finally:
        request_context.stop_resetting(variable)


@pytest.mark.quiet_guard
async def test_a_variable_that_cannot_be_created_does_not_affect_the_others(watched: Watched) -> None:
    well = contextvars.ContextVar("well", default="outside")
    app, seen = FastAPI(), []

    @app.get("/")
    async def look() -> None:
        seen.append(well.get())

    def fail() -> None:
        raise ZeroDivisionError

    broken: contextvars.ContextVar[object] = contextvars.ContextVar("broken")
    request_context.reset_per_request(well, lambda: "inside")
    request_context.reset_per_request(broken, fail)
    try:
        await ask(app, "/")
    finally:
        request_context.stop_resetting(broken)
        request_context.stop_resetting(well)
    assert seen == ["inside"]
    assert well.get() == "outside"
