"""What goes in comes out, under the same name and by both ways: the Collector, Prometheus and Jaeger as they ship."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from stack.processes import SHIPPED_OVERLAYS, Sample, Stack, eventually
from testkit import otlp

pytestmark = pytest.mark.stack

PULL = SHIPPED_OVERLAYS
PUSH = tuple("export-prometheus-otlp" if name == "export-prometheus-pull" else name for name in SHIPPED_OVERLAYS)
EDGES = [0.1, 1.0, 2.0, 5.0]

# What an application sends, and the series that it must become.
TRACE_ID = os.urandom(16)
SERIES = {
    "blogauto_api_requests_total",
    "blogauto_api_request_duration_seconds_bucket",
    "blogauto_api_request_duration_seconds_sum",
    "blogauto_api_request_duration_seconds_count",
    "blogauto_cpu_usage_percent",
    "blogauto_memory_usage_bytes",
    "blogauto_blocked_ips_total",
}
TYPES = {
    "blogauto_api_requests": "counter",
    "blogauto_api_request_duration_seconds": "histogram",
    "blogauto_cpu_usage_percent": "gauge",
    "blogauto_memory_usage_bytes": "gauge",
    "blogauto_blocked_ips_total": "gauge",
}


def measured_now() -> list[Metric]:
    """A function, because Prometheus looks back for five minutes only, and the suite may be that old."""
    return [
        otlp.counter(
            "blogauto_api_requests", 7, {"method": "GET", "endpoint": "/api/x", "status": "200"}, unit="{request}"
        ),
        otlp.histogram("blogauto_api_request_duration", [0.05, 1.5], EDGES, {"endpoint": "/api/x"}, trace_id=TRACE_ID),
        otlp.gauge("blogauto_cpu_usage", 12.5, unit="%"),
        otlp.gauge("blogauto_memory_usage", 1e9, unit="By"),
        otlp.gauge("blogauto_blocked_ips_total", 3, unit="{ip}"),
    ]


def send_metrics(stack: Stack) -> None:
    assert otlp.post(stack.collector.endpoint, otlp.metrics(measured_now())) == 200


def application_series(stack: Stack) -> list[Sample]:
    send_metrics(stack)
    return stack.prometheus.wait_for('{__name__=~"blogauto_.+"}', lambda found: {name(one) for one in found} == SERIES)


def name(sample: Sample) -> str:
    return sample.labels["__name__"]


def comparable(samples: list[Sample]) -> set[tuple[tuple[str, str], ...]]:
    """Series as label sets; bucket edges as numbers, since one way writes 1.0 and the other 1."""

    def labels(of: Mapping[str, str]) -> dict[str, str]:
        return {**of, "le": str(float(of["le"]))} if "le" in of else dict(of)

    return {tuple(sorted(labels(sample.labels).items())) for sample in samples}


def test_pulled_or_pushed_the_series_are_the_same(tmp_path: Path) -> None:
    with Stack(tmp_path / "pull", overlays=PULL) as stack:
        pulled = application_series(stack)
        types = eventually(stack.prometheus.metadata, lambda found: TYPES.keys() <= found.keys())
    with Stack(tmp_path / "push", overlays=PUSH) as stack:
        pushed = application_series(stack)
    assert comparable(pulled) == comparable(pushed)
    assert types.items() >= TYPES.items()
    labels = pulled[0].labels
    assert (labels["job"], labels["instance"]) == ("blogauto-backend", "worker-1")
    assert (labels["service_name"], labels["service_version"]) == ("blogauto-backend", "1.0")
    assert labels["deployment_environment_name"] == "development"


@pytest.mark.parametrize("overlays", [PULL, PUSH], ids=["pull", "push"])
def test_an_exemplar_arrives_with_its_trace_id(overlays: tuple[str, ...], tmp_path: Path) -> None:
    with Stack(tmp_path, overlays=overlays) as stack:
        send_metrics(stack)
        found = eventually(lambda: stack.prometheus.exemplars("blogauto_api_request_duration_seconds_bucket"))
        assert {exemplar.trace_id for exemplar in found} == {TRACE_ID.hex()}


def test_a_trace_arrives_in_jaeger_and_its_log_record_at_the_log_exporter(tmp_path: Path) -> None:
    trace_id = os.urandom(16)
    server = otlp.span("GET /api/keywords", trace_id=trace_id)
    child = otlp.span("SELECT blog.posts", trace_id=trace_id, kind=otlp.CLIENT)
    child.parent_span_id = server.span_id
    record = otlp.record("served")
    record.trace_id, record.span_id = trace_id, server.span_id
    with Stack(tmp_path) as stack:
        assert otlp.post(stack.collector.endpoint, otlp.traces([server, child])) == 200
        assert otlp.post(stack.collector.endpoint, otlp.logs([record])) == 200
        spans = eventually(lambda: stack.jaeger.trace(trace_id.hex()), lambda found: len(found) == 2)
        (logged,) = eventually(stack.collector.logs)
        assert stack.jaeger.services() == ["blogauto-backend"]
        assert stack.jaeger.received() == 2
    parents = {span.name: span.parent_span_id for span in spans}
    assert parents == {"GET /api/keywords": "", "SELECT blog.posts": server.span_id.hex()}
    assert {span.kind for span in spans} == {"server", "client"}
    assert (logged.trace_id, logged.span_id) == (trace_id.hex(), server.span_id.hex())


def test_the_collectors_own_figures_are_there_for_its_alerts(tmp_path: Path) -> None:
    """Names that the alerts of the Collector are written against; those of failures appear with the first failure."""
    with Stack(tmp_path) as stack:
        assert otlp.post(stack.collector.endpoint, otlp.traces([otlp.span()])) == 200
        for metric in (
            "otelcol_receiver_accepted_spans_total",
            "otelcol_exporter_sent_spans_total",
            "otelcol_exporter_queue_size",
            "otelcol_exporter_queue_capacity",
            "otelcol_processor_memory_limiter_accepted_spans_total",
            "otelcol_process_memory_rss_bytes",
        ):
            stack.prometheus.wait_for(f'{metric}{{job="otel-collector"}}')
