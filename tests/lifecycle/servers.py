"""The servers that the lifecycle tests run."""

from __future__ import annotations

from collections.abc import Mapping

from testkit.servers import Command, granian, gunicorn, hypercorn, uvicorn

APP = "tests.lifecycle.application:app"

SERVERS: Mapping[str, Command] = {
    "uvicorn": uvicorn(APP),
    "uvicorn-2-workers": uvicorn(APP, "--workers", "2"),
    "gunicorn-2-workers": gunicorn(APP, "-w", "2"),
    "gunicorn-preload": gunicorn(APP, "-w", "2", "--preload"),
    "hypercorn": hypercorn(APP),
    "hypercorn-2-workers": hypercorn(APP, "--workers", "2"),
    "granian": granian(APP),
    "granian-2-workers": granian(APP, "--workers", "2"),
}

STARTING_WORKERS: Mapping[str, int] = {"granian-2-workers": 2}
"""Servers that do not stop a worker which is still starting when SIGTERM arrives, with any application."""

RECYCLING = gunicorn(APP, "-w", "1", "--max-requests", "10")
