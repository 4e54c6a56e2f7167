"""The application under test: it records telemetry, runs actions on request, and reports its status."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from opentelemetry import trace

import blogauto_otel
from tests.faults import actions

configure = blogauto_otel.configure  # imports the SDK, which starts threads
for name in filter(None, os.environ.get("ACTIONS_BEFORE", "").split(",")):
    actions.ACTIONS[name]()

began = time.monotonic()
telemetry = configure(**actions.arguments())
configuring = time.monotonic() - began


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    for name in filter(None, os.environ.get("ACTIONS_AT_SHUTDOWN", "").split(",")):
        actions.ACTIONS[name]()


app = FastAPI(lifespan=lifespan)
tracer = trace.get_tracer("faults")
log = logging.getLogger("faults")


@app.get("/ready")
async def ready() -> float:
    return configuring


@app.get("/hit/{number}")
async def hit(number: int) -> list[str]:
    """Record two spans, a log record and a count; the response is the ids of the spans."""
    server = trace.get_current_span().get_span_context()
    with tracer.start_as_current_span("inner") as inner:
        log.warning("hit %d", number)
        blogauto_otel.metrics.business.keywords_analyzed.add(1)
    return [f"{context.span_id:016x}" for context in (server, inner.get_span_context())]


@app.get("/action/{name}")
def run_action(name: str, arguments: str = "{}") -> Any:
    """Run an action in FastAPI's thread pool; the response is what it returned."""
    return actions.ACTIONS[name](**json.loads(arguments))


@app.get("/streams")
async def streams(times: int) -> None:
    """Leave asynchronous generators in the middle of their operation; the event loop closes them in other contexts."""

    async def items() -> AsyncIterator[int]:
        with blogauto_otel.operation("stream"):
            yield 1
            yield 2

    async def first() -> int:
        async for item in items():
            return item
        return 0

    for _ in range(times):
        await asyncio.create_task(first())
    gc.collect()
    await asyncio.sleep(0.1)


@app.get("/wait")
async def wait(seconds: float) -> list[str]:
    await asyncio.sleep(seconds)
    return [f"{trace.get_current_span().get_span_context().span_id:016x}"]


@app.get("/freeze")
async def freeze(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251 - block the event loop, as a worker that times out does


@app.get("/busy")
async def busy(seconds: float) -> int:
    """Record without a pause; the event loop runs nothing else."""
    until, times = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        actions.record("busy")
        times += 1
    return times


@app.get("/sized")
async def sized() -> str:
    return "x" * 300_000


@app.get("/streamed")
async def streamed() -> StreamingResponse:
    return StreamingResponse(iter(['"stream', 'ed"']), media_type="application/json")


@app.get("/state")
async def state() -> dict[str, Any]:
    """The status of this process and of its telemetry."""
    return {
        "pid": os.getpid(),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        **telemetry.status().as_dict(),
    }
