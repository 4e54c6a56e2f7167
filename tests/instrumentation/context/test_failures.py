"""Exceptions remember the spans they end, sampled or not; asyncio reports errors in the context of the task."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import uvloop
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, StatusCode, get_current_span

from blogauto_otel.api.failures import failure_of
from blogauto_otel.instrumentation import State, context
from testkit.recording import Recording


@pytest.fixture(params=["sampled", "not sampled"])
def recording(request: pytest.FixtureRequest) -> Iterator[Recording]:
    made = Recording(sampler=None if request.param == "sampled" else ALWAYS_OFF)
    assert context.instrument(made.context).state is State.ON
    yield made
    context.uninstrument()


def failing(recording: Recording) -> tuple[ValueError, int]:
    """An exception, and the innermost span that it ended."""
    inner = 0
    try:
        start = recording.tracer.start_as_current_span
        with start("outer"), start("inner") as span:
            inner = span.get_span_context().span_id
            raise ValueError("x")
    except ValueError as error:
        return error, inner


def test_an_exception_remembers_the_innermost_span_that_it_ended(recording: Recording) -> None:
    error, inner = failing(recording)
    found = failure_of(error)
    assert found is not None
    assert found.span_context.span_id == inner


def test_a_sampled_span_that_went_well_is_not_the_one_that_failed() -> None:
    recording = Recording()
    context.instrument(recording.context)
    failure: object = "none yet"
    try:
        raise ValueError("x")
    except ValueError as error:
        with recording.tracer.start_as_current_span("cleaning up") as span:
            span.set_status(StatusCode.OK)
        failure = failure_of(error)
    context.uninstrument()
    assert failure is None


def test_uninstrumented_nothing_is_remembered(recording: Recording) -> None:
    patched = NonRecordingSpan.end
    context.uninstrument()
    error, _ = failing(recording)
    assert failure_of(error) is None
    assert NonRecordingSpan.end is not patched


LOOPS: dict[str, Callable[[Coroutine[Any, Any, None]], None]] = {"asyncio": asyncio.run, "uvloop": uvloop.run}


@pytest.mark.parametrize("run", LOOPS.values(), ids=LOOPS)
def test_a_task_that_nobody_awaited_is_reported_in_its_own_context(
    recording: Recording, run: Callable[[Coroutine[Any, Any, None]], None], caplog: pytest.LogCaptureFixture
) -> None:
    """The garbage collector closes it while another request is being answered."""
    reported: list[int] = []

    def listen(_: logging.LogRecord) -> bool:
        reported.append(get_current_span().get_span_context().trace_id)
        return True

    caplog.handler.addFilter(listen)
    started: list[int] = []

    async def fail() -> None:
        raise ValueError("x")

    async def first() -> None:
        with recording.tracer.start_as_current_span("first") as span:
            started.append(span.get_span_context().trace_id)
            asyncio.get_running_loop().create_task(fail())

    async def main() -> None:
        await asyncio.create_task(first())
        await asyncio.sleep(0)
        with recording.tracer.start_as_current_span("second"):
            gc.collect()

    with caplog.at_level(logging.ERROR, "asyncio"):
        run(main())
    assert reported == started


def test_a_future_that_nobody_awaited_belongs_to_no_request(recording: Recording) -> None:
    reported: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: reported.append(get_current_span().get_span_context().trace_id))
        with recording.tracer.start_as_current_span("other"):
            future = loop.create_future()
            future.set_exception(ValueError("x"))
            del future
            gc.collect()

    asyncio.run(main())
    assert reported == [0]


def test_the_exception_handler_of_the_application_is_called_as_ever(recording: Recording) -> None:
    reported: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, error: reported.append(error["message"]))
        loop.call_exception_handler({"message": "of nothing"})

    asyncio.run(main())
    assert reported == ["of nothing"]


def test_variables_of_other_parts_are_carried_into_pools(recording: Recording) -> None:
    variable = contextvars.ContextVar("variable", default="none")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        context.propagate(variable)
        with recording.tracer.start_as_current_span("request"):
            variable.set("of the request")
            assert pool.submit(variable.get).result() == "of the request"
        context.stop_propagating(variable)
        with recording.tracer.start_as_current_span("request"):
            assert pool.submit(variable.get).result() == "none"
