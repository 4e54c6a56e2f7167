"""One process or one trace in ten is profiled; root spans name the profiler."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest
import sentry_sdk
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from blogauto_otel.integrations.sentry import profiles
from blogauto_otel.integrations.sentry.traces import SentryTraceRatio
from tests.sentry.conftest import Link, Linked

PROFILER_ID = "sentry.profiler_id"


def chunks(linked: Linked) -> list[Any]:
    """The profiles received after the profiler was stopped."""
    sentry_sdk.profiler.stop_profiler()
    linked.telemetry.handle.force_flush(20.0)
    return [item.payload for item in linked.sink.items if item.kind == "profile_chunk"]


def root(trace_id: int, seconds: float = 0.0) -> None:
    parent = SpanContext(trace_id, 1, is_remote=True, trace_flags=TraceFlags(1))
    tracer = trace.get_tracer("shop")
    with (
        tracer.start_as_current_span("root", set_span_in_context(NonRecordingSpan(parent))),
        tracer.start_as_current_span("inner"),
    ):
        time.sleep(seconds)


def test_a_profiled_process_sends_profiles_and_its_root_spans_name_the_profiler(link: Link) -> None:
    with link(sentry_profiles_rate=1.0) as linked:
        assert "this process is profiled" in linked.report
        root(1, seconds=0.2)
        found = chunks(linked)
        root_span, inner = linked.telemetry.span("root"), linked.telemetry.span("inner")
    assert found
    assert root_span.attributes == {PROFILER_ID: found[0]["profiler_id"], "thread.id": threading.get_ident()}
    assert not inner.attributes
    frames = {frame["function"] for chunk in found for frame in chunk["profile"]["frames"]}
    assert "root" in frames
    assert all("vars" not in frame for chunk in found for frame in chunk["profile"]["frames"])


def test_another_process_has_no_profiler_and_no_thread_for_one(link: Link) -> None:
    with link(sentry_profiles_rate=0.0) as linked:
        root(1)
        assert chunks(linked) == []
        assert not linked.telemetry.span("root").attributes
        assert "no profile of this process" in linked.report


def test_the_share_of_processes_is_the_rate(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decided at random at the start of each process, whatever the application seeds."""
    drawn = iter([0.09, 0.11])
    monkeypatch.setattr(profiles._random, "random", lambda: next(drawn))
    for said in ("this process is profiled", "no profile of this process"):
        with link(sentry_profiles_rate=0.1) as linked:
            assert said in linked.report


def test_a_share_of_the_traces_is_profiled_and_nothing_in_between(link: Link) -> None:
    with link(sentry_profiles="trace", sentry_profiles_rate=0.1) as linked:
        assert "profiles of 10% of traces" in linked.report
        numbers = random.Random(3)
        ids = [numbers.getrandbits(128) | 1 for _ in range(40)]
        for trace_id in ids:
            root(trace_id, seconds=0.05 if trace_id in SentryTraceRatio(0.1) else 0.0)
        time.sleep(0.2)
        found = chunks(linked)
        profiled = {
            span.context.trace_id: (span.attributes or {}).get(PROFILER_ID)
            for span in linked.telemetry.spans
            if span.context is not None and PROFILER_ID in (span.attributes or {})
        }
    assert set(profiled) == {trace_id for trace_id in ids if trace_id in SentryTraceRatio(0.1)}
    assert {chunk["profiler_id"] for chunk in found} == set(profiled.values())


def test_the_end_of_the_process_sends_the_profile(link: Link) -> None:
    with link(sentry_profiles_rate=1.0) as linked:
        time.sleep(0.1)
        linked.telemetry.handle.shutdown(20.0)
        assert [item.kind for item in linked.sink.items] == ["profile_chunk"]
