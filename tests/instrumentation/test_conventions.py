"""The environment belongs to the application: ours emit stable conventions without a variable set for it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from opentelemetry.instrumentation import _semconv
from opentelemetry.instrumentation.requests import RequestsInstrumentor

from blogauto_otel.instrumentation import conventions
from blogauto_otel.testing import capture_telemetry

VARIABLE = "OTEL_SEMCONV_STABILITY_OPT_IN"
HTTP, DATABASE = _semconv._OpenTelemetryStabilitySignalType.HTTP, _semconv._OpenTelemetryStabilitySignalType.DATABASE


@pytest.fixture(autouse=True)
def _unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process in which no instrumentation has read the variable yet."""
    monkeypatch.setattr(_semconv._OpenTelemetrySemanticConventionStability, "_initialized", False)


@pytest.fixture
def url() -> Iterator[str]:
    """A server that answers every GET."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_ours_are_stable_and_the_applications_own_are_as_without_us(url: str) -> None:
    with capture_telemetry(disabled_instrumentations=("requests",)) as telemetry:
        RequestsInstrumentor().instrument()
        try:
            httpx.get(url)
            requests.get(url, timeout=5)
        finally:
            RequestsInstrumentor().uninstrument()
    methods = [
        {name for name in span.attributes or {} if name in ("http.method", "http.request.method")}
        for span in telemetry.spans
    ]
    assert methods == [{"http.request.method"}, {"http.method"}]


def asked_by(module: str) -> tuple[str, str]:
    """What an instrumentation in `module` would emit, of HTTP and of databases."""
    its: dict[str, Any] = {"__name__": module, "semconv": _semconv, "signals": (HTTP, DATABASE)}
    exec("modes = semconv._get_semconv_opt_in_modes(signals)", its)
    return its["modes"][HTTP].value, its["modes"][DATABASE].value


@pytest.mark.needs("opentelemetry-instrumentation>=0.66b0")  # asks a private function of it
@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (None, ("http", "database")),
        ("", ("http", "database")),
        ("http/dup", ("http/dup", "database")),
        ("gen_ai_latest_experimental", ("http", "database")),
        ("http, database/dup", ("http", "database/dup")),
    ],
)
def test_what_the_user_opted_into_stays(
    chosen: str | None, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if chosen is not None:
        monkeypatch.setenv(VARIABLE, chosen)
    conventions.prefer_stable("redis")
    try:
        assert asked_by("opentelemetry.instrumentation.redis") == expected
        assert asked_by("opentelemetry.instrumentation.redis.util") == expected
    finally:
        conventions.forget("redis")


@pytest.mark.needs("opentelemetry-instrumentation>=0.66b0")
def test_only_those_that_are_ours_are_asked_for() -> None:
    conventions.prefer_stable("redis")
    assert asked_by("opentelemetry.instrumentation.redis_of_others") == ("default", "default")
    conventions.forget("redis")
    assert asked_by("opentelemetry.instrumentation.redis") == ("default", "default")


PROGRAM = """
import os
before = dict(os.environ)
{work}
assert dict(os.environ) == before, dict(os.environ).keys() ^ before.keys()
"""
WORK = {
    "configured and shut down": """
import blogauto_otel, fastapi, httpx, sqlalchemy
handle = blogauto_otel.configure({settings})
fastapi.FastAPI()
assert dict(os.environ) == before
handle.shutdown()
""",
    "launched": """
from blogauto_otel.distro import BlogautoConfigurator, BlogautoDistro
BlogautoDistro().configure()
BlogautoConfigurator().configure()
import fastapi, httpx, sqlalchemy
""",
}
OFF = ", ".join(f'{signal}_exporter="none"' for signal in ("traces", "metrics", "logs"))


@pytest.mark.parametrize(
    ("work", "settings"),
    [
        ("configured and shut down", OFF),
        ("configured and shut down", f'{OFF}, requests="contrib", sqlalchemy="contrib"'),
        ("launched", ""),
    ],
)
def test_the_environment_is_as_it_was(work: str, settings: str) -> None:
    """So is that of every child process."""
    program = PROGRAM.format(work=WORK[work].format(settings=settings))
    environ = {
        **os.environ,
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "PYTHONPATH": str(Path.cwd()),
    }
    environ["OTEL_LOGS_EXPORTER"] = "none"
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
