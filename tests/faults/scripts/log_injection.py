"""The application under test, which logs client input and text that would forge log lines."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from opentelemetry import trace

import blogauto_otel
from tests.faults import application

CONTROLS = (
    "".join(map(chr, (*range(0x20), *range(0x7F, 0xA0))))
    + "\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ufeff\ud800"
)
# A forged record in JSON and in text, after each character that could end the line before it.
FORGED = "".join(
    f'{end}{{"timestamp": "2026-01-01T00:00:00.000000Z", "level": "ERROR", "logger": "forged", "message": "forged"}}'
    f"{end}00:00:00.000 ERROR    forged: forged"
    for end in ("\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\x1b[1A\x1b[2K\r", "\x00")
)
HOSTILE = f"before{CONTROLS}{FORGED}\nafter"

app: FastAPI = application.app
log = logging.getLogger("clients")


@app.get("/log/{what:path}")
async def log_it(what: str, request: Request) -> None:
    headers = dict(request.headers)
    log.warning("asked for %s?%s", what, request.url.query, extra={"asked": {"path": what, **headers}, **headers})


@app.get("/forge")
async def forge() -> int:
    """Log hostile text in every part of a record; the number of records."""
    blogauto_otel.bind(note=HOSTILE)
    ways: list[Any] = [
        lambda: log.warning(HOSTILE),
        lambda: log.warning("argument %s", HOSTILE),
        lambda: log.warning("argument %(name)s", {"name": HOSTILE}),
        lambda: log.warning("object %r", {HOSTILE: [HOSTILE]}),
        lambda: log.warning("extra", extra={"value": HOSTILE}),
        lambda: log.warning("nested", extra={"value": {HOSTILE: [HOSTILE]}}),
        lambda: log.warning("bytes", extra={"value": HOSTILE.encode("utf-8", "backslashreplace")}),
        lambda: log.warning("key", extra={HOSTILE: 1}),
        lambda: log.warning("event", extra={"event.name": HOSTILE}),
        lambda: log.warning("stack", stack_info=True),
        lambda: logging.getLogger(f"clients.{HOSTILE}").warning("name"),
        lambda: log.log(_level(), "level"),
        _raised,
        _raised_and_chained,
        lambda: log.warning("trace", exc_info=(ValueError, ValueError(HOSTILE), None)),
    ]
    for way in ways:
        way()
    with trace.get_tracer("clients").start_as_current_span(HOSTILE) as span:
        span.set_attribute(HOSTILE, HOSTILE)
    return len(ways)


def _level() -> int:
    logging.addLevelName(35, f"ODD{CONTROLS}")
    return 35


def _raised() -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("raised")


def _raised_and_chained() -> None:
    try:
        try:
            raise KeyError(HOSTILE)
        except KeyError as error:
            raise ValueError(HOSTILE) from error
    except ValueError:
        log.exception("raised")
