"""Spans that take anything: what an application hands over is told as far as it can be read, and raises nothing.

The SDK converts values as they come in, so that a `__str__` that raises, or a list within itself, would raise out of
`set_attribute` and, worse, in the place of the exception that `record_exception` was to report.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import perf_counter_ns, time_ns
from types import TracebackType
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.sdk.trace import Tracer, _Span
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.util._decorator import _agnosticcontextmanager

from blogauto_otel._guard import is_foreign, swallow
from blogauto_otel.otlp.values import NO_REDACTION, Plain, key_text

_LONGEST: Final = 65_536  # characters; the encoder cuts to the limits of the settings
MAX_FRAMES: Final = 50


def readable(value: object) -> Any:
    """Text, numbers, bytes, lists and maps in the place of whatever it is."""
    return Plain(NO_REDACTION, _LONGEST).convert(value)


def readable_attributes(attributes: Any) -> Mapping[str, Any] | None:
    """The attributes, readable; none when they are no map."""
    converted = readable(attributes)
    return converted if isinstance(converted, dict) else None


_PLAIN: Final = frozenset({str, bool, int, float})


def _is_nested(value: object) -> bool:
    """Whether it may hold itself, which the SDK finds out at the end of the stack, a millisecond later."""
    if isinstance(value, (list, tuple)):
        return any(isinstance(item, (list, tuple, Mapping)) for item in value)
    return isinstance(value, Mapping) and any(isinstance(item, (list, tuple, Mapping)) for item in value.values())


def _bounded(attributes: Any) -> Any:
    """The attributes; in the place of each that is nested, as much of it as leaves."""
    for value in attributes.values() if attributes else ():
        if type(value) not in _PLAIN and _is_nested(value):
            return {name: readable(given) if _is_nested(given) else given for name, given in attributes.items()}
    return attributes


class TolerantSpan(_Span):
    """The SDK's span; a call that it cannot take is repeated with readable values.

    It lasts as long as the monotonic clock says, unless the caller gives the times: a wall clock that is set back
    meanwhile does not end it before it begins.
    """

    _began: int | None = None  # by the monotonic clock

    def start(self, start_time: int | None = None, parent_context: Any = None) -> None:
        """See `Span`."""
        if start_time is None and self._start_time is None:
            self._began = perf_counter_ns()
        super().start(start_time, parent_context)

    def end(self, end_time: int | None = None) -> None:
        """See `Span`."""
        super().end(self._now() if end_time is None else end_time)

    def _now(self) -> int:
        """The time now, on a clock that does not go back while the span lasts."""
        started: int = self._start_time or 0
        if self._began is None:
            return max(time_ns(), started) if isinstance(started, int) else time_ns()
        return started + perf_counter_ns() - self._began

    def set_attribute(self, key: str, value: Any) -> None:
        """See `Span`."""
        try:
            super().set_attribute(key, readable(value) if type(value) not in _PLAIN and _is_nested(value) else value)
        except BaseException as error:
            if not is_foreign(error):
                raise
            _try("setting an attribute", super().set_attribute, key_text(key), readable(value))

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """See `Span`."""
        try:
            if not self._add_plain(attributes):
                super().set_attributes(_bounded(attributes))
        except BaseException as error:
            if not is_foreign(error):
                raise
            _try("setting attributes", super().set_attributes, readable_attributes(attributes) or {})

    def _add_plain(self, attributes: Mapping[str, Any]) -> bool:
        """Add new attributes of the kinds that the SDK keeps as they are; False when it must look at them itself."""
        bounded: Any = self._attributes
        kept = bounded._dict
        for key, value in attributes.items():
            if type(value) not in _PLAIN or type(key) is not str or not key or key in kept:
                return False
        with self._lock:
            if self._end_time is not None or bounded.max_value_len is not None:
                return False
            if bounded.maxlen is not None and len(kept) + len(attributes) > bounded.maxlen:
                return False
            kept.update(attributes)
        return True

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """See `Span`."""
        try:
            super().add_event(name, _bounded(attributes), self._now() if timestamp is None else timestamp)
        except BaseException as error:
            if not is_foreign(error):
                raise
            _try("adding an event", super().add_event, name, readable_attributes(attributes), timestamp)

    def add_link(self, context: trace.SpanContext, attributes: Any = None) -> None:
        """See `Span`."""
        try:
            super().add_link(context, _bounded(attributes))
        except BaseException as error:
            if not is_foreign(error):
                raise
            _try("adding a link", super().add_link, context, readable_attributes(attributes))

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        """See `Span`."""
        try:
            super().record_exception(exception, attributes, timestamp, escaped)
        except BaseException as error:
            if not is_foreign(error):
                raise
            told = {**exception_attributes(exception), **(readable_attributes(attributes) or {})}
            self.add_event("exception", told, timestamp)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        """See `Span`; what cannot be told of `error` does not take its place."""
        try:
            super().__exit__(kind, error, trace_)
        except BaseException as ours:
            if ours is error or not is_foreign(ours):
                raise
            self.set_status(trace.Status(trace.StatusCode.ERROR, _description(error)))
            self.end()


def exception_attributes(error: BaseException) -> dict[str, Any]:
    """What the SDK says of an exception, of one that it cannot read."""
    return {
        "exception.type": type(error).__qualname__,
        "exception.message": readable(error),
        "exception.stacktrace": _stacktrace(error),
    }


def _description(error: BaseException | None) -> str:
    """The description that the SDK gives a status."""
    return f"{type(error).__name__}: {readable(error)}"


def _stacktrace(error: BaseException) -> str:
    """The frames and the exception's own line, without asking the exception for more than its text."""
    try:
        frames = "".join(traceback.format_tb(error.__traceback__, limit=-MAX_FRAMES))
    except BaseException as broken:
        if not is_foreign(broken):
            raise
        frames = ""
    return f"Traceback (most recent call last):\n{frames}{_description(error)}"


def _make_reentrant(span: Any) -> None:
    """One lock that its thread may take again: a signal handler or a finalizer may speak to it within a call to it."""
    span._lock = span._attributes._lock = span._events._lock = span._links._lock = threading.RLock()


def _try(what: str, work: Callable[..., None], *arguments: object) -> None:
    try:
        work(*arguments)
    except BaseException as error:
        if not swallow(what, error):
            raise


_SAMPLED: Final = trace.TraceFlags.SAMPLED
_RANDOM: Final = trace.TraceFlags.RANDOM_TRACE_ID
_FLAGS: Final = tuple(map(trace.TraceFlags, range(4)))


class TolerantTracer(Tracer):
    """The SDK's tracer, given this class; what it starts is tolerant."""

    @_agnosticcontextmanager
    def start_as_current_span(
        self,
        name: str,
        context: Any = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        attributes: Any = None,
        links: Sequence[trace.Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Iterator[trace.Span]:
        """See `Tracer`. The status is set here, because the API asks the exception for its text on the way."""
        rest = (start_time, record_exception, set_status_on_exception)
        span = self.start_span(name, context, kind, attributes, links, *rest)
        using = trace.use_span(span, end_on_exit, record_exception, set_status_on_exception=False)
        with using:
            try:
                yield span
            except Exception as error:
                if set_status_on_exception and span.is_recording():
                    span.set_status(trace.Status(trace.StatusCode.ERROR, _description(error)))
                raise

    def start_span(
        self,
        name: str,
        context: Any = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        attributes: Any = None,
        links: Sequence[trace.Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace.Span:
        """See `Tracer`."""
        try:
            return self._start(
                name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
            )
        except BaseException as error:
            if not is_foreign(error):
                raise
            rest = (start_time, record_exception, set_status_on_exception)
            return self._start_readable(name, context, kind, attributes, links, *rest)

    def _start(
        self,
        name: str,
        context: Any,
        kind: trace.SpanKind,
        attributes: Any,
        links: Any,
        start_time: int | None,
        record_exception: bool,
        set_status_on_exception: bool,
    ) -> trace.Span:
        """What the SDK's tracer does, in fewer steps: an unsampled request pays for little else than this."""
        given = trace.get_current_span(context).get_span_context()
        if not self._is_enabled():
            return trace.NonRecordingSpan(given)
        new_id = self.id_generator
        parent = given if given is not None and given.is_valid else None
        if parent is not None:
            trace_id, flags = parent.trace_id, parent.trace_flags & _RANDOM
        else:
            trace_id, flags = new_id.generate_trace_id(), _RANDOM if new_id.is_trace_id_random() else 0
        result = self.sampler.should_sample(context, trace_id, name, kind, attributes, links)
        decision = result.decision
        if decision is Decision.RECORD_AND_SAMPLE:
            flags |= _SAMPLED
        own = trace.SpanContext(trace_id, new_id.generate_span_id(), False, _FLAGS[flags], result.trace_state)
        record_end_metrics = self._tracer_metrics.start_span(parent, decision)
        if decision is Decision.DROP:
            return trace.NonRecordingSpan(own)
        span = TolerantSpan(
            name=name,
            context=own,
            parent=parent,
            sampler=self.sampler,
            resource=self.resource,
            span_processor=self.span_processor,
            kind=kind,
            links=links or (),
            instrumentation_info=self.instrumentation_info,
            record_exception=record_exception,
            set_status_on_exception=set_status_on_exception,
            limits=self._span_limits,
            instrumentation_scope=self._instrumentation_scope,
            record_end_metrics=record_end_metrics,
        )
        _make_reentrant(span)
        if result.attributes:
            span.set_attributes(result.attributes)
        span.start(start_time, context)
        return span

    def _start_readable(
        self, name: str, context: Any, kind: trace.SpanKind, attributes: Any, links: Any, *rest: Any
    ) -> trace.Span:
        """The same with readable values; where that fails too, as with a sampler that raises, a span of nothing."""
        try:
            readable_links = [trace.Link(link.context, readable_attributes(link.attributes)) for link in links or ()]
            return self._start(name, context, kind, readable_attributes(attributes), readable_links, *rest)
        except BaseException as error:
            if not swallow("starting a span", error):
                raise
            return trace.INVALID_SPAN
