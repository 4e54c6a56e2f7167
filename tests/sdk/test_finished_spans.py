"""A span that is recorded when it has ended is the same whether an object is made of it or not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from blogauto_otel import bind, unbind
from blogauto_otel.instrumentation.span_context import BoundContextProcessor
from blogauto_otel.otlp.spans import SpanTemplate
from blogauto_otel.sdk.span import RecordingSpan
from testkit.receiver import Receiver, Span
from tests.sdk.providers import providing

SAMPLED = TraceFlags(TraceFlags.SAMPLED)
PARENTS = {
    "sampled": SpanContext(0xABC, 0xDEF, False, SAMPLED),
    "remote": SpanContext(0xABC, 0xDEF, True, SAMPLED),
    "with a trace state": SpanContext(0xABC, 0xDEF, True, SAMPLED, TraceState([("vendor", "v")])),
    "not sampled": SpanContext(0xABC, 0xDEF, False),
    "invalid": SpanContext(0, 0, False),
}
ATTRIBUTES: dict[str, dict[str, Any] | None] = {
    "none": None,
    "further ones": {"db.operation.batch.size": 3, "password": "hunter2"},
    "one of the template": {"db.system.name": "other"},
    "too many": {f"k{number}": number for number in range(200)},
    "too long": {"k": "x" * 9000},
}


def recorded(receiver: Receiver, parent: SpanContext, attributes: dict[str, Any] | None, *further: Any) -> list[Span]:
    template = SpanTemplate("SELECT posts", SpanKind.CLIENT, {"db.system.name": "sqlite", "db.query.text": "SELECT ?"})
    with providing(receiver, span_processors=[BoundContextProcessor(), *further]) as providers:
        context = set_span_in_context(NonRecordingSpan(parent))
        for status in (None, Status(StatusCode.ERROR, "no such table")):
            providers.tracing.get_tracer("sql").record_span(
                template, start_time=5, end_time=7, parent_context=context, attributes=attributes and {**attributes},
                status=status,
            )  # fmt: skip
        providers.flush()
    return [replace(span, span_id="", trace_id=span.trace_id if parent.is_valid else "") for span in receiver.spans]


def test_a_span_below_one_of_ours_is_the_same_by_its_ids_and_by_its_context(receiver: Receiver) -> None:
    template = SpanTemplate("SELECT posts", SpanKind.CLIENT, {"db.system.name": "sqlite"})
    with providing(receiver) as providers:
        tracer = providers.tracing.get_tracer("sql")
        parent: Any = tracer.start_span("request")
        for attributes in ATTRIBUTES.values():
            if not tracer.record_below(parent, template, 5, 7, attributes and {**attributes}):
                tracer.record_span(
                    template,
                    start_time=5,
                    end_time=7,
                    parent_context=set_span_in_context(parent),
                    attributes=attributes and {**attributes},
                )
            tracer.record_span(
                template, start_time=5, end_time=7, parent_context=set_span_in_context(parent),
                attributes=attributes and {**attributes},
            )  # fmt: skip
        providers.flush()
    spans = [replace(span, span_id="") for span in receiver.spans]
    assert len(spans) == 2 * len(ATTRIBUTES)
    assert spans[::2] == spans[1::2]


@pytest.mark.parametrize("sampler", ["traceidratio", "always_off"])
def test_a_sampler_that_ignores_parents_is_asked_about_a_span_below_one_of_ours(
    receiver: Receiver, sampler: str
) -> None:
    with providing(receiver, sampler=sampler, sampler_arg="0.5") as providers:
        tracer = providers.tracing.get_tracer("sql")
        parent: Any = RecordingSpan(tracer, 1, 2, SAMPLED, None, None, "request", SpanKind.SERVER, 5)
        assert not tracer.record_below(parent, SpanTemplate("SELECT posts"), 5, 7, None)


@pytest.mark.parametrize("attributes", ATTRIBUTES.values(), ids=ATTRIBUTES.keys())
@pytest.mark.parametrize("parent", PARENTS.values(), ids=PARENTS.keys())
def test_a_span_is_the_same_with_a_processor_of_the_application_and_without(
    parent: SpanContext, attributes: dict[str, Any] | None
) -> None:
    bind(user_id="42")
    with Receiver() as ours:
        direct = recorded(ours, parent, attributes)
    with Receiver() as theirs:
        by_object = recorded(theirs, parent, attributes, SpanProcessor())
    unbind("user_id")
    assert direct == by_object
    assert len(direct) == (0 if parent is PARENTS["not sampled"] else 2)
    assert "hunter2" not in str(direct)
