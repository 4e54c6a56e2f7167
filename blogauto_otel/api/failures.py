"""Where an exception happened: the span that it ended, for reports that come when that span is over.

uvicorn logs an exception that nobody handled when its request is over; asyncio logs one of a task that nobody awaited
when the garbage collector finds it.

It is stored outside of the exception, because applications return `vars(error)`, copy and compare it.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry.trace import NonRecordingSpan, SpanContext, get_current_span, set_span_in_context

from blogauto_otel._guard import guard, is_foreign
from blogauto_otel._process import register
from blogauto_otel.api.context import Scope, enter, leave, scope


class _State:
    """Failures by the id of their exception; those of Python's own classes take no weak reference, and carry theirs."""

    def __init__(self) -> None:
        self.failures: dict[int, tuple[weakref.ref[BaseException], Failure]] = {}


_state: Final = register(_State())
_ATTRIBUTE: Final = "__blogauto_otel__"
MAX_MEMBERS: Final = 100  # exceptions of a group that are looked at


class Failure:
    """Where an exception happened: the first span that it ended, and what was bound there.

    `event_id` is the event that Sentry has of it. Exceptions are pickled and copied by the application; this is not.
    """

    __slots__ = ("event_id", "scope", "span_context")

    def __init__(self, span_context: SpanContext) -> None:
        self.span_context = span_context
        self.scope: Scope | None = scope()
        self.event_id: str | None = None

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()


def record_failure(error: BaseException, span_context: SpanContext) -> Failure | None:
    """Note that `error` ended the span of `span_context`; the first one within a trace stays.

    A sampled span replaces one that is not sampled, because only the sampled one is exported. An exception may be
    raised again in another trace, as one that a module keeps is: then it belongs to the newest.

    Returns:
        The failure; None when nothing can be stored for this exception.
    """
    known = failure_of(error)
    if known is not None and not (known.span_context.is_valid and _is_of_another_trace(known, span_context)):
        if not known.span_context.is_valid or (
            span_context.trace_flags.sampled and not known.span_context.trace_flags.sampled
        ):
            known.span_context = span_context
        return known
    failure = Failure(span_context)
    try:
        _store(error, failure)
    except BaseException as broken:  # an exception class that overrides attribute access
        if not is_foreign(broken):
            raise
        return None
    return failure


def _store(error: BaseException, failure: Failure) -> None:
    key = id(error)
    try:
        reference = weakref.ref(error, lambda _: _state.failures.pop(key, None))
    except TypeError:
        error.__dict__[_ATTRIBUTE] = failure
    else:
        _state.failures[key] = reference, failure


def _is_of_another_trace(known: Failure, span_context: SpanContext) -> bool:
    return span_context.is_valid and known.span_context.trace_id != span_context.trace_id


def failure_of(error: object) -> Failure | None:
    """What is known of an exception."""
    found = _state.failures.get(id(error))
    if found is not None and found[0]() is error:
        return found[1]
    try:
        found = error.__dict__.get(_ATTRIBUTE)
    except BaseException as broken:  # no exception, or a class that overrides attribute access
        if not is_foreign(broken):
            raise
        return None
    return found if isinstance(found, Failure) else None


def first_failure_of(error: BaseException) -> Failure | None:
    """The same; of an exception group, of the first of its members that failed."""
    for inner in islice(_members(error), MAX_MEMBERS):
        found = failure_of(inner)
        if found is not None:
            return found
    return None


def _members(error: BaseException) -> Iterator[BaseException]:
    """The exceptions of a group, innermost first, and the exception itself."""
    parts = None
    with guard("looking into a group of exceptions"):
        parts = getattr(error, "exceptions", None)
    if isinstance(parts, tuple):
        for part in parts:
            if isinstance(part, BaseException):
                yield from _members(part)
    yield error


@contextmanager
def failure_context(error: object) -> Iterator[None]:
    """Make the span that `error` ended current again, with what was bound there, unless another span is current."""
    failure = failure_of(error)
    if failure is None or get_current_span().get_span_context().is_valid:
        yield
        return
    span = NonRecordingSpan(failure.span_context)
    attached = otel_context.attach(set_span_in_context(span))
    entered = enter(failure.scope) if failure.scope is not None else None
    try:
        yield
    finally:
        with guard("leaving the context of a failure"):
            if entered is not None:
                leave(entered)
            otel_context.detach(attached)
