"""Tail sampling, figures from spans and two tiers: shipped for services that send every span, not loaded by default."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from stack.processes import SHIPPED_OVERLAYS, Stack, eventually, start_collector
from testkit import otlp
from tests.stack.overlays import COMPOSE

pytestmark = pytest.mark.stack

AT_ONCE = {"OTELCOL_SAMPLING_WAIT": "1s", "OTELCOL_SAMPLING_PERCENT": "0"}


def sampled(tmp: Path, percent: str, *spans: Span) -> set[str]:
    """Names of the spans that a sampling Collector keeps."""
    environment = {**AT_ONCE, "OTELCOL_SAMPLING_PERCENT": percent}
    with start_collector(("process-sampling", "export-file"), tmp=tmp, env=environment) as collector:
        marker = otlp.span("marker", attributes={"app.force_sample": True})
        assert otlp.post(collector.endpoint, otlp.traces([*spans, marker])) == 200
        eventually(lambda: {span.name for span in collector.spans()}, lambda names: "marker" in names)
        time.sleep(1.5)  # decisions are made for all traces of a second together
        return {span.name for span in collector.spans()} - {"marker"}


def test_failed_slow_and_forced_traces_are_kept_and_health_checks_are_not(tmp_path: Path) -> None:
    error = Status(code=otlp.ERROR)
    kept = sampled(
        tmp_path,
        "0",
        otlp.span("failed", status=error),
        otlp.span("slow", seconds=2.5),
        otlp.span("forced", attributes={"app.force_sample": True}),
        otlp.span("plain"),
        otlp.span("health", attributes={"url.path": "/health"}),
        otlp.span("failed health", attributes={"url.path": "/healthz"}, status=error),
    )
    assert kept == {"failed", "slow", "forced"}


def test_the_rest_is_kept_by_its_share(tmp_path: Path) -> None:
    kept = sampled(tmp_path, "50", *(otlp.span(f"plain {number}") for number in range(400)))
    assert 130 < len(kept) < 270, "400 throws of a coin"


def test_a_child_goes_with_its_failed_parent(tmp_path: Path) -> None:
    trace_id = os.urandom(16)
    parent = otlp.span("parent", trace_id=trace_id, status=Status(code=otlp.ERROR))
    child = otlp.span("child", trace_id=trace_id)
    child.parent_span_id = parent.span_id
    assert sampled(tmp_path, "0", parent, child) == {"parent", "child"}


def test_neither_is_loaded_by_default() -> None:
    """Our SDK samples at the head: after it a tail sampler keeps a tenth of a tenth; counts from spans are wrong."""
    assert not {"process-sampling", "connect-red"} & {*COMPOSE, *SHIPPED_OVERLAYS}


def test_requests_are_counted_from_all_spans_before_sampling(tmp_path: Path) -> None:
    overlays = ("process-sampling", "connect-red", *SHIPPED_OVERLAYS)
    attributes = {"http.route": "/api/x", "http.request.method": "GET", "http.response.status_code": 200}
    with Stack(tmp_path, overlays=overlays, env={**AT_ONCE, "OTELCOL_RED_INTERVAL": "1s"}) as stack:
        spans = [otlp.span("GET /api/x", attributes=attributes, seconds=0.3) for _ in range(40)]
        assert otlp.post(stack.collector.endpoint, otlp.traces(spans)) == 200
        query = 'sum by (http_route) (traces_span_metrics_calls_total{http_route="/api/x"})'
        stack.prometheus.wait_for(query, lambda found: [sample.value for sample in found] == [40])
        edges = stack.prometheus.query('traces_span_metrics_duration_seconds_bucket{http_route="/api/x"}')
        assert {float(sample.labels["le"]) for sample in edges} >= {0.25, 0.5, 2.0}
        assert stack.jaeger.trace(spans[0].trace_id.hex()) == [], "sampled away"


def test_two_tiers_bring_every_span_of_a_trace_to_the_same_sampler(tmp_path: Path) -> None:
    with start_collector(("export-file",), tmp=tmp_path / "sampler") as sampler:
        environment = {"SAMPLER_HOST": "127.0.0.1", "SAMPLER_PORT": str(sampler.ports["GRPC"])}
        with start_collector(("tier-gateway",), tmp=tmp_path / "gateway", env=environment) as gateway:
            spans = [otlp.span() for _ in range(20)]
            assert otlp.post(gateway.endpoint, otlp.traces(spans)) == 200
            arrived = eventually(sampler.spans, lambda found: len(found) == 20)
    assert {span.trace_id for span in arrived} == {span.trace_id.hex() for span in spans}


def test_a_sampler_joins_the_traces_that_it_keeps_before_a_queue_writes_them(tmp_path: Path) -> None:
    """It releases each by itself; the queue on disk syncs once for each that it gets."""
    count = 2_000
    environment = {**AT_ONCE, "OTELCOL_SAMPLING_PERCENT": "100"}
    with start_collector(("process-sampling", "export-file"), tmp=tmp_path, env=environment) as collector:
        spans = [otlp.span() for _ in range(count)]
        assert otlp.post(collector.endpoint, otlp.traces(spans)) == 200
        eventually(collector.spans, lambda found: len(found) == count)
        assert collector.total("otelcol_processor_batch_batch_send_size_count") < count / 50
