"""Close an abandoned request, as the garbage collector does, inside every locked region.

The arguments are the modules whose locks it has to meet: a thread that finds another one collecting passes, as in
CPython, and so rounds go on until each has been met.
"""

from __future__ import annotations

import asyncio
import contextvars
import faulthandler
import gc
import itertools
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, MutableMapping
from typing import Any

ROUNDS = 20
WAIT_SECONDS = 60.0  # seconds for further rounds: other processes decide how the threads meet
faulthandler.dump_traceback_later(WAIT_SECONDS + 60.0, exit=True)
wanted = set(sys.argv[1:])


class Depth(threading.local):
    interrupts = False


depth = Depth()
collecting = threading.Lock()  # as in CPython: one thread at a time runs the collector, and the others do not wait
interrupt: list[Callable[[], None]] = []  # what a finalizer does; empty during set-up
entered: Counter[str] = Counter()  # locked regions that ran a finalizer, by module of the lock


def interrupted(module: str) -> None:
    """Run one finalizer in each region; not in regions that the finalizer enters.

    In a region that has run none yet, wait a moment for another thread that collects; its finalizer may wait for us.
    """
    if depth.interrupts or not interrupt or not collecting.acquire(timeout=0.0 if module in entered else 0.1):
        return
    depth.interrupts = True
    try:
        interrupt[0]()
        entered[module] += 1
    finally:
        depth.interrupts = False
        collecting.release()


class Interrupted:
    """A lock that runs a finalizer after it is acquired and before it is released."""

    def __init__(self, lock: Any, module: str) -> None:
        self._lock = lock
        self._module = module

    def acquire(self, *args: Any, **kwargs: Any) -> bool:
        taken: bool = self._lock.acquire(*args, **kwargs)
        if taken:
            interrupted(self._module)
        return taken

    def release(self) -> None:
        interrupted(self._module)
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def interrupting(make: Callable[[], Any]) -> Callable[[], Any]:
    def lock() -> Any:
        module = sys._getframe(1).f_globals.get("__name__", "")
        return Interrupted(make(), module) if module.startswith(("blogauto_otel", "opentelemetry.sdk")) else make()

    return lock


threading.Lock = interrupting(threading.Lock)  # type: ignore[assignment]
threading.RLock = interrupting(threading.RLock)  # type: ignore[assignment]

from fastapi import FastAPI  # noqa: E402
from opentelemetry import trace  # noqa: E402
from opentelemetry._logs import get_logger  # noqa: E402
from sqlalchemy import create_engine, text  # noqa: E402

import blogauto_otel  # noqa: E402
from blogauto_otel._guard import log_once, swallowed  # noqa: E402
from blogauto_otel._threads import start_thread  # noqa: E402
from testkit.results import print_result  # noqa: E402

telemetry = blogauto_otel.configure()
log = logging.getLogger("faults")
engine = create_engine("sqlite://")
app = FastAPI()
answered: list[None] = []
abandoned: list[None] = []  # appending is atomic


class Waiting:
    def __await__(self) -> Generator[None, None, None]:
        yield


@app.get("/waits")
async def waits() -> None:
    await Waiting()


@app.get("/answers")
async def answers() -> str:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    log.warning("answered")
    return "yes"


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: MutableMapping[str, Any]) -> None:
    """Discard the response."""


def scope_of(path: str) -> dict[str, Any]:
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "headers": [],
        "query_string": b"",
    }
    return scope | {"http_version": "1.1", "scheme": "http", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}


async def scrape() -> None:
    await app(scope_of("/metrics"), receive, send)


def request(path: str) -> Any:
    coroutine = app(scope_of(path), receive, send)
    try:
        contextvars.Context().run(coroutine.send, None)
    except StopIteration:
        return None
    return coroutine


def abandon() -> None:
    """A pending request that only the garbage collector can close."""
    cycle: list[Any] = [request("/waits")]
    cycle.append(cycle)
    del cycle
    gc.collect(0)
    log.warning("in a finalizer")
    blogauto_otel.metrics.business.keywords_analyzed.add(1)
    telemetry.status()
    abandoned.append(None)


def log_in_a_thread_of_ours(number: int) -> None:
    thread = start_thread(log_once, "faults", f"round {number}", "a line of a thread of ours")
    assert thread is not None
    thread.join()


request("/answers")  # imports and first-time set-up
request("/waits").close()
gc.collect()
gc.freeze()
interrupt.append(abandon)
deadline = time.monotonic() + WAIT_SECONDS
for number in itertools.count():
    if number >= ROUNDS and (wanted <= set(entered) or time.monotonic() > deadline):
        break
    request("/answers")
    answered.append(None)
    trace.get_tracer(f"tracer {number}")
    get_logger(f"logger {number}")
    blogauto_otel.configure()
    log_in_a_thread_of_ours(number)
    if number % 10 == 0 or number > ROUNDS:
        telemetry.force_flush(5.0)
        asyncio.run(scrape())
interrupt.clear()
ended = telemetry.shutdown(10.0)
print_result(
    {
        "answered": len(answered) + 1,
        "abandoned": len(abandoned) + 1,
        "entered": entered,
        "ended": ended,
        "swallowed": dict(swallowed()),
    }
)
