"""The options of an application's own Sentry client: what it sends and does is the same with us and without us."""

from __future__ import annotations

import functools
import json
import subprocess
from typing import Any

import pytest

from testkit.envelope_receiver import EnvelopeReceiver, Event
from testkit.processes import ROOT, environment, python
from testkit.receiver import Receiver
from tests.sentry.own_options_app import MANY, OPTIONS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sentry own options")]

Outcome = tuple[dict[str, Any], list[dict[str, Any]]]


@functools.cache
def run(when: str, options: str) -> Outcome:
    """The output of the application, and the compared facts of its events."""
    with EnvelopeReceiver() as sentry, Receiver() as collector:
        variables = {"THEIR_DSN": sentry.dsn, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        command = python("-m", "tests.sentry.own_options_app", when, options)
        done = subprocess.run(command, cwd=ROOT, env=environment(**variables), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]), [facts(event) for event in sentry.events]


def facts(event: Event) -> dict[str, Any]:
    """The facts that the application's options decide."""
    data = event.data
    breadcrumbs = [one for one in data.get("breadcrumbs", {}).get("values", ()) if one.get("category") == "shop"]
    return {
        "text": event.text,
        "mechanism": [one.get("mechanism") for one in event.exceptions],
        "logentry": data.get("logentry"),
        "level": data["level"],
        "logger": data.get("logger"),
        "breadcrumbs": [one["message"] for one in breadcrumbs],
        "transaction": data.get("transaction"),
        "url": data.get("request", {}).get("url"),
        "tag": data.get("tags", {}).get("of"),
    }


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("options", OPTIONS)
def test_an_applications_own_client_behaves_as_without_us(options: str, when: str) -> None:
    assert run(when, options) == run("alone", options)


@pytest.mark.parametrize("when", ["alone", "before"])
def test_the_comparison_sees_what_it_compares(when: str) -> None:
    results, events = run(when, "limits")
    assert results["meta"] == ["sentry-trace", "baggage"]
    assert "private line" in results["breadcrumbs"]
    (crash,) = [event for event in events if "case:crash" in event["text"]]
    assert crash["breadcrumbs"] == ["first line", "last line"]
    assert (crash["mechanism"][0]["type"], crash["tag"]) == ("starlette", "crash")
    (handled,) = [event for event in events if "case:handled" in event["text"]]
    assert handled["logentry"]["params"] == ["alice"]
    assert len([event for event in events if "case:many" in event["text"]]) == MANY, "no rate limit of ours"
    assert len([event for event in events if "case:status" in event["text"]]) == 1
    _, of_logs = run(when, "no breadcrumbs of logs")
    assert {tuple(event["breadcrumbs"]) for event in of_logs} == {()}
    _, by_status = run(when, "status codes")
    (status,) = [event["text"] for event in by_status if "case:status" in event["text"]]
    assert "case:status-404" in status
