"""An exception is stored with the span that it ended, for reports that come later."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanContext, get_current_span

from blogauto_otel.api import failures
from blogauto_otel.api.context import begin_request, bind, bound, end_request
from blogauto_otel.api.failures import failure_context, failure_of, first_failure_of, record_failure


def a_span(trace_id: int = 1, span_id: int = 1) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=trace.TraceFlags(1))


class GroupError(Exception):
    """A class like `ExceptionGroup`, on any Python."""

    def __init__(self, *exceptions: BaseException) -> None:
        super().__init__()
        self.exceptions = exceptions


def test_an_exception_remembers_the_first_span_of_a_trace_that_it_ended() -> None:
    error = ValueError()
    record_failure(error, a_span(span_id=1))
    record_failure(error, a_span(span_id=2))
    found = failure_of(error)
    assert found is not None
    assert found.span_context.span_id == 1


def test_raised_again_in_another_trace_it_belongs_there() -> None:
    error = ValueError()
    first = record_failure(error, a_span(trace_id=1))
    assert first is not None
    first.event_id = "an event of the first trace"
    second = record_failure(error, a_span(trace_id=2))
    assert second is not None
    assert second.span_context.trace_id == 2
    assert second.event_id is None


def test_an_exception_reported_outside_any_trace_gets_its_span_later_and_keeps_its_event() -> None:
    error = ValueError()
    first = record_failure(error, INVALID_SPAN_CONTEXT)
    assert first is not None
    first.event_id = "event-1"
    record_failure(error, a_span())
    found = failure_of(error)
    assert found is not None
    assert (found.event_id, found.span_context) == ("event-1", a_span())


def test_a_second_failure_outside_any_trace_keeps_the_first_span() -> None:
    error = ValueError()
    record_failure(error, a_span())
    record_failure(error, INVALID_SPAN_CONTEXT)
    found = failure_of(error)
    assert found is not None
    assert found.span_context == a_span()


def test_a_pickled_exception_does_not_carry_its_failure() -> None:
    error = ValueError("text")
    record_failure(error, a_span())
    for one in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert one.args == ("text",)
        assert failure_of(one) is None


class OwnError(Exception):
    """An exception of the application."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def test_an_exception_of_the_application_looks_unchanged() -> None:
    error = OwnError("taken")
    record_failure(error, a_span())
    assert vars(error) == {"code": "taken"}
    assert failure_of(error) is not None
    assert failure_of(copy.copy(error)) is None


def test_a_failure_is_freed_with_its_exception() -> None:
    error = OwnError("gone")
    record_failure(error, a_span())
    gc.collect()  # those of other tests
    kept = len(failures._state.failures)
    del error
    gc.collect()
    assert len(failures._state.failures) == kept - 1


def test_an_exception_that_accepts_no_attribute_is_ignored() -> None:
    class ProudError(ValueError):
        __slots__ = ()

        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            raise RuntimeError("no attributes")

    assert record_failure(ProudError(), a_span()) is None
    assert failure_of(ProudError()) is None


def test_an_exception_group_has_the_first_failure_inside_it() -> None:
    first, second = ValueError(), KeyError()
    record_failure(second, a_span(span_id=2))
    group = GroupError(first, GroupError(second))
    record_failure(group, a_span(span_id=3))
    found = first_failure_of(group)
    assert found is not None
    assert found.span_context.span_id == 2


def test_in_the_context_of_a_failure_its_span_is_current_and_its_bound_values_apply() -> None:
    token = begin_request("r1")
    bind(user_id="42")
    error = ValueError()
    record_failure(error, a_span())
    end_request(token)
    with failure_context(error):
        assert get_current_span().get_span_context() == a_span()
        assert bound() == {"request.id": "r1", "user.id": "42"}
    assert not get_current_span().get_span_context().is_valid
    assert bound() == {}


def test_a_span_that_is_already_current_stays() -> None:
    error = ValueError()
    record_failure(error, a_span())
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("tests")
    with tracer.start_as_current_span("current") as span, failure_context(error):
        assert get_current_span() is span


def test_the_context_of_an_unknown_failure_changes_nothing() -> None:
    for unknown in (ValueError(), None, "no exception", True):
        with failure_context(unknown):
            assert not get_current_span().get_span_context().is_valid
