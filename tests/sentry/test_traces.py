"""One trace in ten is sent to Sentry with all its spans: by this process, or by the Collector's overlay."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from blogauto_otel import cli
from blogauto_otel.integrations.sentry.dsn import otlp_destination
from blogauto_otel.integrations.sentry.traces import SentryTraceRatio
from testkit.envelope_receiver import KEY
from testkit.receiver import status
from tests.sentry.conftest import Link, Linked

DSNS = {
    "https://key@o1.ingest.us.sentry.io/42": ("https://o1.ingest.us.sentry.io/api/42/integration/otlp", "key"),
    "http://key@127.0.0.1:9000/7": ("http://127.0.0.1:9000/api/7/integration/otlp", "key"),
    "https://key:secret@sentry.test/sub/path/3": ("https://sentry.test/sub/path/api/3/integration/otlp", "key"),
}


@pytest.mark.parametrize("dsn", DSNS)
def test_endpoint_and_key_come_out_of_the_dsn(dsn: str) -> None:
    destination = otlp_destination(dsn)
    assert (destination.endpoint, destination.public_key) == DSNS[dsn]


@pytest.mark.parametrize("dsn", DSNS)
def test_endpoint_and_key_are_those_of_sentrys_own_sdk(dsn: str) -> None:
    from sentry_sdk.consts import EndpointType
    from sentry_sdk.utils import Dsn

    kind = getattr(EndpointType, "OTLP_TRACES", None)
    if kind is not None:  # sentry-sdk 2.45 and later
        assert Dsn(dsn).to_auth().get_api_url(kind).rstrip("/") == otlp_destination(dsn).endpoint + "/v1/traces"
    assert f"sentry_key={otlp_destination(dsn).public_key}" in Dsn(dsn).to_auth().to_header()


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_the_share_is_that_of_opentelemetrys_sampler(rate: float) -> None:
    share, sampler, numbers = SentryTraceRatio(rate), TraceIdRatioBased(rate), random.Random(7)
    for _ in range(2000):
        trace_id = numbers.getrandbits(128)
        kept = sampler.should_sample(None, trace_id, "x").decision is Decision.RECORD_AND_SAMPLE
        assert (trace_id in share) is kept
        assert (f"{trace_id:032x}"[16:] < share.below_in_hex) is kept, "as the Collector compares it"


def test_the_command_prints_the_variables_of_the_overlay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SENTRY_DSN", "https://key@o1.ingest.us.sentry.io/42")
    assert cli.main(["sentry"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "SENTRY_OTLP_ENDPOINT=https://o1.ingest.us.sentry.io/api/42/integration/otlp",
        "SENTRY_PUBLIC_KEY=key",
        "SENTRY_TRACES_BELOW=1999999999999a00",
    ]


@pytest.mark.parametrize("dsn", ["", "nonsense"])
def test_without_a_dsn_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], dsn: str
) -> None:
    monkeypatch.setenv("SENTRY_DSN", dsn)
    assert cli.main(["sentry"]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.splitlines()[-1]) == ("", "SENTRY_DSN is not set")


# --- directly ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def direct(link: Link) -> Iterator[Linked]:
    with link(sentry_traces="direct") as linked:
        yield linked


def trace_of_three_spans(trace_id: int) -> None:
    parent = SpanContext(trace_id, 1, is_remote=True, trace_flags=TraceFlags(1))
    tracer = trace.get_tracer("shop")
    with (
        tracer.start_as_current_span("root", set_span_in_context(NonRecordingSpan(parent))),
        tracer.start_as_current_span("middle"),
        tracer.start_as_current_span("leaf"),
    ):
        pass


def test_a_tenth_of_the_traces_is_sent_directly_and_complete(direct: Linked) -> None:
    numbers = random.Random(11)
    ids = [numbers.getrandbits(128) | 1 for _ in range(300)]
    for trace_id in ids:
        trace_of_three_spans(trace_id)
    direct.telemetry.handle.force_flush(20.0)
    expected = {f"{trace_id:032x}" for trace_id in ids if trace_id in SentryTraceRatio(0.1)}
    arrived = [span.trace_id for span in direct.sink.spans]
    assert set(arrived) == expected
    assert 10 < len(expected) < 50
    assert sorted(arrived) == sorted([*expected] * 3), "all of the spans of each"
    assert {request.path for request in direct.sink.requests} == {"/api/42/integration/otlp/v1/traces"}
    assert {request.headers["x-sentry-auth"] for request in direct.sink.requests} == {f"sentry sentry_key={KEY}"}
    assert "10% of traces" in direct.report


def test_traces_that_sentry_refuses_are_counted_separately(direct: Linked) -> None:
    direct.sink.answer(status(400))
    trace_of_three_spans(1)
    direct.telemetry.handle.force_flush(20.0)
    points = direct.telemetry.points("blogauto_otel.items.dropped")
    assert points[(("reason", "http_400"), ("signal", "sentry_traces"))] == 3


def test_by_default_the_collector_sends_them(linked: Linked) -> None:
    trace_of_three_spans(1)
    linked.telemetry.handle.force_flush(20.0)
    assert linked.sink.requests == []
    assert "traces by the Collector" in linked.report
