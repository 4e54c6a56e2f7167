"""Callbacks for the end of an application run before the server is notified."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from blogauto_otel.instrumentation import server
from testkit.requests import Watched, served


def lifespan(events: list[str], *, fail: str = "") -> Callable[[Any], Any]:
    @asynccontextmanager
    async def around(app: Any) -> AsyncIterator[None]:
        events.append("up")
        if fail == "startup":
            raise ZeroDivisionError
        yield
        events.append("down")
        if fail == "shutdown":
            raise ZeroDivisionError

    return around


class Server:
    """A server that speaks the lifespan protocol and records the messages it receives."""

    def __init__(self, events: list[str]) -> None:
        self.events = events
        self._messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def run(self, app: Any) -> None:
        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, self.receive, self.send)

    async def receive(self) -> dict[str, Any]:
        return {"type": next(self._messages)}

    async def send(self, message: Any) -> None:
        self.events.append(message["type"])


@pytest.mark.parametrize("kind", [FastAPI, Starlette])
async def test_it_is_called_after_the_applications_own_end_and_before_the_server_is_notified(
    watched: Watched, kind: Any
) -> None:
    events: list[str] = []
    server.on_lifespan_shutdown(lambda: events.append("flushed"))
    await Server(events).run(kind(lifespan=lifespan(events)))
    assert events == ["up", "lifespan.startup.complete", "down", "flushed", "lifespan.shutdown.complete"]


async def test_callbacks_of_its_start_run_before_the_server_is_notified(watched: Watched) -> None:
    events: list[str] = []

    server.on_lifespan_startup(lambda: events.append("started"))
    await Server(events).run(FastAPI(lifespan=lifespan(events)))
    assert events == ["up", "started", "lifespan.startup.complete", "down", "lifespan.shutdown.complete"]


async def test_it_is_called_once_however_often_it_is_registered_and_whatever_is_mounted(watched: Watched) -> None:
    calls: list[int] = []

    def flush() -> None:
        calls.append(1)

    for _ in range(3):
        server.on_lifespan_shutdown(flush)
    await Server([]).run(Starlette(routes=[Mount("/inner", FastAPI())]))
    assert calls == [1]


async def test_it_is_called_even_when_no_thread_can_be_had_for_it(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    events: list[str] = []
    server.on_lifespan_shutdown(lambda: events.append("flushed"))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    await Server(events).run(Starlette(lifespan=lifespan(events)))
    assert events == ["up", "lifespan.startup.complete", "down", "flushed", "lifespan.shutdown.complete"]


async def test_the_event_loop_runs_on_meanwhile(watched: Watched) -> None:
    steps: list[float] = []
    threads: list[threading.Thread] = []

    def slow() -> None:
        threads.append(threading.current_thread())
        time.sleep(0.3)

    async def tick() -> None:
        while True:
            steps.append(time.monotonic())
            await asyncio.sleep(0.01)

    server.on_lifespan_shutdown(slow)
    ticking = asyncio.create_task(tick())
    await Server([]).run(FastAPI())
    ticking.cancel()
    assert len(steps) > 5
    assert threads != [threading.current_thread()]


@pytest.mark.parametrize("fail", ["startup", "shutdown"])
async def test_it_is_called_when_the_application_fails_and_the_failure_is_the_applications(
    watched: Watched, fail: str
) -> None:
    events: list[str] = []
    server.on_lifespan_shutdown(lambda: events.append("flushed"))
    with pytest.raises(ZeroDivisionError):
        await Server(events).run(FastAPI(lifespan=lifespan(events, fail=fail)))
    assert events[-2:] == ["flushed", f"lifespan.{fail}.failed"]


async def test_it_is_called_when_the_application_ignores_its_lifespan(watched: Watched) -> None:
    class Mute(Starlette):
        def build_middleware_stack(self) -> Any:
            async def nothing(*_: Any) -> None: ...

            return nothing

    calls: list[int] = []
    server.on_lifespan_shutdown(lambda: calls.append(1))
    await Server([]).run(Mute())
    assert calls == [1]


@pytest.mark.quiet_guard
async def test_one_that_fails_stops_neither_the_others_nor_the_server(watched: Watched) -> None:
    events: list[str] = []

    def broken() -> None:
        raise RuntimeError

    server.on_lifespan_shutdown(broken)
    server.on_lifespan_shutdown(lambda: events.append("flushed"))
    await Server(events).run(FastAPI())
    assert events == ["lifespan.startup.complete", "flushed", "lifespan.shutdown.complete"]


@pytest.mark.parametrize("requests", ["own", "contrib", "off"])
def test_a_real_server_waits_for_it(watch: Callable[..., Watched], requests: str) -> None:
    watch(requests=requests)
    calls: list[int] = []
    server.on_lifespan_shutdown(lambda: calls.append(1))
    with served(FastAPI(), lifespan="on"):
        assert not calls
    assert calls == [1]


async def test_what_the_lifespan_puts_into_the_state_reaches_the_requests(watched: Watched) -> None:
    scope: dict[str, Any] = {"type": "lifespan", "state": {}}
    server = Server([])

    @asynccontextmanager
    async def state(app: Any) -> AsyncIterator[dict[str, int]]:
        yield {"pool": 1}

    await Starlette(lifespan=state)(scope, server.receive, server.send)
    assert scope["state"] == {"pool": 1}
