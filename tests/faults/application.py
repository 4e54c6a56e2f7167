"""The application that faults are injected into: it makes telemetry, does a deed when asked, and says how it stands."""

from __future__ import annotations

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
from tests.faults import deeds

configure = blogauto_otel.configure  # this imports the SDK, which wants threads already
for name in filter(None, os.environ.get("DEEDS_BEFORE", "").split(",")):
    deeds.DEEDS[name]()

began = time.monotonic()
telemetry = configure(**deeds.arguments())
configuring = time.monotonic() - began


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    for name in filter(None, os.environ.get("DEEDS_AT_THE_END", "").split(",")):
        deeds.DEEDS[name]()


app = FastAPI(lifespan=lifespan)
tracer = trace.get_tracer("faults")
log = logging.getLogger("faults")


@app.get("/ready")
async def ready() -> float:
    return configuring


@app.get("/hit/{number}")
async def hit(number: int) -> list[str]:
    """Two spans, a log record and a count; the answer is the ids of the spans."""
    server = trace.get_current_span().get_span_context()
    with tracer.start_as_current_span("inner") as inner:
        log.warning("hit %d", number)
        blogauto_otel.metrics.business.keywords_analyzed.add(1)
    return [f"{context.span_id:016x}" for context in (server, inner.get_span_context())]


@app.get("/do/{name}")
def do(name: str, given: str = "{}") -> Any:
    """Run a deed, in a thread as FastAPI runs what is no coroutine; the answer is what it returned."""
    return deeds.DEEDS[name](**json.loads(given))


@app.get("/wait")
async def wait(seconds: float) -> list[str]:
    import asyncio

    await asyncio.sleep(seconds)
    return [f"{trace.get_current_span().get_span_context().span_id:016x}"]


@app.get("/freeze")
async def freeze(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251 - the event loop stands still, as a worker's does that times out


@app.get("/busy")
async def busy(seconds: float) -> int:
    """Record all the while; the event loop has time for nothing else."""
    until, times = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        deeds.record("busy")
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
    """How this process and its telemetry stand."""
    return {
        "pid": os.getpid(),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        **telemetry.status().as_dict(),
    }
