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
