"""Loki and Sentry are not to be had here; a receiver of OTLP stands in their place and answers as they do."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from stack.processes import Collector, eventually, start_collector
from testkit import otlp
from testkit.receiver import Receiver, silence, status

pytestmark = pytest.mark.stack

TRACE = "Traceback (most recent call last):\n" + '  File "app.py", line 1, in f\n' * 4000 + "ValueError: x"


@pytest.fixture
def sink() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def to_loki(sink: Receiver, tmp_path: Path) -> Iterator[Collector]:
    environment = {"LOKI_OTLP_ENDPOINT": f"{sink.url}/otlp"}
    with start_collector(("export-loki",), tmp=tmp_path, env=environment) as collector:
        yield collector


@pytest.fixture
def to_sentry(sink: Receiver, tmp_path: Path) -> Iterator[Collector]:
    environment = {"SENTRY_OTLP_ENDPOINT": f"{sink.url}/api/7/integration/otlp", "SENTRY_PUBLIC_KEY": "public-key"}
    with start_collector(("export-sentry",), tmp=tmp_path, env=environment) as collector:
        yield collector


# --- Loki ----------------------------------------------------------------------------------------------------------


def test_logs_go_to_lokis_own_path(to_loki: Collector, sink: Receiver) -> None:
    assert otlp.post(to_loki.endpoint, otlp.logs([otlp.record("hello")])) == 200
    sink.wait_for(lambda sink: sink.logs)
    assert {request.path for request in sink.requests} == {"/otlp/v1/logs"}


def test_a_stack_trace_moves_into_the_line_where_loki_takes_it(to_loki: Collector, sink: Receiver) -> None:
    """Loki refuses more than 64 KB of structured metadata, for good; a line may have 256 KB."""
    record = otlp.record("it failed", attributes={"exception.stacktrace": TRACE, "exception.type": "ValueError"})
    assert otlp.post(to_loki.endpoint, otlp.logs([record])) == 200
    sink.wait_for(lambda sink: sink.logs)
    (arrived,) = sink.logs
    assert arrived.body == f"it failed\n{TRACE}"
    assert arrived.attributes == {"exception.type": "ValueError"}


def test_a_stack_trace_moves_into_a_body_that_is_a_map(to_loki: Collector, sink: Receiver) -> None:
    record = otlp.record({"event": "it failed"}, attributes={"exception.stacktrace": TRACE})
    assert otlp.post(to_loki.endpoint, otlp.logs([record])) == 200
    sink.wait_for(lambda sink: sink.logs)
    assert sink.logs[0].body == {"event": "it failed", "exception.stacktrace": TRACE}


def test_an_attribute_too_large_for_loki_is_cut(to_loki: Collector, sink: Receiver) -> None:
    assert otlp.post(to_loki.endpoint, otlp.logs([otlp.record("x", attributes={"page": "y" * 100_000})])) == 200
    sink.wait_for(lambda sink: sink.logs)
    assert len(sink.logs[0].attributes["page"]) == 8192


@pytest.mark.parametrize("code", [429, 502, 503, 504])
def test_what_loki_cannot_take_now_is_kept_and_taken_once(to_loki: Collector, sink: Receiver, code: int) -> None:
    sink.answer(status(code, retry_after=1), times=2)
    assert otlp.post(to_loki.endpoint, otlp.logs([otlp.record("hello")])) == 200
    sink.wait_for(lambda sink: sink.logs, timeout=60.0)
    assert [request.answered for request in sink.requests] == [code, code, 200]
    assert to_loki.total("otelcol_exporter_send_failed_log_records_total") == 0


@pytest.mark.parametrize("code", [400, 500])
def test_what_loki_will_never_take_is_dropped_and_counted(to_loki: Collector, sink: Receiver, code: int) -> None:
    """A 500 too: of the server's errors OTLP repeats only 502, 503 and 504, in spite of the queue on disk."""
    sink.answer(status(code), times=1)
    assert otlp.post(to_loki.endpoint, otlp.logs([otlp.record("refused")])) == 200
    eventually(lambda: to_loki.total("otelcol_exporter_send_failed_log_records_total"), lambda lost: lost == 1)
    assert otlp.post(to_loki.endpoint, otlp.logs([otlp.record("next")])) == 200
    sink.wait_for(lambda sink: [record.body for record in sink.logs] == ["next"], timeout=60.0)


# --- Sentry --------------------------------------------------------------------------------------------------------


# The last halves of trace ids around the bound of the tenth.
BOUND = TraceIdRatioBased(0.1).bound
TENTH = tuple(enumerate((0, BOUND - 1, BOUND, 2**64 - 1)))


def test_sentry_gets_a_tenth_of_the_traces_and_error_logs_with_its_key(to_sentry: Collector, sink: Receiver) -> None:
    records = [otlp.record("all is well"), otlp.record("it failed", severity=17, text="ERROR")]
    assert otlp.post(to_sentry.endpoint, otlp.logs(records)) == 200
    spans = [otlp.span(f"GET /{number}", trace_id=os.urandom(8) + below.to_bytes(8, "big")) for number, below in TENTH]
    assert otlp.post(to_sentry.endpoint, otlp.traces(spans)) == 200
    sink.wait_for(lambda sink: sink.logs and sink.spans, timeout=60.0)
    assert [record.body for record in sink.logs] == ["it failed"]
    assert [span.name for span in sink.spans] == ["GET /0", "GET /1"], "those that TraceIdRatioBased(0.1) keeps"
    assert {request.path for request in sink.requests} == {
        "/api/7/integration/otlp/v1/logs",
        "/api/7/integration/otlp/v1/traces",
    }
    assert {request.headers["x-sentry-auth"] for request in sink.requests} == {"sentry sentry_key=public-key"}


def test_metrics_do_not_go_to_sentry(to_sentry: Collector, sink: Receiver) -> None:
    assert otlp.post(to_sentry.endpoint, otlp.metrics([otlp.counter("things", 1)])) == 200
    assert otlp.post(to_sentry.endpoint, otlp.traces([otlp.span(trace_id=b"\1" + bytes(15))])) == 200
    sink.wait_for(lambda sink: sink.spans, timeout=60.0)
    assert {request.path.rpartition("/")[2] for request in sink.requests} == {"traces"}


@pytest.mark.slow
def test_a_silent_sentry_does_not_cause_refusals(sink: Receiver, tmp_path: Path) -> None:
    """Its queue must never fill up: a full one answers 503, and the sender repeats the batch to every backend.

    Times and queue are a fifth to an eighth of the shipped ones, so that three queues' worth fits into a short test.
    """
    short = (
        "{timeout: 1s, retry_on_failure: {max_interval: 1s, max_elapsed_time: 1s}, sending_queue: {queue_size: 6000}}"
    )
    environment = {"SENTRY_OTLP_ENDPOINT": sink.url, "SENTRY_TRACES_BELOW": "g"}
    extra = [f"yaml:{{exporters: {{otlp_http/sentry: {short}}}}}"]
    sink.answer(silence())
    with start_collector(("export-sentry",), tmp=tmp_path, env=environment, extra=extra) as collector:
        sent = 0
        while sent < 3 * 6000:
            assert otlp.post(collector.endpoint, otlp.traces([otlp.span() for _ in range(500)])) == 200
            sent += 500
            time.sleep(0.3)
        assert collector.total("otelcol_exporter_queue_capacity", data_type="traces") == 6000
        assert collector.total("otelcol_receiver_accepted_spans_total") == sent
        assert collector.total("otelcol_exporter_enqueue_failed_spans_total") == 0
        assert collector.total("otelcol_exporter_send_failed_spans_total") > 0, (
            "Sentry alone has lost them, and it is counted"
        )
        collector.kill()  # it would wait for Sentry
