"""Counts are right with many requests at once, in several event loops, threads and processes."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from blogauto_otel._cardinality import OVERFLOW_ATTRIBUTES
from blogauto_otel.api.context import current_request_id
from blogauto_otel.instrumentation import server
from blogauto_otel.instrumentation.server.metrics import AttributeSets, CounterStore
from testkit.requests import Watched, ask, client_of


@pytest.fixture
def _frequent_thread_switches() -> Iterator[None]:
    """Threads take turns as often as they can, so that a race shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(number: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("_frequent_thread_switches")
def test_no_count_is_lost_between_threads() -> None:
    counters = CounterStore(("name", "number"), 100)

    def count(index: int) -> None:
        for number in range(20_000):
            counters.add(("shared", "same"))
            if number % 1000 == 0:
                counters.add((f"thread {index}", number))
                counters.read()

    in_threads(4, count)
    counts = {tuple(labels.values()): count for labels, count in counters.read()}
    assert counts["shared", "same"] == 80_000
    assert sum(counts.values()) == 80_000 + 4 * 20


def test_series_are_bounded_and_the_total_stays_right() -> None:
    counters = CounterStore(("x",), 10)
    for number in range(100):
        counters.add((number % 50,))
    read = counters.read()
    assert len(read) == 11
    assert sum(count for _, count in read) == 100
    assert [count for labels, count in read if labels == OVERFLOW_ATTRIBUTES] == [80]


def test_the_labels_of_a_series_are_made_once() -> None:
    series = AttributeSets(("x", "y"), 10)
    assert series.labels((1, None)) == {"x": 1}
    assert series.labels((1, None)) is series.labels((1, None))


async def test_routes_without_number_make_no_series_without_number(watch: Callable[..., Watched]) -> None:
    watched = watch(series_limit=10, http_semconv_metrics=True)

    async def answer(request: Request) -> Response:
        return PlainTextResponse("x")

    app = Starlette(routes=[Route(f"/route-{number}", answer) for number in range(30)])
    async with client_of(app) as asking:
        for number in range(30):
            await asking.get(f"/route-{number}")
    for name in ("blogauto.api.requests", "blogauto.api.request.duration", "http.server.request.duration"):
        points = watched.points(name)
        assert len(points) == 11, name
        assert points[("otel.metric.overflow", True),] == 20, name
    assert len(watched.points("blogauto.api.requests.in_progress")) <= 11


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/async/{x}")
    async def asynchronous(x: int) -> str | None:
        await asyncio.sleep(0.001)
        return current_request_id()

    @app.get("/thread/{x}")
    def threaded(x: int) -> str | None:
        return current_request_id()

    return app


@pytest.mark.usefixtures("_frequent_thread_switches")
@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
def test_several_event_loops_share_one_application(watched: Watched, loops: str) -> None:
    app = application()
    wrong: list[Any] = []

    async def visit() -> None:
        async with client_of(app) as asking:
            answers = await asyncio.gather(
                *(asking.get(f"/{kind}/{number}") for number in range(25) for kind in ("async", "thread"))
            )
        wrong.extend(answer for answer in answers if answer.json() != answer.headers["x-request-id"])

    def run(_: int) -> None:
        if loops == "uvloop":
            uvloop.run(visit())
        else:
            asyncio.run(visit())

    in_threads(4, run)
    assert not wrong
    assert watched.requests() == {("GET", "/async/{x}", "200"): 100, ("GET", "/thread/{x}", "200"): 100}
    assert watched.in_progress() == {("GET", "/async/{x}"): 0, ("GET", "/thread/{x}"): 0}
    assert len({span.context.span_id for span in watched.spans if span.context}) == 200


async def test_collecting_while_requests_come_and_go_never_fails(watched: Watched) -> None:
    app, done = application(), threading.Event()
    failures: list[BaseException] = []

    def collect() -> None:
        while not done.is_set():
            try:
                watched.in_progress()
            except BaseException as error:
                failures.append(error)

    thread = threading.Thread(target=collect)
    thread.start()
    async with client_of(app) as asking:
        for _ in range(5):
            await asyncio.gather(*(asking.get(f"/async/{number}") for number in range(20)))
    done.set()
    thread.join()
    assert not failures
    assert watched.requests() == {("GET", "/async/{x}", "200"): 100}


def test_a_forked_child_counts_from_zero(watched: Watched) -> None:
    app = application()
    asyncio.run(_visit_once(app))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        server.after_fork_in_child()
        before = watched.requests()
        asyncio.run(_visit_once(app))
        os.write(writing, repr((before, watched.requests(), sum(watched.in_progress().values()))).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        assert answer.read() == repr(({}, {("GET", "/async/{x}", "200"): 1}, 0))
    os.waitpid(child, 0)
    assert watched.requests() == {("GET", "/async/{x}", "200"): 1}


async def _visit_once(app: FastAPI) -> None:
    await ask(app, "/async/1")
