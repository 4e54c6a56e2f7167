"""Any optional part may be missing, broken or too old: the application starts and answers nevertheless."""

from __future__ import annotations

import subprocess

import pytest

from testkit.processes import environment, python

pytestmark = pytest.mark.slow

PARTS = (
    "fastapi.telemetry",
    "sqlalchemy",
    "psutil",
    "prometheus_client",
    "sentry_sdk",
    "redis",
    "httpx",
    "wrapt",
    "structlog",
    "opentelemetry.sdk",
    "opentelemetry.instrumentation",
)
FAILURES = {
    "missing": "ModuleNotFoundError(f'No module named {name!r}', name=name)",
    "broken": "TypeError('duplicate base class TimeoutError')",
    "hostile": "RuntimeError('at import')",
}

SCRIPT = """
import importlib.abc, sys

class Broken(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == {part!r} or name.startswith({part!r} + "."):
            raise {failure}

for module in [m for m in sys.modules if m == {part!r} or m.startswith({part!r} + ".")]:
    del sys.modules[module]
sys.meta_path.insert(0, Broken())

import blogauto_otel
telemetry = blogauto_otel.configure(endpoint="http://127.0.0.1:9")

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
import asyncio

app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("fine"))])
sent = []

async def main():
    async def receive():
        return {{"type": "http.request", "body": b""}}
    async def send(message):
        sent.append(message)
    scope = {{"type": "http", "asgi": {{"version": "3.0"}}, "http_version": "1.1", "method": "GET", "scheme": "http",
              "path": "/", "raw_path": b"/", "query_string": b"", "root_path": "", "headers": [],
              "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}}
    await app(scope, receive, send)

asyncio.run(main())
assert sent[0]["status"] == 200 and sent[1]["body"] == b"fine", sent
print(telemetry.status())
telemetry.shutdown(0.5)
"""


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("part", PARTS)
def test_an_application_starts_and_answers_without(part: str, failure: str) -> None:
    script = SCRIPT.format(part=part, failure=FAILURES[failure])
    done = subprocess.run(python("-c", script), capture_output=True, text=True, env=environment(), timeout=120)
    assert done.returncode == 0, done.stderr
