"""The application of the server tests: it configures logging before or after telemetry, as `LOGGING` says."""

from __future__ import annotations

import logging
import logging.config
import os

from fastapi import FastAPI

import blogauto_otel

# The default of `disable_existing_loggers` silences uvicorn, which configured its loggers before this is imported.
CONFIGURATION = {
    "version": 1,
    "formatters": {"plain": {"format": "MINE %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}

when = os.environ.get("LOGGING")
if when == "before":
    logging.config.dictConfig(CONFIGURATION)
if os.environ.get("CONFIGURE", "1") == "1":
    blogauto_otel.configure()
if when == "after":
    logging.config.dictConfig(CONFIGURATION)

log = logging.getLogger("shop")
app = FastAPI()


@app.get("/ready")
async def ready() -> str:
    return "ready"


@app.get("/order")
async def order() -> str:
    blogauto_otel.bind(user_id="42")
    log.info("order placed")
    return "ok"


@app.get("/fail")
async def fail() -> str:
    raise LookupError("no such order")
