"""Bound values are on later spans and log records, through `configure()`."""

from __future__ import annotations

import logging

import pytest
from opentelemetry import trace

from blogauto_otel import _guard, bind, operation, unbind
from blogauto_otel.api.context import begin_request, end_request
from blogauto_otel.instrumentation.span_context import BoundContextProcessor
from blogauto_otel.testing import capture_telemetry


def test_spans_and_records_after_a_bind_carry_it_and_those_before_do_not() -> None:
    with capture_telemetry() as telemetry:
        token = begin_request("r-1")
        with operation("before"):
            pass
        bind(user_id="42")
        with operation("after"):
            logging.getLogger("shop").warning("paid")
        unbind("user_id")
        with operation("later"):
            pass
        end_request(token)
        with operation("outside"):
            pass
    assert dict(telemetry.span("before").attributes or {}) == {"request.id": "r-1"}
    assert dict(telemetry.span("after").attributes or {}) == {"request.id": "r-1", "user.id": "42"}
    assert dict(telemetry.span("later").attributes or {}) == {"request.id": "r-1"}
    assert dict(telemetry.span("outside").attributes or {}) == {}
    (record,) = [log.log_record for log in telemetry.logs if log.log_record.body == "paid"]
    attributes = dict(record.attributes or {})
    assert (attributes["request.id"], attributes["user.id"]) == ("r-1", "42")
    context = telemetry.span("after").context
    assert context is not None
    assert record.span_id == context.span_id


def test_after_uninstrumenting_spans_carry_nothing() -> None:
    with capture_telemetry():
        from blogauto_otel.instrumentation import context

        context.uninstrument()
        token = begin_request("r-1")
        with operation("work") as span:
            assert dict(getattr(span, "attributes") or {}) == {}  # noqa: B009 - the API's Span has none
        end_request(token)


@pytest.mark.quiet_guard
def test_a_span_that_takes_no_attributes_is_counted() -> None:
    class Broken(trace.NonRecordingSpan):
        def set_attributes(self, attributes: object) -> None:
            raise RuntimeError("no attributes today")

    token = begin_request("r-1")
    BoundContextProcessor().on_start(Broken(trace.INVALID_SPAN_CONTEXT))  # type: ignore[arg-type]
    end_request(token)
    assert _guard.swallowed() == {"putting bound context on a span": 1}
