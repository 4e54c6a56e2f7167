"""A wall clock that is set back while a span lasts does not end it before it begins."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from opentelemetry import trace

from blogauto_otel import operation
from blogauto_otel.testing import Captured, capture_telemetry

HOUR = 3_600 * 10**9


@pytest.fixture
def telemetry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Captured]:
    """Telemetry on a clock that goes back by an hour each time it is read."""
    with capture_telemetry() as captured:
        now = [time.time_ns()]

        def back() -> int:
            now[0] -= HOUR
            return now[0]

        for module in ("opentelemetry.sdk.trace", "blogauto_otel.sdk.span"):
            monkeypatch.setattr(f"{module}.time_ns", back)
        yield captured


def test_a_span_lasts_as_long_as_the_monotonic_clock_says(telemetry: Captured) -> None:
    with trace.get_tracer("shop").start_as_current_span("outer") as span:
        span.add_event("between")
    with operation("inner"):
        pass
    for done in telemetry.spans:
        assert done.start_time is not None
        assert done.end_time is not None
        assert 0 <= done.end_time - done.start_time < HOUR
        assert all(done.start_time <= event.timestamp <= done.end_time for event in done.events)


def test_a_start_that_the_caller_gave_is_no_later_than_the_end(telemetry: Captured) -> None:
    start = time.time_ns() + HOUR
    trace.get_tracer("shop").start_span("item", start_time=start).end()
    assert telemetry.span("item").end_time == start


def test_an_end_that_the_caller_gave_stays(telemetry: Captured) -> None:
    trace.get_tracer("shop").start_span("item").end(7)
    assert telemetry.span("item").end_time == 7
