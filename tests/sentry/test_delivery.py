"""Sentry unreachable, slow or overloaded: no request waits, losses are counted, and ids name only queued events."""

from __future__ import annotations

import logging
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
import sentry_sdk
from fastapi import FastAPI
from opentelemetry import context as otel_context

from blogauto_otel import operation
from blogauto_otel.testing import capture_telemetry
from testkit.envelope_receiver import EnvelopeReceiver
from testkit.processes import ROOT, environment, python
from testkit.receiver import Answer, Receiver, delay, silence, status
from testkit.requests import ask, wait_until
from tests.sentry.conftest import Link, Linked

# How Sentry answers the first event, and the losses that two events are.
REFUSALS: dict[str, tuple[Answer, dict[str, int]]] = {
    "rate limited": (status(429, retry_after=60), {"http_429": 1, "ratelimit_backoff": 1}),
    "too large": (status(413), {"send_error": 2}),  # since sentry-sdk 2.52; a network error before
    "broken": (status(500), {"network_error": 2}),
}


@pytest.mark.parametrize(
    "refusal",
    [pytest.param(name, marks=pytest.mark.needs("sentry-sdk>=2.52") if "large" in name else ()) for name in REFUSALS],
)
def test_what_sentry_refuses_is_counted_by_reason(linked: Linked, log: logging.Logger, refusal: str) -> None:
    answer, losses = REFUSALS[refusal]
    linked.sink.answer(answer)
    for number in range(2):
        log.error("event %d", number)
        linked.telemetry.handle.force_flush(20.0)
    assert linked.dropped() == losses
    assert linked.figure("items.accepted") == 2
    assert linked.figure("items.sent") == 0
    assert linked.figure("queue.items") == 0


def test_events_for_an_unreachable_sentry_are_counted_as_lost(linked: Linked, log: logging.Logger) -> None:
    linked.sink.stop()
    log.error("x")
    linked.telemetry.handle.force_flush(60.0)
    wait_until(lambda: linked.dropped() == {"network_error": 1})


def test_what_arrives_is_counted_as_sent(linked: Linked, log: logging.Logger) -> None:
    log.error("x")
    assert len(linked.events) == 1
    assert linked.figure("items.sent") == linked.figure("items.accepted") == 1
    assert linked.dropped() == {}


def test_what_does_not_fit_into_sentrys_queue_is_counted_and_has_no_id(sink: EnvelopeReceiver, no_client: None) -> None:
    """Sentry's SDK returns an id although the event is dropped."""
    sink.answer(delay(0.3))
    sentry_sdk.init(sink.dsn, transport_queue_size=3, default_integrations=False, sample_rate=1.0)
    with capture_telemetry() as telemetry:
        linked = Linked(telemetry, sink)
        for number in range(12):
            assert sentry_sdk.capture_message(f"event {number}")
        lost = linked.dropped()["queue_overflow"]
        arrived = {event.id for event in linked.events}
        named = {
            record.log_record.attributes["sentry.event_id"]
            for record in telemetry.logs
            if record.log_record.attributes and "sentry.event_id" in record.log_record.attributes
        }
    assert 12 - lost == len(arrived) >= 3
    assert named == arrived


def test_what_the_application_samples_away_is_no_loss_and_has_no_id(sink: EnvelopeReceiver, no_client: None) -> None:
    sentry_sdk.init(sink.dsn, sample_rate=0.0, default_integrations=False)
    with capture_telemetry() as telemetry:
        with operation("work"):
            sentry_sdk.capture_message("x")
        linked = Linked(telemetry, sink)
        assert linked.events == []
        assert linked.dropped() == {}
        assert all("sentry.event_id" not in (log.log_record.attributes or {}) for log in telemetry.logs)
        assert "sentry.event_id" not in (telemetry.span("work").attributes or {})


def test_a_storm_of_one_error_is_cut_and_counted(link: Link) -> None:
    """Above the rate limit an error is in the log and in the metrics, and no event is built."""
    with link(sentry_events_per_minute=3) as linked:
        for _ in range(10):
            logging.getLogger("shop").error("the same again")
        logging.getLogger("shop").error("another place")
        texts = [event.data["logentry"]["formatted"] for event in linked.events]
        assert texts == ["the same again"] * 3 + ["another place"]
        assert linked.figure("items.withheld") == 7
        assert linked.dropped() == {}, "no alert needs to fire"
        assert len([r for r in linked.telemetry.logs if r.log_record.body == "the same again"]) == 10


async def test_an_exception_above_the_rate_limit_takes_one_token(link: Link) -> None:
    """The request takes it; the log record of the same exception takes no other."""
    app = FastAPI()

    @app.get("/crash")
    async def crash() -> None:
        raise ValueError("x")

    with link(sentry_events_per_minute=1) as linked:
        for _ in range(3):
            await ask(app, "/crash")
        assert len(linked.events) == 1
        assert linked.figure("items.withheld") == 2
        assert linked.telemetry.points("blogauto.errors") == {(("endpoint", "/crash"), ("type", "ValueError")): 3}


# --- nobody waits -----------------------------------------------------------------------------------------------------

MISBEHAVIOUR: dict[str, Callable[[EnvelopeReceiver], None]] = {
    "healthy": lambda sink: None,
    "slow": lambda sink: sink.answer(delay(1.0)),
    "silent": lambda sink: sink.answer(silence()),
    "refused": lambda sink: sink.stop(),
    "429": lambda sink: sink.answer(status(429, retry_after=60)),
}


@pytest.mark.parametrize("behaviour", MISBEHAVIOUR)
async def test_no_request_waits_for_sentry(link: Link, behaviour: str) -> None:
    """Sentry's timeout is 30 s, so a request that waited for it would take as long."""
    app, seconds = FastAPI(), []

    @app.get("/crash")
    async def crash() -> None:
        raise ValueError("x")

    with link(sentry_events_per_minute=1000, shutdown_timeout=0.5) as linked:
        MISBEHAVIOUR[behaviour](linked.sink)
        for _ in range(30):
            began = time.perf_counter()
            await ask(app, "/crash")
            seconds.append(time.perf_counter() - began)
    assert statistics.median(seconds) < 0.5
    assert max(seconds) < 5.0


@pytest.mark.slow
@pytest.mark.parametrize("behaviour", MISBEHAVIOUR)
def test_the_process_ends_in_time(behaviour: str, tmp_path: Any) -> None:
    """With ten queued events: Sentry gets a quarter of the shutdown timeout; then its losses are counted."""
    script = (
        "import blogauto_otel, logging, time\n"
        "blogauto_otel.configure(sentry_profiles_rate=0.0, sentry_events_per_minute=100, console='off')\n"
        "for number in range(10): logging.getLogger('shop').error('x')\n"
        "print(time.time())"
    )
    with EnvelopeReceiver() as sink, Receiver() as receiver:
        MISBEHAVIOUR[behaviour](sink)
        variables = {"SENTRY_DSN": sink.dsn, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        done = subprocess.run(
            python("-c", script), cwd=ROOT, env=environment(**variables), capture_output=True, text=True, timeout=120
        )
        took = time.time() - float(done.stdout)
        lost = sum(point.value or 0 for point in receiver.points("blogauto_otel.items.dropped", {"signal": "sentry"}))
        arrived = len(sink.events)
    assert done.returncode == 0, done.stderr
    assert took < 4.0 + 8.0, "the timeout, and an allowance for a busy machine"
    assert arrived + lost == 10 or behaviour == "slow", "slow: one may be on its way"
    assert "Sentry is attempting to send" not in done.stderr


# --- noise ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["opentelemetry", "opentelemetry.exporter.otlp", "blogauto_otel", "blogauto_otel.x"])
def test_log_records_of_telemetry_are_no_events(linked: Linked, name: str) -> None:
    logging.getLogger(name).error("the Collector is away")
    assert linked.events == []


def test_log_records_of_sentrys_connection_are_not_exported(linked: Linked, log: logging.Logger) -> None:
    linked.sink.stop()
    log.error("x")
    wait_until(lambda: linked.dropped() == {"network_error": 1})
    assert not [record for record in linked.telemetry.logs if "urllib3" in str(record.instrumentation_scope)]


def test_sending_to_sentry_is_no_span(linked: Linked, log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instrumentations of HTTP clients look at a key in the context."""
    transport: Any = sentry_sdk.get_client().transport
    seen: list[object] = []
    request = transport._request

    def asking(*args: Any, **options: Any) -> Any:
        seen.append(otel_context.get_value(otel_context._SUPPRESS_INSTRUMENTATION_KEY))
        return request(*args, **options)

    monkeypatch.setattr(transport, "_request", asking)
    log.error("x")
    assert len(linked.events) == 1
    assert seen == [True]
