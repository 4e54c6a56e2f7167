"""An application's own `sentry_sdk.init`, before or after ours: client and options stay, and its events are linked."""

from __future__ import annotations

import functools
import json
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib import util
from typing import Any

import pytest

import blogauto_otel
from blogauto_otel import _configure
from blogauto_otel.errors import MissingDependencyError
from testkit.envelope_receiver import EnvelopeReceiver, Event
from testkit.processes import ROOT, environment, python
from testkit.receiver import Receiver, Span

slow = pytest.mark.slow
pytestmark = pytest.mark.xdist_group("sentry own client")


@dataclass
class Outcome:
    """The outcome of one run of the application."""

    events: list[Event]
    kinds: set[str]
    spans: list[Span]
    status: dict[str, Any]
    headers: list[tuple[str, set[str]]]  # of what was asked of the Collector, by path
    output: str

    def event(self, case: str) -> Event:
        (only,) = [event for event in self.events if f"case:{case}" in event.text]
        return only


@functools.cache
def run_app(when: str, options: str = "{}", *, dsn: bool = False) -> Outcome:
    """Run it once, with our own DSN beside its own or without one."""
    with EnvelopeReceiver() as sink, EnvelopeReceiver() as ours, Receiver() as receiver:
        chosen = {
            "THEIR_DSN": sink.dsn,
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "BLOGAUTO_OTEL_SENTRY_PROFILES_RATE": "0",
            **({"SENTRY_DSN": ours.dsn} if dsn else {}),
        }
        command = python("-m", "tests.sentry.own_client_app", when, options)
        done = subprocess.run(command, cwd=ROOT, env=environment(**chosen), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        status = json.loads(done.stdout.splitlines()[-1])
        assert ours.items == []
        kinds = {item.kind for item in sink.items}
        headers = [(request.path, {name.lower() for name in request.headers}) for request in receiver.requests]
        return Outcome(sink.events, kinds, list(receiver.spans), status, headers, done.stdout + done.stderr)


CASES = {"crash": 1, "logged": 2, "both": 3}  # with the number of its trace


@slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("dsn", [True, False], ids=["with SENTRY_DSN", "without"])
def test_its_events_are_linked_once_each(when: str, dsn: bool) -> None:
    """With Sentry's default integrations, which capture crashes and log records, too."""
    outcome = run_app(when, dsn=dsn)
    assert len(outcome.events) == len(CASES), [event.text for event in outcome.events]
    for case, number in CASES.items():
        event = outcome.event(case)
        assert int(event.trace_id, 16) == number
        spans = [span for span in outcome.spans if span.trace_id == event.trace_id and span.kind == "SERVER"]
        assert [span.span_id for span in spans] == [event.span_id]
        assert [span.attributes["sentry.event_id"] for span in spans] == [event.id]
    assert outcome.status["dropped"] == {}, "a duplicate is no loss"
    assert outcome.status["swallowed"] == {}


@slow
def test_its_propagation_headers_are_on_requests_of_the_application_and_not_on_our_exports() -> None:
    headers = run_app("before").headers
    assert {path for path, _ in headers} >= {"/called", "/v1/traces", "/v1/logs"}
    for path, names in headers:
        assert ("sentry-trace" in names) is ("traceparent" in names) is (path == "/called"), path


@slow
def test_its_before_send_runs_first_and_nothing_private_is_sent_after_it() -> None:
    """Sentry collects frame variables by default: they are redacted."""
    event = run_app("before").event("crash")
    assert event.data["tags"]["by"] == "the application"
    assert event.data["extra"]["password"] == "[redacted:password]"
    assert "hunter2" not in json.dumps(event.data)
    frames = [frame for frame in event.exceptions[-1]["stacktrace"]["frames"] if frame["function"] == "crash"]
    assert frames[0]["vars"] == {"password": "[Filtered]"}  # by the scrubber of the application's client


@slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_its_events_describe_the_runtime_as_without_us(when: str) -> None:
    contexts = run_app(when).event("crash").data["contexts"]
    assert contexts["runtime"] == {"name": "CPython", "version": platform.python_version(), "build": sys.version}


@slow
def test_the_status_line_says_whose_client_it_is_and_what_could_not_be_changed() -> None:
    status = run_app("before").status["sentry"]
    assert re.match(r"on \(errors to 127\.0\.0\.1:\d+ by the application's own client, whose options stay; ", status)
    assert "its integrations starlette, fastapi build each error a second time" in status
    assert "it collects frame variables, which are redacted" in status


@slow
def test_log_line_and_status_of_a_client_that_is_made_later_agree() -> None:
    outcome = run_app("after")
    assert "by the application's own client, whose options stay" in outcome.status["sentry"]
    assert outcome.status["sentry"].removeprefix("on (").removesuffix(")") in outcome.output


@slow
def test_a_line_of_the_log_is_one_breadcrumb() -> None:
    """That of its own integration; a breadcrumb of a request of the application's HTTP client has no message."""
    event = run_app("before").event("both")
    messages = [crumb.get("message", "") for crumb in event.data["breadcrumbs"]["values"]]
    assert [message for message in messages if "looking" in message] == ["looking at both"]


@slow
def test_its_tracing_stays_on_and_its_errors_are_in_the_trace_of_opentelemetry() -> None:
    outcome = run_app("before", '{"traces_sample_rate": 1.0}')
    assert "its tracing stays on, beside OpenTelemetry's" in outcome.status["sentry"]
    assert "transaction" in outcome.kinds
    assert {int(event.trace_id, 16) for event in outcome.events} == set(CASES.values())


@slow
def test_a_client_without_integrations_gets_no_events_of_ours() -> None:
    outcome = run_app("before", '{"default_integrations": false, "auto_enabling_integrations": false}')
    assert [event.text for event in outcome.events] == []


@slow
def test_without_a_dsn_sentrys_sdk_is_not_even_imported() -> None:
    outcome = run_app("never")
    assert (outcome.status["sentry"], outcome.status["imported"]) == ("off (no SENTRY_DSN)", False)
    assert outcome.events == []


# --- absent -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_sentry_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name, *more: None if name == "sentry_sdk" else find_spec(name, *more))


QUIET: dict[str, Any] = {
    "traces_exporter": "none",
    "metrics_exporter": "none",
    "logs_exporter": "none",
    "console": "off",
}


@pytest.mark.usefixtures("no_sentry_sdk")
def test_a_dsn_without_the_package_is_one_warning_and_everything_else_works(caplog: pytest.LogCaptureFixture) -> None:
    _configure.reset()
    try:
        telemetry = blogauto_otel.configure(sentry_dsn="https://key@sentry.example.org/1", **QUIET)
        reports = telemetry.status().as_dict()["instrumentation"]
    finally:
        _configure.reset()
    assert reports["sentry"] == "missing (sentry_sdk is not installed)"
    assert reports["asgi"].startswith("on")
    warnings = [record.getMessage() for record in caplog.records if "sentry" in record.getMessage().lower()]
    assert len([line for line in warnings if 'pip install "blogauto_otel[sentry]"' in line]) == 1


@pytest.mark.usefixtures("no_sentry_sdk")
def test_strict_raises_instead() -> None:
    _configure.reset()
    try:
        with pytest.raises(MissingDependencyError, match="SENTRY_DSN needs the package sentry-sdk"):
            blogauto_otel.configure(sentry_dsn="https://key@sentry.example.org/1", strict=True, **QUIET)
    finally:
        _configure.reset()


def test_an_invalid_dsn_is_one_warning_without_the_dsn_in_it(caplog: pytest.LogCaptureFixture) -> None:
    _configure.reset()
    try:
        telemetry = blogauto_otel.configure(sentry_dsn="https://c4nary@", **QUIET)
        assert telemetry.status().as_dict()["instrumentation"]["sentry"] == "off (no SENTRY_DSN)"
    finally:
        _configure.reset()
    warnings = [record.getMessage() for record in caplog.records if "sentry_dsn" in record.getMessage()]
    assert warnings == [
        "sentry_dsn='****': expected the DSN of a Sentry project: scheme, public key, host and project number"
    ]
    assert "c4nary" not in caplog.text
