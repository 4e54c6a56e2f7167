from __future__ import annotations

import asyncio
import contextvars
import decimal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel

from blogauto_otel.api.context import begin_request, bind, bound, end_request
from blogauto_otel.instrumentation import State, context
from testkit.recording import Recording


@pytest.fixture
def recording() -> Iterator[Recording]:
    made = Recording()
    assert context.instrument(made.context).state is State.ON
    yield made
    context.uninstrument()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()  # its thread is there before any request
        yield pool


def current_span_id() -> int:
    return trace.get_current_span().get_span_context().span_id


def test_work_in_a_pool_is_part_of_the_span_that_submitted_it(recording: Recording, pool: ThreadPoolExecutor) -> None:
    with recording.tracer.start_as_current_span("request") as span:
        inside = pool.submit(current_span_id).result()
    assert inside == span.get_span_context().span_id
    assert pool.submit(current_span_id).result() == 0, "the thread is left as it was"


async def test_run_in_executor_keeps_the_context(recording: Recording) -> None:
    with recording.tracer.start_as_current_span("request") as span:
        inside = await asyncio.get_running_loop().run_in_executor(None, current_span_id)
        once_more = await asyncio.to_thread(current_span_id)
    assert inside == once_more == span.get_span_context().span_id


def test_baggage_and_bound_values_are_propagated_to_threads(recording: Recording, pool: ThreadPoolExecutor) -> None:
    request = begin_request("r-1")
    bind(user_id=7)
    token = otel.attach(baggage.set_baggage("tenant", "a"))
    seen = pool.submit(lambda: (dict(bound()), baggage.get_baggage("tenant"))).result()
    otel.detach(token)
    end_request(request)
    assert seen == ({"request.id": "r-1", "user.id": 7}, "a")
    assert pool.submit(lambda: dict(bound())).result() == {}


def test_values_bound_in_a_thread_outside_requests_end_with_its_work(
    recording: Recording, pool: ThreadPoolExecutor
) -> None:
    bind(job="nightly")
    try:
        pool.submit(bind, part="one").result()
        assert pool.submit(lambda: dict(bound())).result() == {"job": "nightly"}
    finally:
        bind(job=None)


def test_context_variables_of_the_application_stay_where_they_are(
    recording: Recording, pool: ThreadPoolExecutor
) -> None:
    theirs: contextvars.ContextVar[str] = contextvars.ContextVar("theirs", default="nothing")
    theirs.set("request")
    with recording.tracer.start_as_current_span("request"), decimal.localcontext(decimal.Context(prec=3)):
        assert pool.submit(theirs.get).result() == "nothing"
        assert pool.submit(lambda: decimal.getcontext().prec).result() == 28


def test_arguments_results_and_exceptions_pass_untouched(recording: Recording, pool: ThreadPoolExecutor) -> None:
    mine = KeyError("mine")

    def work(*args: Any, **kwargs: Any) -> Any:
        if "fail" in kwargs:
            raise mine
        return args, kwargs

    with recording.tracer.start_as_current_span("request"):
        assert pool.submit(work, 1, self=2, fn=3).result() == ((1,), {"self": 2, "fn": 3})
        assert pool.submit(work, fail=True).exception() is mine
        assert list(pool.map(abs, [-1, -2])) == [1, 2]


def test_disabled_or_uninstrumented_submit_is_the_standard_librarys() -> None:
    before = ThreadPoolExecutor.submit
    assert context.instrument(Recording(threads=False).context).state is State.OFF
    assert ThreadPoolExecutor.submit is before
    context.instrument(Recording().context)
    context.instrument(Recording().context)
    assert ThreadPoolExecutor.submit is not before
    context.uninstrument()
    assert ThreadPoolExecutor.submit is before


def test_below_another_wrapper_ours_passes_calls_through(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = ThreadPoolExecutor.submit
    monkeypatch.setattr(
        ThreadPoolExecutor, "submit", lambda self, fn, /, *args, **kwargs: ours(self, fn, *args, **kwargs)
    )
    context.uninstrument()
    with ThreadPoolExecutor(1) as pool, recording.tracer.start_as_current_span("request"):
        assert pool.submit(current_span_id).result() == 0
    context.instrument(recording.context)
    with ThreadPoolExecutor(1) as pool, recording.tracer.start_as_current_span("request") as span:
        assert pool.submit(current_span_id).result() == span.get_span_context().span_id
