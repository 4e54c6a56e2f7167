"""Every kind of failure, in sampled and unsampled traces, with and without `BaseHTTPMiddleware`: one event each."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sentry.failure_cases import CASES, Case
from tests.sentry.matrix_run import SAMPLED, VARIANTS, Run, trace_of

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sentry matrix")]

RunOf = Callable[[str], Run]


@pytest.mark.parametrize("sampled", SAMPLED.values(), ids=SAMPLED)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.path)
def test_an_error_is_one_event_that_names_the_span_that_failed(
    run_of: RunOf, case: Case, variant: str, sampled: bool
) -> None:
    run = run_of(variant)
    assert run.misplaced_events_of(case) == [], "linked to another trace, or to none"
    events = run.events_of(case, sampled=sampled)
    assert len(events) == case.events
    if events:
        failed = run.failed_span(case, sampled=sampled)
        assert failed in (None, events[0].span_id)


def test_the_whole_matrix_has_no_wrong_event(run_of: RunOf, capsys: pytest.CaptureFixture[str]) -> None:
    linked = wrong = duplicates = missed = total = 0
    for variant in VARIANTS:
        run = run_of(variant)
        total += len(run.events)
        for case in CASES:
            wrong += len(run.misplaced_events_of(case))
            for sampled in SAMPLED.values():
                events = run.events_of(case, sampled=sampled)
                duplicates += max(0, len(events) - case.events)
                missed += max(0, case.events - len(events))
                failed = run.failed_span(case, sampled=sampled) if events else None
                right = [event for event in events if failed in (None, event.span_id)]
                linked, wrong = linked + len(right), wrong + len(events) - len(right)
    with capsys.disabled():
        print(f"\nlinked = {linked} of {total} events, wrong = {wrong}, duplicates = {duplicates}, missed = {missed}")
    assert (linked, wrong, duplicates, missed) == (total, 0, 0, 0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_event_is_named_by_a_log_record_of_its_trace(run_of: RunOf, variant: str) -> None:
    run = run_of(variant)
    named = {
        (record.attributes["sentry.event_id"], record.trace_id)
        for record in run.logs
        if "sentry.event_id" in record.attributes
    }
    assert named == {(event.id, event.trace_id) for event in run.events}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_spans_of_failed_requests_name_their_event(run_of: RunOf, variant: str) -> None:
    run = run_of(variant)
    ids = {event.trace_id: {e.id for e in run.events if e.trace_id == event.trace_id} for event in run.events}
    for case in CASES:
        for sampled in SAMPLED.values():
            trace_id = trace_of(case, sampled=sampled)
            spans = [span for span in run.spans if span.trace_id == trace_id and "sentry.event_id" in span.attributes]
            assert {span.attributes["sentry.event_id"] for span in spans} <= ids.get(trace_id, set())
            failed = [span for span in run.spans if span.trace_id == trace_id and span.status == "ERROR"]
            if case.events and any(span.kind == "SERVER" for span in failed):
                assert spans, f"{case.path} {sampled}"


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_log_record_of_uvicorn_about_a_crash_names_its_event_and_is_in_its_trace(
    run_of: RunOf, variant: str
) -> None:
    run = run_of(variant)
    crashes = [record for record in run.logs if record.scope == "uvicorn.error" and record.severity == "ERROR"]
    assert len(crashes) > 20
    known = {(event.id, event.trace_id) for event in run.events}
    assert {(record.attributes.get("sentry.event_id"), record.trace_id) for record in crashes} <= known


@pytest.mark.parametrize("variant", VARIANTS)
def test_sentrys_sdk_sends_no_traces(run_of: RunOf, variant: str) -> None:
    sink = run_of(variant).sink
    assert sink is not None
    assert {item.kind for item in sink.items} <= {"event", "client_report"}
