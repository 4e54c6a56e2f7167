"""The blog's HTTP interface: plain FastAPI, without telemetry code."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI

from examples.blog import accounts, database, outside, publishing, vault, writing
from examples.blog.protection import Protection, protect
from examples.blog.settings import BlogSettings


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings = BlogSettings.from_env()
    app.state.protection = Protection(requests_per_minute=settings.requests_per_minute)
    async with (
        database.opened(settings.database_url, demo_password=settings.demo_password) as app.state.sessions,
        outside.connected(settings) as app.state.outside,
    ):
        yield


app = FastAPI(title="BlogAuto example", lifespan=lifespan)


@app.get("/api/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


for part in (accounts, writing, publishing, vault):
    app.include_router(part.router, dependencies=[Depends(protect)])
