"""Scripts, scheduled jobs and workers: their errors are linked without a request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testkit.envelope_receiver import EnvelopeReceiver
from testkit.processes import python, running
from testkit.receiver import Receiver
from tests.sentry.failing_job import WAYS

pytestmark = pytest.mark.slow

EVENTS = {"worker": 2}


@pytest.mark.parametrize("rate", ["1", "0"], ids=["sampled", "not sampled"])
@pytest.mark.parametrize("way", WAYS)
def test_a_script_that_fails_is_linked_to_the_trace_of_its_job(way: str, rate: str, tmp_path: Path) -> None:
    """In an unsampled trace only the exception has the trace id; its log records have it, too."""
    with EnvelopeReceiver() as sink, Receiver() as receiver:
        variables: dict[str, Any] = {
            "SENTRY_DSN": sink.dsn,
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "BLOGAUTO_OTEL_SAMPLE_RATE": rate,
            "BLOGAUTO_OTEL_SENTRY_PROFILES_RATE": "0",
        }
        with running(python("-m", "tests.sentry.failing_job", way), tmp_path / "log", **variables) as job:
            job.wait()
        events, spans = sink.events, [span for span in receiver.spans if span.name == "job"]
        named = {record.attributes.get("sentry.event_id"): record.trace_id for record in receiver.logs}
    assert len(events) == EVENTS.get(way, 1), job.output
    assert "case:job" in events[0].text
    assert {event.trace_id: event.span_id for event in events} == (
        {span.trace_id: span.span_id for span in spans} if rate == "1" else {e.trace_id: e.span_id for e in events}
    )
    for event in events:
        assert event.data["contexts"]["otel"]["sampled"] is (rate == "1")
        assert named[event.id] == event.trace_id
        assert event.handled is (way in {"scheduled", "worker"})
