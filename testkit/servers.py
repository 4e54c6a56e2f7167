"""Command lines of the servers that run a FastAPI application, by port."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from testkit.ports import LOOPBACK
from testkit.processes import python

SCRIPTS = Path(sys.executable).parent

Command = Callable[[int], list[str]]


def uvicorn(app: str, *options: str) -> Command:
    """`python -m uvicorn`, quiet unless `options` say otherwise."""
    return lambda port: python("-m", "uvicorn", app, "--port", str(port), "--log-level", "warning", *options)


def gunicorn(app: str, *options: str) -> Command:
    """`python -m gunicorn` with uvicorn's worker class."""
    worker = "uvicorn_worker.UvicornWorker"
    return lambda port: python("-m", "gunicorn", app, "-k", worker, "-b", f"{LOOPBACK}:{port}", *options)


def hypercorn(app: str, *options: str) -> Command:
    """`python -m hypercorn`, with asyncio."""
    return lambda port: python("-m", "hypercorn", app, "--bind", f"{LOOPBACK}:{port}", *options)


def granian(app: str, *options: str) -> Command:
    """`python -m granian` with its ASGI interface."""
    command = ("-m", "granian", "--interface", "asgi", "--host", LOOPBACK, "--log-level", "warning")
    return lambda port: python(*command, "--port", str(port), *options, app)


def launched(command: Command) -> Command:
    """The same server under `opentelemetry-instrument`, which takes a program, not a module."""

    def build(port: int) -> list[str]:
        _, _, module, *rest = command(port)
        return [str(SCRIPTS / "opentelemetry-instrument"), str(SCRIPTS / module), *rest]

    return build
