"""The application of the lifecycle tests: each request records an inner span, a log record and a count."""

from __future__ import annotations

import asyncio
import logging
import os

from fastapi import FastAPI
from opentelemetry import trace

import blogauto_otel

if os.environ.get("HIT_CONFIGURE", "1") == "1":
    blogauto_otel.configure()

app = FastAPI()
tracer = trace.get_tracer("hit")
log = logging.getLogger("hit")


@app.get("/ready")
async def ready() -> str:
    return "ready"


@app.get("/pid")
async def pid() -> int:
    return os.getpid()


@app.get("/hit")
async def hit() -> str:
    with tracer.start_as_current_span("inner"):
        log.warning("hit")
        blogauto_otel.metrics.business.keywords_analyzed.add(1)
    return "hit"


@app.get("/slow")
async def slow(seconds: float = 1.0) -> str:
    with tracer.start_as_current_span("slow inner"):
        await asyncio.sleep(seconds)
    return "slow"


@app.get("/block")
def block(seconds: float = 30.0) -> str:
    import time

    time.sleep(seconds)
    return "blocked"
