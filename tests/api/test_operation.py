"""An operation is a span, a duration and, when it fails, an error; the application's exceptions pass untouched."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics.export import HistogramDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from blogauto_otel import _guard, operation
from blogauto_otel.testing import capture_telemetry
from tests.api.conftest import Meters

DURATION = "blogauto.operation.duration"
ERRORS = "blogauto.operation.errors"


class Spans:
    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def all(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def one(self, name: str) -> ReadableSpan:
        (span,) = (span for span in self.all() if span.name == name)
        return span


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Spans:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return Spans(exporter)


def outcomes(meters: Meters) -> dict[tuple[str, str], int]:
    metric = meters.metrics().get(DURATION)
    found = {}
    for point in metric.data.data_points if metric else ():
        assert isinstance(point, HistogramDataPoint)
        labels = dict(point.attributes or {})
        found[str(labels["operation"]), str(labels["outcome"])] = point.count
    return found


def test_a_block_is_a_span_with_its_attributes_and_a_duration(spans: Spans, meters: Meters) -> None:
    with operation("wordpress.publish", site="example.org") as span:
        span.set_attribute("post.id", 3)
    done = spans.one("wordpress.publish")
    assert dict(done.attributes or {}) == {"site": "example.org", "post.id": 3}
    assert done.status.status_code is StatusCode.UNSET
    assert outcomes(meters) == {("wordpress.publish", "success"): 1}
    assert meters.points(ERRORS) == {}


def test_spans_inside_are_children(spans: Spans) -> None:
    with operation("outer"), operation("inner"):
        pass
    parent = spans.one("inner").parent
    outer = spans.one("outer").context
    assert parent is not None
    assert outer is not None
    assert parent.span_id == outer.span_id


def test_the_duration_s_exemplar_points_at_the_span(spans: Spans, meters: Meters) -> None:
    with operation("work"):
        pass
    (point,) = meters.metrics()[DURATION].data.data_points
    (exemplar,) = point.exemplars
    context = spans.one("work").context
    assert context is not None
    assert (exemplar.trace_id, exemplar.span_id) == (context.trace_id, context.span_id)


def test_an_exception_passes_untouched_and_is_recorded(spans: Spans, meters: Meters) -> None:
    error = LookupError("no such post")
    with pytest.raises(LookupError) as caught, operation("work"):
        raise error
    assert caught.value is error
    done = spans.one("work")
    assert done.status.status_code is StatusCode.ERROR
    assert done.status.description == "LookupError: no such post"
    assert dict(done.attributes or {})["error.type"] == "LookupError"
    assert [event.name for event in done.events] == ["exception"]
    assert outcomes(meters) == {("work", "error"): 1}
    assert meters.points(ERRORS) == {(("operation", "work"), ("type", "LookupError")): 1}


async def test_a_cancelled_task_is_no_error(spans: Spans, meters: Meters) -> None:
    async def wait() -> None:
        async with operation("wait"):
            await asyncio.sleep(60)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert outcomes(meters) == {("wait", "cancelled"): 1}
    assert spans.one("wait").status.status_code is StatusCode.UNSET
    assert meters.points(ERRORS) == {}


async def test_one_object_may_be_entered_by_several_tasks_at_once(spans: Spans, meters: Meters) -> None:
    shared = operation("shared")

    async def block(number: int, until: asyncio.Event) -> None:
        with shared as span:
            span.set_attribute("number", number)
            await until.wait()
            if number == 1:
                raise ZeroDivisionError

    events = [asyncio.Event(), asyncio.Event()]
    tasks = [asyncio.create_task(block(number, event)) for number, event in enumerate(events)]
    await asyncio.sleep(0)
    events[0].set()
    await tasks[0]
    [first] = spans.all()
    assert dict(first.attributes or {}) == {"number": 0}
    events[1].set()
    with pytest.raises(ZeroDivisionError):
        await tasks[1]
    assert outcomes(meters) == {("shared", "success"): 1, ("shared", "error"): 1}
    assert [span.status.status_code for span in spans.all()] == [StatusCode.UNSET, StatusCode.ERROR]


def test_a_decorated_function_may_be_called_again_and_recursively(spans: Spans, meters: Meters) -> None:
    @operation("countdown")
    def countdown(number: int) -> int:
        """Counts."""
        return countdown(number - 1) if number else 0

    assert countdown(2) == 0
    assert countdown.__doc__ == "Counts."
    assert outcomes(meters) == {("countdown", "success"): 3}
    depths = {span.context.span_id: span.parent and span.parent.span_id for span in spans.all() if span.context}
    assert sum(parent in depths for parent in depths.values()) == 2


async def test_without_brackets_an_operation_is_named_for_its_function(spans: Spans, meters: Meters) -> None:
    @operation
    async def generate(number: int) -> int:
        return number

    class Publisher:
        @operation
        def publish(self) -> str:
            return "published"

    assert (await generate(3), Publisher().publish()) == (3, "published")
    here = f"{__name__}.test_without_brackets_an_operation_is_named_for_its_function"
    assert outcomes(meters) == {(f"{here}.generate", "success"): 1, (f"{here}.Publisher.publish", "success"): 1}


async def test_a_decorated_coroutine_function_is_measured_until_it_returns(spans: Spans, meters: Meters) -> None:
    @operation("generate")
    async def generate(number: int) -> int:
        await asyncio.sleep(0.02)
        return number

    assert await asyncio.gather(*(generate(number) for number in range(5))) == [0, 1, 2, 3, 4]
    assert outcomes(meters) == {("generate", "success"): 5}
    assert all((span.end_time or 0) - (span.start_time or 0) > 10_000_000 for span in spans.all())


def test_a_generator_function_is_measured_to_its_end_and_keeps_its_protocol(spans: Spans, meters: Meters) -> None:
    @operation("stream")
    def stream() -> Iterator[Any]:
        got = yield 1
        yield got

    generator: Any = stream()
    assert next(generator) == 1
    assert not trace.get_current_span().is_recording()
    assert generator.send("x") == "x"
    assert spans.all() == ()
    assert list(generator) == []
    assert outcomes(meters) == {("stream", "success"): 1}


async def test_an_async_generator_that_is_left_early_is_cancelled(spans: Spans, meters: Meters) -> None:
    closed = []

    @operation("stream")
    async def stream() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    items: Any = stream()
    assert await anext(items) == 1
    await items.aclose()
    assert closed == [True]
    assert outcomes(meters) == {("stream", "cancelled"): 1}


async def test_an_async_generator_that_ends_is_a_success(spans: Spans, meters: Meters) -> None:
    @operation("stream")
    async def stream() -> AsyncIterator[int]:
        yield 1
        yield 2

    assert [item async for item in stream()] == [1, 2]
    assert outcomes(meters) == {("stream", "success"): 1}


@pytest.mark.quiet_guard
def test_a_block_runs_without_a_span_when_the_tracer_raises(
    meters: Meters, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(TracerProvider):
        def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("no tracer today")

    monkeypatch.setattr(trace, "_TRACER_PROVIDER", Broken(shutdown_on_exit=False))
    with operation("work") as span:
        span.set_attribute("still", "usable")
    assert outcomes(meters) == {("work", "success"): 1}
    assert _guard.swallowed() == {"starting an operation": 1}


@pytest.mark.quiet_guard
def test_an_exception_without_text_passes_untouched_and_the_span_ends(spans: Spans, meters: Meters) -> None:
    class HostileError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with pytest.raises(HostileError), operation("work"):
        raise HostileError
    assert spans.one("work").status.status_code is StatusCode.ERROR
    assert outcomes(meters) == {("work", "error"): 1}


def test_operation_names_are_bounded(spans: Spans, meters: Meters) -> None:
    for number in range(150):
        with operation(f"post {number}"):
            pass
    assert len(outcomes(meters)) <= 101
    assert outcomes(meters)["_OTHER", "success"] >= 50


def test_an_abandoned_generator_ends_its_operation_silently(
    spans: Spans, meters: Meters, caplog: pytest.LogCaptureFixture
) -> None:
    """The event loop closes it in a task of its own, in another context."""

    async def items() -> AsyncIterator[int]:
        with operation("stream"):
            yield 1
            yield 2

    async def first() -> int:
        async for item in items():
            return item
        return 0

    async def main() -> None:
        assert await asyncio.create_task(first()) == 1
        gc.collect()
        await asyncio.sleep(0.05)

    asyncio.run(main())
    assert caplog.records == []
    assert spans.one("stream").end_time is not None
    assert outcomes(meters) == {("stream", "cancelled"): 1}


def test_below_an_unsampled_span_of_ours_no_span_is_made_and_everything_is_measured(meters: Meters) -> None:
    with capture_telemetry(sample_rate=0.0) as telemetry:
        with operation("outer") as outer:
            with operation("inner") as inner:
                assert trace.get_current_span() is outer
                inner.set_attribute("k", "v")
            with pytest.raises(LookupError), operation("work"):
                raise LookupError
        durations = telemetry.points("blogauto.operation.duration")
        assert telemetry.spans == ()
    assert inner.get_span_context() == outer.get_span_context()
    assert durations == {
        (("operation", "inner"), ("outcome", "success")): 1,
        (("operation", "work"), ("outcome", "error")): 1,
        (("operation", "outer"), ("outcome", "success")): 1,
    }


async def test_runs_of_one_object_below_unsampled_spans_are_distinct() -> None:
    with capture_telemetry(sample_rate=0.0) as telemetry, operation("outer"):
        shared = operation("shared")

        async def block(seconds: float) -> None:
            with shared:
                await asyncio.sleep(seconds)

        await asyncio.gather(block(0.0), block(0.15))
        shown = [metric for metric in telemetry.metrics if metric.name == DURATION]
        found = {
            dict(point.attributes or {})["operation"]: point for metric in shown for point in metric.data.data_points
        }
    point = found["shared"]
    assert isinstance(point, HistogramDataPoint)
    assert (point.count, point.min < 0.1, point.max >= 0.14) == (2, True, True)


def test_a_sampler_that_ignores_parents_is_asked_below_unsampled_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_telemetry(sampler="traceidratio", sampler_arg="1.0") as telemetry:
        unsampled = trace.NonRecordingSpan(trace.SpanContext(5, 5, is_remote=False))
        with trace.use_span(unsampled), operation("work"):
            pass
        assert [span.name for span in telemetry.spans] == ["work"]
