"""An application that calls `sentry_sdk.init` itself: `python -m tests.sentry.own_client_app WHEN OPTIONS`.

WHEN is `before` or `after` our `configure`; OPTIONS are those of `init`, as JSON. It fails in three ways and prints,
as JSON, its status line on Sentry and what was dropped.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from typing import Any

import httpx
from fastapi import FastAPI

import blogauto_otel
from blogauto_otel.integrations import sentry

log = logging.getLogger("shop")
log.setLevel(logging.INFO)  # the level of the application: telemetry changes none


def initialise(options: dict[str, Any]) -> None:
    import sentry_sdk

    def before_send(event: Any, hint: Any) -> Any:
        event.setdefault("tags", {})["by"] = "the application"
        event.setdefault("extra", {})["password"] = "hunter2"
        return event

    sentry_sdk.init(os.environ["THEIR_DSN"], before_send=before_send, **options)


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/crash")
    def crash() -> None:
        password = "hunter2"
        raise ValueError(f"case:crash {len(password)}")

    @app.get("/logged")
    async def logged() -> None:
        log.error("case:logged")

    @app.get("/calls")
    async def calls() -> None:
        """An outgoing request, whose headers the receiver records."""
        async with httpx.AsyncClient() as client:
            await client.post(os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/called")

    @app.get("/both")
    def both() -> None:
        log.info("looking at %s", "both")
        try:
            raise ValueError("case:both")
        except ValueError:
            log.exception("it failed")
            raise

    return app


async def ask(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        for number, path in enumerate(("crash", "logged", "both", "calls"), 1):
            await client.get(f"/{path}", headers={"traceparent": f"00-{number:032x}-{1:016x}-01"})


def main(when: str, options: str) -> None:
    if when == "before":
        initialise(json.loads(options))
    telemetry = blogauto_otel.configure()
    imported = "sentry_sdk" in sys.modules
    if when == "after":
        initialise(json.loads(options))
    asyncio.run(ask(application()))
    telemetry.force_flush(20.0)
    status = telemetry.status().as_dict()
    print(
        json.dumps(
            {
                "sentry": status["instrumentation"]["sentry"],
                "imported": imported,
                "dropped": dropped(),
                "swallowed": status["swallowed"],
            }
        )
    )


def dropped() -> dict[str, int]:
    link = sentry._state.link
    return {reason: lost for reason, lost in link._transport_stats.dropped.items() if lost} if link is not None else {}


if __name__ == "__main__":
    main(*sys.argv[1:])
