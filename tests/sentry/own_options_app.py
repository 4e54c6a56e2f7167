"""An application whose own Sentry client has options of all kinds: `python -m tests.sentry.own_options_app WHEN`.

WHEN is `before` or `after` our `configure`, or `alone`, without it. What it prints as JSON and the events it sends are
the same in all three cases.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sys
from typing import Any

import httpx
import sentry_sdk
from fastapi import FastAPI, HTTPException
from sentry_sdk.integrations.fastapi import FastApiIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.integrations.starlette import StarletteIntegration

import blogauto_otel

log = logging.getLogger("shop")
STATUSES = {404, 500}
MANY = 40

OPTIONS: dict[str, dict[str, Any]] = {
    "limits": {"max_breadcrumbs": 2},
    "no breadcrumbs of logs": {"integrations": [LoggingIntegration(level=None)]},
    "no events of logs": {"integrations": [LoggingIntegration(event_level=None)]},
    "warnings too": {"integrations": [LoggingIntegration(event_level=logging.WARNING)]},
    "status codes": {
        "integrations": [
            StarletteIntegration(failed_request_status_codes=STATUSES),
            FastApiIntegration(failed_request_status_codes=STATUSES),
        ]
    },
}

seen_breadcrumbs: list[str] = []


def before_breadcrumb(breadcrumb: Any, hint: Any) -> Any:
    seen_breadcrumbs.append(str(breadcrumb.get("message")))
    return None if "private" in str(breadcrumb.get("message")) else breadcrumb


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/crash")
    def crash() -> None:
        sentry_sdk.set_tag("of", "crash")
        log.info("first %s", "line")
        log.info("private line")
        log.info("last line")
        raise ValueError("case:crash")

    @app.get("/handled")
    async def handled() -> None:
        try:
            raise KeyError("case:handled")
        except KeyError:
            log.exception("it failed for %s", "alice")

    @app.get("/warned")
    async def warned() -> None:
        log.warning("case:warned")

    @app.get("/status/{code}")
    async def status(code: int) -> None:
        raise HTTPException(code, f"case:status-{code}")

    @app.get("/many")
    async def many() -> None:
        for _ in range(MANY):
            log.error("case:many")

    @app.get("/meta")
    async def meta() -> str:
        return sentry_sdk.get_current_scope().trace_propagation_meta()

    return app


async def request_all(app: FastAPI) -> dict[str, Any]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    answers = {}
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        for path in ("crash", "handled", "warned", "status/404", "status/503", "many", "meta"):
            answers[path] = await client.get(f"/{path}")
    return {"meta": re.findall(r'name="([\w-]+)"', answers["meta"].json())}


def main(when: str, options: str) -> None:
    def initialise() -> None:
        sentry_sdk.init(os.environ["THEIR_DSN"], before_breadcrumb=before_breadcrumb, **OPTIONS[options])

    log.setLevel(logging.INFO)
    if when == "before":
        initialise()
    telemetry = blogauto_otel.configure() if when != "alone" else None
    if when != "before":
        initialise()
    results = asyncio.run(request_all(application()))
    sentry_sdk.flush(20.0)
    if telemetry is not None:
        telemetry.force_flush(20.0)
    ours = [text for text in seen_breadcrumbs if "line" in text or "case:" in text]
    print(json.dumps({**results, "breadcrumbs": ours}))


if __name__ == "__main__":
    main(*sys.argv[1:])
