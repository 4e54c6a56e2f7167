"""`blogauto-otel doctor` without a stack: settings that contradict each other, and servers that want a token."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from testkit.processes import environment, python
from tests.doctor.scenarios import answering

pytestmark = pytest.mark.slow


def diagnosed(*options: str, **variables: str) -> Mapping[str, Any]:
    """The results by hop, of a run that sends no telemetry of its own."""
    command = python("-m", "blogauto_otel", "doctor", "--json", *options)
    none = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("METRICS", "LOGS")}
    where = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", **none, **variables}
    done = subprocess.run(command, env=environment(**where), capture_output=True, text=True, timeout=90)
    return {hop["hop"]: hop for hop in json.loads(done.stdout)["hops"]}


@pytest.mark.parametrize(("token", "state"), [("right", "ok"), ("wrong", "broken")])
def test_an_event_is_read_back_from_sentry_with_a_token(token: str, state: str) -> None:
    stored: list[str] = []

    def sentry(request: BaseHTTPRequestHandler) -> tuple[int, object, Mapping[str, str]]:
        if request.path == "/api/7/envelope/":
            assert "sentry_key=key" in request.headers["X-Sentry-Auth"]
            stored.append("accepted")
            return 200, {"id": "0" * 32}, {}
        is_allowed = request.headers["Authorization"] == "Bearer right"
        is_there = bool(stored) and request.path.startswith("/api/0/projects/shop/7/events/")
        return (200 if is_allowed and is_there else 403), {}, {}

    with answering(sentry) as url:
        dsn = url.replace("//", "//key@") + "/7"
        hop = diagnosed("--sentry-dsn", dsn, "--sentry-org", "shop", SENTRY_AUTH_TOKEN=token)["sentry"]
    assert hop["state"] == state
    assert "trace" in hop["detail"] if state == "ok" else "event:read" in hop["fix"]


@pytest.mark.parametrize(("token", "state"), [("right", "ok"), ("wrong", "warning")])
def test_grafana_is_asked_with_its_token(token: str, state: str) -> None:
    def grafana(request: BaseHTTPRequestHandler) -> tuple[int, object, Mapping[str, str]]:
        if request.headers["Authorization"] != "Bearer right":
            return 401, {}, {}
        return 200, [{"uid": "blogauto-overview"}], {}

    with answering(grafana) as url:
        hop = diagnosed("--grafana", url, GRAFANA_TOKEN=token)["grafana"]
    assert hop["state"] == state
    assert "GRAFANA_TOKEN" in hop["fix"] if state == "warning" else "1 boards" in hop["detail"]


def test_settings_that_contradict_each_other_are_named() -> None:
    hops = diagnosed(
        OTEL_SERVICE_NAME="shop",
        OTEL_TRACES_SAMPLER="always_on",
        BLOGAUTO_OTEL_SAMPLE_RATE="0.5",
        OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="true",
    )
    assert (hops["settings"]["state"], hops["sampling"]["state"]) == ("warning", "warning")
    assert "has no effect without BLOGAUTO_OTEL_AI_CONTENT=true" in hops["settings"]["detail"]
    assert "BLOGAUTO_OTEL_SAMPLE_RATE has no effect" in hops["sampling"]["detail"]


def test_a_service_without_a_name_is_told_how_to_get_one() -> None:
    assert "the service has the default name, blogauto-backend" in diagnosed()["settings"]["detail"]
