"""Under a tracer provider that somebody else has installed, our instrumentation asks for nothing but the API."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from testkit.environments import environment
from testkit.processes import ROOT
from testkit.processes import environment as variables

PROVIDERS = ("the SDK", "the API alone")


def observed(python: str | Path, provider_of: str) -> dict[str, Any]:
    """What a request, a statement, an operation and a failure look like to the provider."""
    command = [str(python), "-m", "tests.instrumentation.foreign_provider", provider_of]
    done = subprocess.run(command, cwd=ROOT, env=variables(), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def is_whole(found: dict[str, Any]) -> None:
    assert found["answers"] == [200, 500]
    assert found["swallowed"] == {}
    spans = {span["name"]: span for span in found["spans"]}
    assert {"GET /orders/{number}", "SELECT", "shop.find", "GET /broken"} <= spans.keys()
    request = spans["GET /orders/{number}"]
    assert request["attributes"]["http.route"] == "/orders/{number}"
    assert request["attributes"]["by"] == "the application"
    assert spans["SELECT"]["parent"] == spans["shop.find"]["id"]
    assert spans["shop.find"]["parent"] == request["id"]
    assert spans["GET /broken"]["status"] == "ERROR"


@pytest.mark.slow
@pytest.mark.parametrize("provider_of", PROVIDERS)
def test_our_spans_arrive_at_a_provider_of(provider_of: str) -> None:
    is_whole(observed(sys.executable, provider_of))


@pytest.mark.long
def test_our_spans_arrive_at_logfire() -> None:
    python = environment(
        "logfire", "logfire>=4", "fastapi>=0.110", "httpx", "sqlalchemy>=2.0", "greenlet", "typing-extensions"
    )
    is_whole(observed(python, "logfire"))
