"""An application in whose spans, log records and errors each reported text stands; run by test_reported_texts.py."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import httpx
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

import blogauto_otel
from tests.redaction.test_reported_texts import LEAKED

log = logging.getLogger("shop")
app = FastAPI()


@app.get("/crash/{number}")
async def crash(number: int) -> None:
    raise ValueError(LEAKED[number])


@app.get("/say/{number}")
async def say(number: int) -> None:
    text = LEAKED[number]
    log.error("said %s", text)
    log.error(text)
    log.error("said", extra={"note": text})
    try:
        raise RuntimeError(text)
    except RuntimeError:
        log.exception("failed")
    with contextlib.suppress(RuntimeError), blogauto_otel.operation("order", note=text):
        raise RuntimeError(text)
    with trace.get_tracer("shop").start_as_current_span("item", attributes={"note": text}) as span:
        span.add_event("said", {"note": text})
        span.set_status(Status(StatusCode.ERROR, text))


async def main() -> None:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for number in range(len(LEAKED)):
            await client.get(f"/say/{number}")
            await client.get(f"/crash/{number}")


if __name__ == "__main__":
    blogauto_otel.configure(service_name="shop", console="text")
    asyncio.run(main())
