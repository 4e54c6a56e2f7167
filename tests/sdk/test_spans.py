"""Our tracer and its spans behave like the SDK's own, for any input: field by field, over generated calls."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, Sampler, SamplingResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from blogauto_otel.sdk import span_limits
from blogauto_otel.sdk.tracer_provider import BlogautoTracerProvider

MOST = 4  # attributes of a span
LIMITS = {"events": 3, "links": 2, "event_attributes": 2, "link_attributes": 3}
STATE = TraceState([("vendor", "1")])


def fields(span: Any) -> dict[str, Any]:
    """All that can be read of a span, but its ids."""
    return {
        "name": span.name,
        "kind": span.kind,
        "parent": span.parent,
        "attributes": list(span.attributes.items()),
        "dropped attributes": span.dropped_attributes,
        "events": [(it.name, list(it.attributes.items()), it.timestamp, it.dropped_attributes) for it in span.events],
        "dropped events": span.dropped_events,
        "links": [(it.context, list(it.attributes.items()), it.dropped_attributes) for it in span.links],
        "dropped links": span.dropped_links,
        "status": (span.status.status_code, span.status.description),
        "times": (span.start_time, span.end_time),
        "scope": span.instrumentation_scope,
        "resource": span.resource.attributes["service.name"],
    }


class Seen(SpanProcessor):
    """What a processor sees of a span as it starts and as it has ended."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.ended: list[ReadableSpan] = []

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        self.seen.append((dict(span.attributes), parent_context))

    def on_end(self, span: Any) -> None:
        self.seen.append(fields(span))
        self.ended.append(span)


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
        provider: Any
        if ours:
            limits = span_limits.SpanLimits(attributes=MOST, **LIMITS)
            provider = BlogautoTracerProvider(sampler=sampler, span_limits=limits)
        else:
            theirs: Any = {f"max_{name}": limit for name, limit in LIMITS.items()}
            sdk_limits = SpanLimits(max_span_attributes=MOST, **theirs)
            provider = TracerProvider(sampler, shutdown_on_exit=False, span_limits=sdk_limits)
        provider.add_span_processor(self.processor)
        self.tracer = provider.get_tracer("tests", "1.0", "https://schema", {"of": "scope"})

    def start(self, *arguments: Any, **named: Any) -> Span:
        span: Span = self.tracer.start_span(*arguments, **named)
        return span


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


names = st.text(max_size=3)
times = st.integers(1, 99)
contexts = st.builds(SpanContext, st.integers(0, 3), st.integers(0, 3), st.booleans(), st.just(TraceFlags(1)),
                     st.sampled_from([TraceState(), STATE]))  # fmt: skip
codes = st.sampled_from(StatusCode)
texts = st.none() | names
errors = st.sampled_from([ValueError("no price"), KeyError("k"), SystemExit(3)])
CALLS: dict[str, tuple[Any, ...]] = {
    "set_attribute": (keys | st.just(""), odd),
    "set_attributes": (maps,),
    "add_event": (names, st.none() | maps, times),
    "add_link": (contexts, st.none() | maps),
    "set_status": (st.builds(Status, codes, texts) | codes, texts),
    "update_name": (names,),
    "record_exception": (errors, st.none() | maps, times, st.booleans()),
    "is_recording": (),
}
call = st.one_of([st.tuples(st.just(name), st.tuples(*arguments)) for name, arguments in CALLS.items()])
ends = st.tuples(st.just("end"), st.tuples(times))
sequences = st.tuples(st.lists(call, max_size=8), ends, st.lists(call | ends, max_size=2))


class Warned(logging.Handler):
    """What the SDK's logger of spans has said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def observed(ours: bool, start: dict[str, Any], calls: Any) -> Any:
    """What is seen of one span: by its processor, by its caller, in the log."""
    traced, warned = Traced(ours), Warned()
    logging.getLogger("opentelemetry.sdk.trace").addHandler(warned)
    try:
        span: Any = traced.start("work", start_time=5, **start)
        given = [getattr(span, name)(*arguments) for name, arguments in calls]
        seen = fields(span)
    finally:
        logging.getLogger("opentelemetry.sdk.trace").removeHandler(warned)
    return given, warned.said, seen, traced.processor.seen


@pytest.mark.needs("opentelemetry-sdk>=1.45")
@pytest.mark.filterwarnings("ignore")
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # a loaded machine is no defect
@example(first={"a": [["nested"], {"b": (1, None)}]}, links=[], calls=([], ("end", (7,)), []))
@example(
    first={"a": 1, "b": 2, "c": 3},
    links=[],
    calls=([("set_attributes", ({"a": 4, "d": 5, "e": 6},))], ("end", (7,)), []),
)
@given(first=maps, links=st.lists(st.builds(Link, contexts, st.none() | maps), max_size=3), calls=sequences)
def test_whatever_is_called_a_span_is_what_the_sdk_makes_of_it(
    first: dict[str, Any], links: list[Link], calls: Any
) -> None:
    before, end, after = calls
    both = [
        observed(ours, {"attributes": first, "links": [Link(it.context, it.attributes) for it in links]},
                 [*before, end, *after])
        for ours in (True, False)
    ]  # fmt: skip
    assert both[0] == both[1]


@pytest.mark.parametrize("way", ["the block", "the tracer"])
@pytest.mark.parametrize("error", [None, ValueError("no"), KeyboardInterrupt(), GeneratorExit()])
@pytest.mark.parametrize("options", [{}, {"record_exception": False}, {"set_status_on_exception": False}])
def test_a_block_ends_its_span_as_the_sdks_does(way: str, error: BaseException | None, options: Any) -> None:
    seen = []
    for ours in (True, False):
        traced = Traced(ours)
        tracer = traced.tracer
        enter: Callable[..., Any] = tracer.start_span if way == "the block" else tracer.start_as_current_span
        expected: Any = contextlib.nullcontext() if error is None else pytest.raises(type(error))
        with expected, enter("work", **options):
            if error is not None:
                raise error
        [ended] = traced.processor.ended
        assert ended.end_time is not None
        seen.append((ended.status.status_code, ended.status.description, [
            {key: value for key, value in (it.attributes or {}).items() if key != "exception.stacktrace"}
            for it in ended.events
        ]))  # fmt: skip
    assert seen[0] == seen[1]


def test_a_span_is_one_of_the_sdk_where_somebody_asks() -> None:
    traced = Traced(ours=True)
    span: Any = traced.start("work")
    assert isinstance(span, SdkSpan)
    assert isinstance(span, ReadableSpan)
    span.end()
    [ended] = traced.processor.ended
    assert type(ended) is ReadableSpan
    assert json.loads(span.to_json()) == json.loads(ended.to_json())
