"""The servers a FastAPI team runs, as command lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

APP = "tests.lifecycle.hit:app"
SCRIPTS = Path(sys.executable).parent

Command = Callable[[int], list[str]]


def _uvicorn(*options: str) -> Command:
    return lambda port: [sys.executable, "-m", "uvicorn", APP, "--port", str(port), "--log-level", "warning", *options]


def _gunicorn(*options: str) -> Command:
    worker = "uvicorn_worker.UvicornWorker"
    return lambda port: [sys.executable, "-m", "gunicorn", APP, "-k", worker, "-b", f"127.0.0.1:{port}", *options]


def launched(command: Command) -> Command:
    """The same server under `opentelemetry-instrument`, which wants a program, not a module."""

    def build(port: int) -> list[str]:
        _, _, module, *rest = command(port)
        return [str(SCRIPTS / "opentelemetry-instrument"), str(SCRIPTS / module), *rest]

    return build


SERVERS: Mapping[str, Command] = {
    "uvicorn": _uvicorn(),
    "uvicorn-2-workers": _uvicorn("--workers", "2"),
    "gunicorn-2-workers": _gunicorn("-w", "2"),
    "gunicorn-preload": _gunicorn("-w", "2", "--preload"),
}

RELOADING = _uvicorn("--reload", "--reload-dir", "tests/lifecycle")
RECYCLING = _gunicorn("-w", "1", "--max-requests", "10")
IMPATIENT = _gunicorn("-w", "1", "--timeout", "2")
