"""From a span's end to the receiver: only sampled spans, redacted, within limits, for any attribute."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import logging
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, get_current_span

from blogauto_otel import _guard, semconv
from testkit.forking import in_child
from testkit.processes import environment
from testkit.receiver import Receiver, Span
from tests.otlp.test_invalid_values import NoMap, Raises, Recurses, cyclic, deep
from tests.sdk.providers import Providers, locks_of, providing

RANDOM = getattr(TraceFlags, "RANDOM_TRACE_ID", 0)


class Collecting(SpanProcessor):
    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended: list[ReadableSpan] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.started.append(span.name)

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)


def record(providers: Providers, name: str = "work", **fields: Any) -> None:
    providers.tracing.get_tracer("tests", "1.0").start_span(name, **fields).end()


def the_span(receiver: Receiver, providers: Providers) -> Span:
    providers.flush()
    [span] = receiver.spans
    return span


def test_a_span_arrives_with_its_scope_resource_and_parent(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        tracer = providers.tracing.get_tracer("tests", "1.0")
        with tracer.start_as_current_span("outer", kind=SpanKind.SERVER):
            tracer.start_span("inner", attributes={"k": [1, 2]}).end()
        providers.flush()
    inner, outer = receiver.spans
    assert (inner.trace_id, inner.parent_id) == (outer.trace_id, outer.span_id)
    assert (outer.kind, outer.scope, outer.scope_version) == ("SERVER", "tests", "1.0")
    assert inner.attributes == {"k": [1, 2]}
    assert outer.resource["service.instance.id"] == "parent"
    assert outer.flags & 0xFF == TraceFlags.SAMPLED | RANDOM


def test_a_span_that_is_not_sampled_does_not_arrive(receiver: Receiver) -> None:
    with providing(receiver, sample_rate=0.0) as providers:
        record(providers)
        providers.flush()
    assert receiver.requests == []


def test_secrets_do_not_leave(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        record(providers, attributes={"password": "hunter2", "note": "Authorization: Bearer abcdefghijklmnop123456"})
        span = the_span(receiver, providers)
    assert "hunter2" not in str(span)
    assert "abcdefghijklmnop123456" not in str(span)


def test_counts_and_lengths_keep_to_the_settings_without_a_word_in_the_log(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    with providing(receiver, max_span_attribute_length=100, max_events=2, max_links=1) as providers:
        span = providers.tracing.get_tracer("tests").start_span("work", attributes={"k": "x" * 5000})
        for name in "abc":
            span.add_event(name)
            span.add_link(SpanContext(1, 2, False))
        span.end()
        arrived = the_span(receiver, providers)
    assert arrived.attributes == {"k": "x" * 100, semconv.TRUNCATED: True}
    assert [event.name for event in arrived.events] == ["b", "c"]
    assert (arrived.dropped_events, len(arrived.links), arrived.dropped_links) == (1, 1, 2)
    assert caplog.text == ""


def test_the_count_of_attributes_is_bounded(receiver: Receiver) -> None:
    with providing(receiver, max_attributes=5) as providers:
        logging.getLogger("opentelemetry.attributes").disabled = True
        record(providers, attributes={f"k{index}": index for index in range(8)})
        logging.getLogger("opentelemetry.attributes").disabled = False
        span = the_span(receiver, providers)
    assert (len(span.attributes), span.dropped_attributes) == (5, 3)


@pytest.mark.parametrize(
    "variable", ["OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
                 "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "OTEL_TRACES_SAMPLER", "OTEL_METRICS_EXEMPLAR_FILTER"],
)  # fmt: skip
def test_the_sdk_reads_no_invalid_variable_by_itself(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "nonsense")
    with providing(receiver) as providers:
        record(providers)
        assert the_span(receiver, providers).name == "work"


def test_ids_do_not_repeat_when_the_application_seeds_random(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        for _ in range(3):
            random.seed(42)
            record(providers)
        providers.flush()
    assert len({span.trace_id for span in receiver.spans}) == 3
    assert len({span.span_id for span in receiver.spans}) == 3


def test_parent_and_child_process_give_out_different_ids(receiver: Receiver) -> None:
    def ids() -> list[int]:
        contexts = [tracer.start_span("work").get_span_context() for _ in range(100)]
        return [identifier for context in contexts for identifier in (context.trace_id, context.span_id)]

    with providing(receiver) as providers:
        tracer = providers.tracing.get_tracer("tests")
        here = ids()
        found = [*here, *in_child(ids), *in_child(ids), *ids()]
    assert 0 not in found
    assert len(set(found)) == len(found)


def test_nothing_is_registered_for_the_end_of_the_process(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[object] = []
    monkeypatch.setattr(atexit, "register", registered.append)
    with providing(receiver):
        assert registered == []


# --- written after the fact -----------------------------------------------------------------------------------------


def test_a_span_written_late_is_sampled_and_reaches_every_processor(receiver: Receiver) -> None:
    others = Collecting()
    with providing(receiver, span_processors=[others]) as providers:
        providers.tracing.write_deferred_span(
            name="GET /slow",
            context=SpanContext(0xAB, 0xCD, False, TraceFlags(RANDOM)),
            parent=SpanContext(0xAB, 0xEF, True),
            kind=SpanKind.SERVER,
            attributes={"http.route": "/slow"},
            start_time=1_000,
            end_time=3_000,
            status=Status(StatusCode.ERROR, "late"),
            scope=InstrumentationScope("http"),
            events=[Event("exception", {"exception.type": "ValueError"}, 2_000)],
        )
        span = the_span(receiver, providers)
    assert (span.name, span.kind, span.start, span.end) == ("GET /slow", "SERVER", 1_000, 3_000)
    assert (span.trace_id[-2:], span.span_id[-2:], span.parent_id[-2:]) == ("ab", "cd", "ef")
    assert (span.status, span.status_message, span.scope) == ("ERROR", "late", "http")
    assert span.events[0].attributes == {"exception.type": "ValueError"}
    assert span.flags == 0x301 | RANDOM
    [also] = others.ended
    assert also.context is not None
    assert also.context.trace_flags.sampled


# --- processors of others -------------------------------------------------------------------------------------------


@pytest.mark.quiet_guard
def test_a_processor_that_raises_affects_neither_the_application_nor_the_span(receiver: Receiver) -> None:
    class Broken(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            raise RuntimeError

        _on_ending = on_end = on_start

    with providing(receiver, span_processors=[Broken()]) as providers:
        providers.tracing.add_span_processor(Broken())
        record(providers)
        assert the_span(receiver, providers).name == "work"


def test_the_console_exporter_prints_redacted_json_and_none_prints_nothing(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    with providing(receiver, traces_exporter="console") as providers:
        record(providers, attributes={"password": "hunter2"})
    printed = json.loads(capsys.readouterr().out)
    assert (printed["name"], printed["attributes"]["password"][:9]) == ("work", "[redacted")
    with providing(receiver, traces_exporter="none") as providers:
        record(providers)
    assert capsys.readouterr().out == ""
    assert receiver.requests == []


# --- whatever an application puts on a span -------------------------------------------------------------------------

HOSTILE: dict[str, Callable[[], Any]] = {
    "a __str__ that raises": Raises, "a __str__ without end": Recurses, "a map that cannot be read": NoMap,
    "a list within itself": cyclic, "a list too deep": deep,
}  # fmt: skip


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_value_raises_out_of_a_span_or_affects_other_values(receiver: Receiver, kind: str) -> None:
    bad = HOSTILE[kind]()
    with providing(receiver) as providers:
        tracer = providers.tracing.get_tracer("tests")
        span = tracer.start_span(
            "work", attributes={"first": bad, "good": 1}, links=[Link(SpanContext(1, 2, False), {"l": bad})]
        )
        span.set_attribute("second", bad)
        span.set_attributes({"third": bad, "fine": 2})
        span.add_event("event", {"e": bad, "ok": 3})
        span.add_link(SpanContext(3, 4, False), {"l": bad})
        span.end()
        arrived = the_span(receiver, providers)
    assert {"first", "good", "second", "third", "fine"} <= set(arrived.attributes)
    assert set(arrived.events[0].attributes) == {"e", "ok"}
    assert len(arrived.links) == 2


def test_an_exception_that_cannot_be_read_is_raised_unchanged(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        span = providers.tracing.get_tracer("tests").start_span("work")
        also: Any = Raises()
        span.record_exception(UnspeakableError(), {"also": also})
        span.end()
        [event] = the_span(receiver, providers).events
    assert event.attributes["exception.type"].endswith("UnspeakableError")
    assert event.attributes["exception.message"] == "<unserialisable>"
    assert "also" in event.attributes


@pytest.mark.parametrize("way", ["the tracer", "the span"])
def test_an_exception_without_text_passes_through_a_span_untouched(receiver: Receiver, way: str) -> None:
    with providing(receiver) as providers:
        tracer = providers.tracing.get_tracer("tests")
        entered = tracer.start_as_current_span("work") if way == "the tracer" else tracer.start_span("work")
        with pytest.raises(UnspeakableError), entered:
            raise UnspeakableError
        arrived = the_span(receiver, providers)
    assert arrived.status == "ERROR"
    assert [event.name for event in arrived.events] == ["exception"]


async def test_a_coroutine_function_may_be_decorated_with_a_span(receiver: Receiver) -> None:
    with providing(receiver) as providers:

        @providers.tracing.get_tracer("tests").start_as_current_span("work")
        async def work() -> bool:
            await asyncio.sleep(0)
            return get_current_span().is_recording()

        assert await work()
        assert the_span(receiver, providers).status == "UNSET"


def test_an_exception_says_in_the_status_what_it_was(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        with (
            pytest.raises(ValueError, match="no price"),
            providers.tracing.get_tracer("tests").start_as_current_span("work"),
        ):
            raise ValueError("no price")
        assert the_span(receiver, providers).status_message == "ValueError: no price"


@pytest.mark.quiet_guard
def test_a_sampler_that_raises_loses_the_span_and_does_not_affect_the_code_inside(receiver: Receiver) -> None:
    class Broken(Sampler):
        def should_sample(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("no opinion")

        def get_description(self) -> str:
            return "Broken"

    with providing(receiver) as providers:
        providers.tracing.sampler = Broken()
        with providers.tracing.get_tracer("tests").start_as_current_span("work") as span:
            assert not span.is_recording()
    assert set(_guard.swallowed()) == {"starting a span"}


# --- fork -----------------------------------------------------------------------------------------------------------


def test_tracers_made_before_a_fork_emit_for_the_child(receiver: Receiver) -> None:
    with providing(receiver) as providers:
        tracer = providers.tracing.get_tracer("tests")
        provider = providers.tracing
        held = threading.Event()
        release = threading.Event()

        def hold() -> None:
            with contextlib.ExitStack() as stack:
                for lock in locks_of(provider, provider.processors):
                    stack.enter_context(lock)
                held.set()
                release.wait(30.0)

        threading.Thread(target=hold, daemon=True).start()
        held.wait()

        def child() -> None:
            providers.after_fork_in_child()
            tracer.start_span("old tracer").end()
            provider.get_tracer("new").start_span("new tracer").end()
            provider.add_span_processor(SpanProcessor())
            providers.flush()

        in_child(child)
        release.set()
    assert {span.name for span in receiver.spans} == {"old tracer", "new tracer"}
    assert {span.resource["service.instance.id"] for span in receiver.spans} == {"child"}


def test_the_sampler_of_the_settings_decides(receiver: Receiver) -> None:
    with providing(receiver, sampler="always_off") as providers:
        record(providers)
        providers.flush()
    assert receiver.requests == []


def test_a_variable_that_the_sdk_reads_as_it_is_imported_does_not_stop_us() -> None:
    script = (
        "import blogauto_otel; from opentelemetry import trace\nSPANS = {'traces_exporter': 'console'}\n"
        "blogauto_otel.configure(metrics_exporter='none', logs_exporter='none', console='off', **SPANS)\n"
        "trace.get_tracer('t').start_span('recorded').end()\n"
    )
    variables = environment(OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="many")
    ended = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=True)
    assert '"name": "recorded"' in ended.stdout
