"""The application under soak: each request records two spans, a log record and a count, here or in a forked child."""

from __future__ import annotations

import logging
import multiprocessing
import os
from multiprocessing.connection import Connection
from typing import Any

from fastapi import FastAPI
from opentelemetry import trace

import blogauto_otel

TIMEOUT = 15.0  # seconds for a child to record, flush and end

blogauto_otel.configure()
app = FastAPI()
tracer = trace.get_tracer("soak")
log = logging.getLogger("soak")
forking = multiprocessing.get_context("fork")


@app.get("/ready")
async def ready() -> str:
    return "ready"


@app.get("/hit/{number}")
async def hit(number: int) -> dict[str, Any]:
    return _response(*_record(number))


@app.get("/fork/{number}")
def fork(number: int) -> dict[str, Any]:
    """The same in a child, forked in a thread while the event loop serves requests and the worker exports."""
    reading, writing = forking.Pipe(duplex=False)
    child = forking.Process(target=_in_child, args=(writing, number))
    child.start()
    writing.close()
    recorded = reading.recv() if reading.poll(TIMEOUT) else (0, 0)
    reading.close()
    child.join(TIMEOUT)
    ended = child.exitcode == 0
    if child.is_alive():
        child.kill()
        child.join()
    child.close()
    return _response(*recorded) | {"ended": ended}


def _in_child(writing: Connection, number: int) -> None:
    writing.send(_record(number))


def _record(number: int) -> tuple[int, int]:
    """The id of the inner span, and of the process."""
    with tracer.start_as_current_span("inner") as inner:
        log.warning("soak %d", number)
        blogauto_otel.metrics.business.keywords_analyzed.add(1)
    return inner.get_span_context().span_id, os.getpid()


def _response(inner: int, pid: int) -> dict[str, Any]:
    server = trace.get_current_span().get_span_context().span_id
    return {"pid": pid, "spans": [f"{server:016x}", f"{inner:016x}"], "ended": True}
