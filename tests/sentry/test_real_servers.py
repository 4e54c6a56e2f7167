"""The errors of the matrix, sent to real servers and read back by their APIs."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from testkit.requests import wait_until
from tests.sentry import sentry_servers
from tests.sentry.conftest import Link
from tests.sentry.failure_cases import CASES
from tests.sentry.matrix_run import SAMPLED, run

pytestmark = pytest.mark.slow


def test_every_error_is_read_back_from_bugsink_with_its_trace_and_by_the_id_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sentry_servers.bugsink(tmp_path) as bugsink:
        served = run("plain", tmp_path, SENTRY_DSN=bugsink.dsn, BLOGAUTO_OTEL_SHUTDOWN_TIMEOUT="240")
        served.events[:] = bugsink.events
    linked = 0
    for case in CASES:
        assert served.misplaced_events_of(case) == []
        for sampled in SAMPLED.values():
            events = served.events_of(case, sampled=sampled)
            assert len(events) == case.events, case.path
            failed = served.failed_span(case, sampled=sampled) if events else None
            linked += len([event for event in events if failed in (None, event.span_id)])
    named = {record.attributes.get("sentry.event_id"): record.trace_id for record in served.logs}
    assert {event.id.replace("-", ""): event.trace_id for event in served.events}.items() <= named.items()
    with capsys.disabled():
        print(f"\nbugsink 2.6.1 gave back {len(served.events)} events, {linked} of them linked")
    assert linked == len(served.events)


def test_kent_takes_an_event_and_shows_it(link: Link, log: logging.Logger, tmp_path: Path) -> None:
    with sentry_servers.kent(tmp_path) as kent, link(sentry_dsn=kent.dsn) as linked:
        log.error("order %d failed", 17)
        linked.telemetry.handle.force_flush(20.0)
        wait_until(lambda: kent.events)
        (event,) = kent.events
        named = [(record.log_record.attributes or {}).get("sentry.event_id") for record in linked.telemetry.logs]
    assert event.data["logentry"]["formatted"] == "order 17 failed"
    assert event.id in named
