"""The application under load, as uvicorn imports it: forty routes of which two get load, SQLite, and a log.

`LOAD_SETUP` names what watches it. It runs in environments without our dependencies as well.
"""

from __future__ import annotations

import gc
import logging
import os
import time
from typing import Any

from benchmarks.load.setups import OTHERS, SETUPS

OTHER_ROUTES = 38


def build(**arguments: Any) -> tuple[Any, Any]:
    """The application and its engine."""
    import sqlalchemy as sa
    from fastapi import FastAPI
    from pydantic import BaseModel
    from sqlalchemy.pool import StaticPool

    class Query(BaseModel):
        site: str
        keywords: list[str]
        limit: int

    posts = sa.Table("posts", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))
    select = sa.select(posts.c.id).where(posts.c.id == 7)
    engine = sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    posts.metadata.create_all(engine)
    log = logging.getLogger("load")
    app = FastAPI(**arguments)
    for number in range(OTHER_ROUTES):
        app.get(f"/api/other{number}/{{item}}")(plain)
    app.get("/plain")(plain)
    app.get("/collections")(Collections().since_last_time)

    async def full(query: Query) -> dict[str, Any]:
        log.info("analyzing %d keywords for %s", len(query.keywords), query.site)
        with engine.connect() as connection:
            connection.execute(select).first()
        return {"keywords": query.keywords}

    full.__annotations__["query"] = Query  # a local class, which FastAPI cannot find by its name
    app.post("/full")(full)
    return app, engine


async def plain() -> dict[str, bool]:
    return {"ok": True}


class Collections:
    """The full collections of the garbage collector."""

    def __init__(self) -> None:
        self._began = 0.0
        self._seconds: list[float] = []
        gc.callbacks.append(self._on_phase)

    def _on_phase(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] != 2:
            return
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self._seconds.append(time.perf_counter() - self._began)

    async def since_last_time(self) -> list[float]:
        """Their seconds since the last call."""
        seconds, self._seconds = self._seconds, []
        return seconds


def _application() -> Any:
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(logging.NullHandler())
    for name in ("httpx", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)  # an exporter's requests are not the application's log
    return {**SETUPS, **OTHERS}[os.environ["LOAD_SETUP"]].build(build)


app = _application()
