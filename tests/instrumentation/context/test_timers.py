"""Timers that outlive their request run outside it; tasks that a request leaves behind stay in its trace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import httpx
import pytest
import uvloop
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from fastapi import FastAPI
from opentelemetry.sdk.trace import ReadableSpan

from blogauto_otel import operation
from blogauto_otel.api.context import begin_request, bind, bound, end_request
from blogauto_otel.instrumentation import context
from blogauto_otel.testing import capture_telemetry
from testkit.recording import Recording

Run = Callable[[Coroutine[Any, Any, Any]], Any]
LOOPS: dict[str, Run] = {"asyncio": asyncio.run, "uvloop": uvloop.run}
both_loops = pytest.mark.parametrize("run", LOOPS.values(), ids=LOOPS)


@pytest.fixture
def recording() -> Iterator[Recording]:
    made = Recording()
    context.instrument(made.context)
    yield made
    context.uninstrument()


class Timers:
    """A request that sets a timer, which sets the next."""

    def __init__(self, recording: Recording, *, runs: int = 2) -> None:
        self.tracer = recording.tracers.get_tracer("jobs")
        self.seen: list[dict[str, Any]] = []
        self.left = runs
        self.done = asyncio.Event()

    def run(self) -> None:
        with self.tracer.start_as_current_span("job"):
            self.seen.append(dict(bound()))
        self.left -= 1
        if self.left:
            asyncio.get_running_loop().call_later(0.01, self.run)
        else:
            self.done.set()


async def request(recording: Recording, work: Callable[[], Any]) -> int:
    """Do the work within a request; returns the request's trace id."""
    with recording.tracer.start_as_current_span("request") as span:
        token = begin_request("r-1")
        bind(user_id=7)
        work()
        await asyncio.sleep(0)
        end_request(token)
        return span.get_span_context().trace_id


@both_loops
@pytest.mark.parametrize("method", ["call_later", "call_at"])
def test_a_timer_that_fires_after_the_request_starts_linked_traces(run: Run, method: str, recording: Recording) -> None:
    async def main() -> tuple[int, Timers]:
        loop = asyncio.get_running_loop()
        timers = Timers(recording)
        when = 0.02 if method == "call_later" else loop.time() + 0.02
        trace_id = await asyncio.create_task(request(recording, lambda: getattr(loop, method)(when, timers.run)))
        await asyncio.wait_for(timers.done.wait(), 10)
        return trace_id, timers

    trace_id, timers = run(main())
    assert timers.seen == [{}, {}]
    jobs = recording.spans
    assert len({span.context.trace_id for span in jobs if span.context} | {trace_id}) == 3
    assert [span.parent for span in jobs] == [None, None]
    assert [[link.context.trace_id for link in span.links] for span in jobs] == [[trace_id], [trace_id]]


@both_loops
def test_a_timer_that_fires_within_the_request_is_part_of_it(run: Run, recording: Recording) -> None:
    async def main() -> tuple[int, Timers]:
        timers = Timers(recording, runs=1)
        with recording.tracer.start_as_current_span("request") as span:
            token = begin_request("r-1")
            asyncio.get_running_loop().call_later(0.01, timers.run)
            await asyncio.wait_for(timers.done.wait(), 10)
            end_request(token)
            return span.get_span_context().trace_id, timers

    trace_id, timers = run(main())
    assert timers.seen == [{"request.id": "r-1"}]
    assert recording.span.context is not None
    assert recording.span.context.trace_id == trace_id


@both_loops
def test_a_task_that_a_request_leaves_behind_stays_in_its_trace(run: Run, recording: Recording) -> None:
    seen = []

    async def work_on() -> None:
        await asyncio.sleep(0.02)
        with recording.tracers.get_tracer("jobs").start_as_current_span("job"):
            seen.append(dict(bound()))

    async def main() -> int:
        tasks: list[asyncio.Task[None]] = []
        trace_id = await asyncio.create_task(request(recording, lambda: tasks.append(asyncio.create_task(work_on()))))
        await tasks[0]
        return trace_id

    trace_id = run(main())
    assert seen == [{"request.id": "r-1", "user.id": 7}]
    assert recording.span.context is not None
    assert recording.span.context.trace_id == trace_id


@both_loops
def test_uninstrumented_the_methods_of_the_loops_are_their_own(run: Run, recording: Recording) -> None:
    ours = asyncio.BaseEventLoop.call_at, uvloop.Loop.call_later
    context.uninstrument()
    assert asyncio.BaseEventLoop.call_at is not ours[0]
    assert uvloop.Loop.call_later is not ours[1]


def test_jobs_of_a_scheduler_that_a_request_started_are_not_part_of_it() -> None:
    app = FastAPI()
    runs = asyncio.Event()

    def job() -> None:
        with operation("job"):
            seen.append(dict(bound()))
        if len(seen) == 3:
            runs.set()

    seen: list[dict[str, Any]] = []
    schedulers: list[AsyncIOScheduler] = []

    @app.get("/start")
    async def start() -> None:
        schedulers.append(AsyncIOScheduler())
        schedulers[0].add_job(job, "interval", seconds=0.05)
        schedulers[0].start()

    async def main() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
            await client.get("/start")
        await asyncio.wait_for(runs.wait(), 20)
        schedulers[0].shutdown(wait=False)

    with capture_telemetry(clients=False) as telemetry:
        asyncio.run(main())
    (server,) = named("GET /start", telemetry.spans)
    jobs = named("job", telemetry.spans)[:3]
    assert seen[:3] == [{}, {}, {}]
    assert server.context is not None
    assert all(span.context and span.context.trace_id != server.context.trace_id for span in jobs)
    assert [[link.context for link in span.links] for span in jobs] == [[server.context]] * 3


def named(name: str, spans: Any) -> list[ReadableSpan]:
    return [span for span in spans if span.name == name]
