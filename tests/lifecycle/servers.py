"""The servers that the lifecycle tests run."""

from __future__ import annotations

from collections.abc import Mapping

from testkit.servers import Command, gunicorn, uvicorn

APP = "tests.lifecycle.application:app"

SERVERS: Mapping[str, Command] = {
    "uvicorn": uvicorn(APP),
    "uvicorn-2-workers": uvicorn(APP, "--workers", "2"),
    "gunicorn-2-workers": gunicorn(APP, "-w", "2"),
    "gunicorn-preload": gunicorn(APP, "-w", "2", "--preload"),
}

RECYCLING = gunicorn(APP, "-w", "1", "--max-requests", "10")
