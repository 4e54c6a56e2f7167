from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from blogauto_otel import _guard, semconv
from blogauto_otel.api.metric_spec import MetricSpec
from blogauto_otel.api.sdk_metrics import SDK_METRICS, SDK_METRICS_NAMESPACE, sdk_metric_spec
from blogauto_otel.export.stats import ExportStats, SignalStats, SpoolStats
from blogauto_otel.instrumentation import State, sdk_metrics
from blogauto_otel.otlp.signal import Signal
from testkit.recording import Recording

FIGURES = SignalStats(
    accepted=100,
    sent=80,
    dropped={"queue_full": 5, "http_413": 2},
    retries=3,
    requests=12,
    request_seconds=1.5,
    queue_items=13,
    queue_bytes=4096,
    high_water=50,
    oldest_age=2.5,
    last_error="secret",
    spooled=7,
    redelivered=6,
)
SPOOL = SpoolStats(directory="secret", files=4, bytes=1000, oldest_age=60.0, quarantined=1, errors=2)
QUIET = replace(FIGURES, dropped={}, accepted=0, sent=0)


def delivery(**signals: SignalStats) -> Any:
    stats = {signal: signals.get(signal.value, QUIET) for signal in Signal}
    return SimpleNamespace(stats=lambda: ExportStats(stats, SPOOL))


@pytest.fixture
def recording() -> Iterator[Recording]:
    superseding = replace(QUIET, dropped={"superseded": 9})
    made = Recording(delivery=delivery(traces=FIGURES, metrics=superseding), queue_bytes=1_000_000, spool_bytes=5000)
    assert sdk_metrics.instrument(made.context).state is State.ON
    yield made
    sdk_metrics.uninstrument()


def of_traces(recording: Recording, name: str) -> float:
    return dict(recording.points(f"blogauto_otel.{name}"))[(("signal", "traces"),)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("items.accepted", 100),
        ("items.sent", 80),
        ("export.requests", 12),
        ("export.retries", 3),
        ("export.duration", 1.5),
        ("items.spooled", 7),
        ("items.redelivered", 6),
        ("queue.items", 13),
        ("queue.bytes", 4096),
        ("queue.capacity", 1_000_000),
        ("queue.high_water", 50),
        ("queue.oldest_item_age", 2.5),
    ],
)
def test_each_figure_of_delivery_is_a_metric_by_signal(recording: Recording, name: str, value: float) -> None:
    assert of_traces(recording, name) == value
    assert len(recording.points(f"blogauto_otel.{name}")) == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [("files", 4), ("bytes", 1000), ("capacity", 5000), ("oldest_file_age", 60), ("damaged", 1), ("errors", 2)],
)
def test_each_figure_of_the_spool_is_a_metric(recording: Recording, name: str, value: float) -> None:
    assert recording.points(f"blogauto_otel.spool.{name}") == {(): value}


def test_without_a_spool_there_are_no_figures_of_one() -> None:
    made = Recording(delivery=SimpleNamespace(stats=lambda: ExportStats({})))
    sdk_metrics.instrument(made.context)
    assert [name for name in made.metrics if ".spool." in name] == []
    sdk_metrics.uninstrument()


def losses(recording: Recording, signal: str) -> Mapping[str, float]:
    points = recording.points("blogauto_otel.items.dropped")
    return {dict(labels)["reason"]: value for labels, value in points.items() if dict(labels)["signal"] == signal}


def test_dropped_items_are_counted_by_reason_and_the_usual_reasons_start_at_0(recording: Recording) -> None:
    assert losses(recording, "traces") == {
        "queue_full": 5,
        "http_413": 2,
        "rejected": 0,
        "shutdown": 0,
        "spool_damaged": 0,
        "spool_expired": 0,
        "spool_full": 0,
        "too_large": 0,
        "unserialisable": 0,
    }
    assert set(losses(recording, "logs").values()) == {0}


def test_metrics_that_newer_ones_replaced_are_no_loss(recording: Recording) -> None:
    assert "superseded" not in losses(recording, "metrics")
    assert recording.points("blogauto_otel.items.superseded")[(("signal", "metrics"),)] == 9


@pytest.mark.quiet_guard
def test_swallowed_errors_are_counted_by_where_they_happened(recording: Recording) -> None:
    for _ in range(2):
        with _guard.guard("recording a request"):
            raise RuntimeError
    assert recording.points("blogauto_otel.errors.swallowed") == {(("where", "recording a request"),): 2}


def test_the_start_of_the_process_is_known_and_a_child_has_its_own(recording: Recording) -> None:
    (began,) = recording.points("blogauto_otel.process.start_time").values()
    assert abs(began - time.time()) < 60
    sdk_metrics.after_fork_in_child()
    (child,) = recording.points("blogauto_otel.process.start_time").values()
    assert began <= child <= time.time()


def test_no_text_of_an_error_becomes_a_label(recording: Recording) -> None:
    assert "secret" not in str([recording.points(name) for name in recording.metrics])


@pytest.mark.quiet_guard
def test_a_delivery_without_statistics_affects_only_its_own_metrics() -> None:
    made = Recording(delivery=None)
    sdk_metrics.instrument(made.context)
    assert "blogauto_otel.items.sent" not in made.metrics
    assert list(made.points("blogauto_otel.errors.swallowed")) == [(("where", "reporting on ourselves"),)]
    sdk_metrics.uninstrument()


def test_after_uninstrument_or_under_a_later_context_the_old_one_is_silent(recording: Recording) -> None:
    later = Recording(delivery=delivery())
    sdk_metrics.instrument(later.context)
    assert recording.points("blogauto_otel.items.sent") == {}
    assert len(later.points("blogauto_otel.items.sent")) == 3
    sdk_metrics.uninstrument()
    assert later.points("blogauto_otel.items.sent") == {}


@pytest.mark.parametrize("metric", SDK_METRICS, ids=lambda metric: metric.name)
def test_the_catalogue_declares_what_is_emitted(metric: MetricSpec, recording: Recording) -> None:
    _guard.set_reraise(False)
    with _guard.guard("somewhere"):
        raise RuntimeError
    emitted = recording.metrics[metric.otel_name(SDK_METRICS_NAMESPACE)]
    assert (emitted.unit, emitted.description) == (metric.unit, metric.description)
    for point in emitted.data.data_points:
        assert set(point.attributes or {}) == set(metric.attributes)
    assert metric.scope == semconv.SCOPE_SELF
    assert sdk_metric_spec(metric.name) is metric


def test_their_names_in_prometheus() -> None:
    assert {metric.prometheus_name(SDK_METRICS_NAMESPACE) for metric in SDK_METRICS} == {
        "blogauto_otel_items_accepted_total",
        "blogauto_otel_items_sent_total",
        "blogauto_otel_items_spooled_total",
        "blogauto_otel_items_redelivered_total",
        "blogauto_otel_items_dropped_total",
        "blogauto_otel_items_superseded_total",
        "blogauto_otel_items_withheld_total",
        "blogauto_otel_export_requests_total",
        "blogauto_otel_export_retries_total",
        "blogauto_otel_export_duration_seconds_total",
        "blogauto_otel_queue_items",
        "blogauto_otel_queue_bytes",
        "blogauto_otel_queue_capacity_bytes",
        "blogauto_otel_queue_high_water",
        "blogauto_otel_queue_oldest_item_age_seconds",
        "blogauto_otel_spool_files",
        "blogauto_otel_spool_bytes",
        "blogauto_otel_spool_capacity_bytes",
        "blogauto_otel_spool_oldest_file_age_seconds",
        "blogauto_otel_spool_damaged_total",
        "blogauto_otel_spool_errors_total",
        "blogauto_otel_errors_swallowed_total",
        "blogauto_otel_process_start_time_seconds",
    }
