"""An exemplar is in every collection, and expires after a while."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import metrics, trace

from blogauto_otel.sdk import series
from blogauto_otel.testing import Captured, capture_telemetry


def measure(seconds: float) -> int:
    """One measurement inside a span; the trace id."""
    histogram = metrics.get_meter("test").create_histogram("work", "s", explicit_bucket_boundaries_advisory=[1.0, 2.0])
    with trace.get_tracer("test").start_as_current_span("work") as span:
        histogram.record(seconds)
    return span.get_span_context().trace_id


def collected(telemetry: Captured) -> list[int]:
    """The trace ids of the exemplars that one collection gives."""
    points = [point for metric in telemetry.metrics if metric.name == "work" for point in metric.data.data_points]
    exemplars: list[Any] = [exemplar for point in points for exemplar in point.exemplars]
    return [exemplar.trace_id for exemplar in exemplars]


def test_a_scrape_does_not_take_the_exemplar_from_the_push() -> None:
    with capture_telemetry() as telemetry:
        trace_id = measure(0.5)
        assert collected(telemetry) == [trace_id]
        assert collected(telemetry) == [trace_id]


def test_the_newest_exemplar_of_a_bucket_stands_for_it() -> None:
    with capture_telemetry() as telemetry:
        first, slow = measure(0.5), measure(5.0)
        assert collected(telemetry) == [first, slow]
        second = measure(0.7)
        assert collected(telemetry) == [second, slow]


def test_an_exemplar_is_forgotten_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_telemetry() as telemetry:
        monkeypatch.setattr(series, "EXEMPLAR_SECONDS", -1.0)
        measure(0.5)
        assert collected(telemetry) == []


def test_the_edge_of_a_bucket_belongs_to_it() -> None:
    with capture_telemetry() as telemetry:
        measure(1.0)
        newer = measure(0.5)
        assert collected(telemetry) == [newer]
        assert collected(telemetry) == [newer]
