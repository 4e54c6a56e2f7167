"""Our tracer and its spans behave like the SDK's own, for any input."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, Sampler, SamplingResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from blogauto_otel.sdk.tracer import TolerantTracer

MOST = 4  # attributes of a span
STATE = TraceState([("vendor", "1")])


class Seen(SpanProcessor):
    """What a processor sees of a span as it starts and as it has ended."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        self.seen.append((dict(span.attributes), parent_context))

    def on_end(self, span: Any) -> None:
        links = [(link.context, dict(link.attributes)) for link in span.links]
        self.seen += (span.name, span.kind, span.parent, links, span.start_time, span.end_time)
        self.seen += (list(span.attributes.items()), span.dropped_attributes)


class Recorded(Sampler):
    """Recorded, but not sampled; with an attribute and a trace state of its own."""

    def should_sample(self, *_: Any, **__: Any) -> SamplingResult:
        return SamplingResult(Decision.RECORD_ONLY, {"from": "sampler"}, STATE)

    def get_description(self) -> str:
        return "Recorded"


class Traced:
    """A tracer, the SDK's or ours, and what is seen of its spans."""

    def __init__(self, ours: bool, sampler: Sampler = ALWAYS_ON) -> None:
        self.processor = Seen()
        provider = TracerProvider(sampler, shutdown_on_exit=False, span_limits=SpanLimits(max_span_attributes=MOST))
        provider.add_span_processor(self.processor)
        self.tracer = provider.get_tracer("tests")
        if ours:
            self.tracer.__class__ = TolerantTracer

    def start(self, *arguments: Any, **named: Any) -> Span:
        return self.tracer.start_span(*arguments, **named)


def parent(flags: int, remote: bool, trace_id: int = 0xAB) -> Context:
    context = SpanContext(trace_id, 0xCD, remote, TraceFlags(flags), STATE)
    return set_span_in_context(NonRecordingSpan(context), Context())


PARENTS = (
    None,
    Context(),
    parent(1, True, trace_id=0),
    *(parent(flags, remote) for flags, remote in itertools.product(range(4), (True, False))),
)
LINK = Link(SpanContext(0xEF, 0x12, True), {"why": "cause"})


def test_a_span_method_may_be_called_during_another() -> None:
    """As a signal handler or a finalizer does, which runs in the thread that holds the lock of the span."""
    span: Any = Traced(ours=True).start("work")
    with span._lock:
        span.set_attributes({"a": 1})
        span.set_attribute("b", 2)
        span.add_event("interrupted")
        span.end()
    assert dict(span.attributes) == {"a": 1, "b": 2}


def test_a_value_that_contains_itself_does_not_exhaust_the_stack() -> None:
    class Visited(list[Any]):
        times = 0

        def __iter__(self) -> Any:
            Visited.times += 1
            return super().__iter__()

    endless = Visited()
    endless.append({"again": endless})
    span: Any = Traced(ours=True).start("work", attributes={"given": endless})
    span.set_attribute("set", endless)
    span.set_attributes({"set": 1, "too": endless})
    span.add_event("seen", {"with": endless})
    span.add_link(LINK.context, {"to": endless})
    assert {"given", "set", "too"} == span.attributes.keys()
    assert Visited.times < 100


@pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF, Recorded()])
@pytest.mark.parametrize("context", PARENTS)
@pytest.mark.parametrize("links", [None, [LINK]])
def test_a_span_is_started_as_the_sdk_starts_it(sampler: Sampler, context: Context | None, links: Any) -> None:
    started: list[Any] = []
    for ours in (True, False):
        traced = Traced(ours, sampler)
        span = traced.start("work", context, SpanKind.CLIENT, {"k": "v"}, links, start_time=5)
        has = span.get_span_context()
        continues = has.trace_id == 0xAB
        facts = (continues, has.is_valid, has.is_remote, has.trace_flags, has.trace_state, span.is_recording())
        span.end(7)
        started.append((facts, traced.processor.seen))
    assert started[0] == started[1]


keys = st.sampled_from(["a", "b", "c", "d", "e", "f"])
whole = st.integers(-(2**63), 2**63 - 1)
plain = st.one_of(st.text(max_size=3), st.booleans(), whole, st.floats(allow_nan=False))
flat = st.one_of(plain, st.none(), st.binary(max_size=2))
odd = st.recursive(flat, lambda of: st.lists(of, max_size=2) | st.dictionaries(keys, of, max_size=2), max_leaves=4)
maps = st.one_of(st.dictionaries(keys, plain, max_size=6), st.dictionaries(keys | st.just(""), odd, max_size=6))


@pytest.mark.needs("opentelemetry-sdk>=1.45")
@pytest.mark.filterwarnings("ignore")
@settings(suppress_health_check=[HealthCheck.too_slow])  # a loaded machine is no defect
@example(first={"a": [["nested"], {"b": (1, None)}]}, calls=[{"c": {"d": {"e": b"f"}}}, {"c": [{}]}])
@example(first={"a": ["list"]}, calls=[{"b": ["list"], "": "no name", "c": 1}])
@example(first={"a": 1, "b": 2, "c": 3}, calls=[{"a": 4}, {"d": 5, "e": 6}])
@given(first=maps, calls=st.lists(maps, max_size=4))
def test_attributes_are_kept_as_the_sdk_keeps_them(first: dict[str, Any], calls: list[dict[str, Any]]) -> None:
    seen = []
    for ours in (True, False):
        traced = Traced(ours)
        span = traced.start("work", attributes=first, start_time=5)
        for attributes in calls:
            span.set_attributes(attributes)
        span.end(7)
        span.set_attributes({"late": 1})
        seen.append([*traced.processor.seen, dict(span.attributes)])  # type: ignore[attr-defined]
    assert seen[0] == seen[1]
