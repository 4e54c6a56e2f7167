"""The application under test with a `/metrics` of its own that works, and one that fails."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from tests.faults import application

app: FastAPI = application.app
broken = FastAPI(lifespan=application.lifespan)
broken.router.routes.extend(app.router.routes)


@app.get("/metrics", response_class=PlainTextResponse)
async def metrics() -> str:
    return "own 1\n"


@broken.get("/metrics")
async def never() -> None:
    raise NameError("monitoring")
