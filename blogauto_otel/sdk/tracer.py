"""Spans that accept any value: what cannot be read is converted to plain values, and no call raises.

The SDK converts values as they come in, so that a `__str__` that raises, or a list that contains itself, would raise
out of `set_attribute` and, worse, in place of the exception that `record_exception` was to report.
"""

from __future__ import annotations

import functools
import inspect
import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter_ns, time_ns
from types import TracebackType
from typing import Any, Final, NamedTuple

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Span, Tracer
from opentelemetry.sdk.trace.sampling import Decision

from blogauto_otel._guard import is_foreign, swallow
from blogauto_otel.otlp.values import NO_REDACTION, Plain, key_text
from blogauto_otel.sdk import private

_LONGEST: Final = 65_536  # characters; the encoder cuts to the limits of the settings
MAX_FRAMES: Final = 50


def to_plain(value: object) -> Any:
    """The value as text, number, bytes, or a list or map of them."""
    return Plain(NO_REDACTION, _LONGEST).convert(value)


def to_plain_attributes(attributes: Any) -> Mapping[str, Any] | None:
    """The attributes as plain values; None when they are no map."""
    converted = to_plain(attributes)
    return converted if isinstance(converted, dict) else None


_PLAIN: Final = frozenset({str, bool, int, float})
_FLAT: Final = frozenset({str, bool, int, float, bytes})
_TAKES_MAPS: Final = BoundedAttributes(attributes={"a": b""})["a"] == b""  # as bytes, since 1.45


def _is_nested(value: object) -> bool:
    """Whether the value may contain itself, which the SDK notices at the end of the stack, a millisecond later."""
    if not _TAKES_MAPS:
        return not _is_flat(value)
    if isinstance(value, (list, tuple)):
        return any(isinstance(item, (list, tuple, Mapping)) for item in value)
    return isinstance(value, Mapping) and any(isinstance(item, (list, tuple, Mapping)) for item in value.values())


def _is_flat(value: object) -> bool:
    """Whether an SDK before 1.45 keeps the value: it drops objects, maps and mixed lists."""
    kinds = {type(item) for item in value} if isinstance(value, (list, tuple)) else {type(value)}
    return len(kinds) <= 1 and kinds <= _FLAT


def _bounded(value: object) -> Any:
    """A nested value, cut to the depth that is exported; as JSON for an SDK that takes no maps."""
    plain = to_plain(value)
    return plain if _TAKES_MAPS or _is_flat(plain) else json.dumps(plain, ensure_ascii=False, default=str)


def _bound_nested(attributes: Any) -> Any:
    """The attributes, with their nested values bounded."""
    for value in attributes.values() if attributes else ():
        if type(value) not in _PLAIN and _is_nested(value):
            return {name: _bounded(given) if _is_nested(given) else given for name, given in attributes.items()}
    return attributes


class TolerantSpan(Span):
    """The SDK's span; a call that it cannot take is repeated with plain values.

    Its duration comes from the monotonic clock, unless the caller gives the times: a wall clock that is set back
    meanwhile does not end it before it starts.
    """

    adds_plain_attributes = True  # in one step; False where the SDK differs
    is_reentrant = True  # likewise
    _started: int | None = None  # by the monotonic clock

    def start(self, start_time: int | None = None, parent_context: Any = None) -> None:
        """See `Span`."""
        if start_time is None and self.start_time is None:
            self._started = perf_counter_ns()
        super().start(start_time, parent_context)

    def end(self, end_time: int | None = None) -> None:
        """See `Span`."""
        super().end(self._now() if end_time is None else end_time)

    def _now(self) -> int:
        """The time now, on a clock that does not go back while the span lasts."""
        started: int = self.start_time or 0
        if self._started is None:
            return max(time_ns(), started) if isinstance(started, int) else time_ns()
        return started + perf_counter_ns() - self._started

    def set_attribute(self, key: str, value: Any) -> None:
        """See `Span`."""
        try:
            super().set_attribute(key, _bounded(value) if type(value) not in _PLAIN and _is_nested(value) else value)
        except BaseException as error:
            if not is_foreign(error):
                raise
            _try("setting an attribute", super().set_attribute, key_text(key), to_plain(value))

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """See `Span`."""
        try:
            if not (self.adds_plain_attributes and private.add_plain_attributes(self, attributes)):
                super().set_attributes(_bound_nested(attributes))
        except BaseException as error:
            if not is_foreign(error):
                raise
            _try("setting attributes", super().set_attributes, to_plain_attributes(attributes) or {})

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """See `Span`."""
        try:
            super().add_event(name, _bound_nested(attributes), self._now() if timestamp is None else timestamp)
        except BaseException as error:
            if not is_foreign(error):
                raise
            _try("adding an event", super().add_event, name, to_plain_attributes(attributes), timestamp)

    def add_link(self, context: trace.SpanContext, attributes: Any = None) -> None:
        """See `Span`."""
        try:
            super().add_link(context, _bound_nested(attributes))
        except BaseException as error:
            if not is_foreign(error):
                raise
            _try("adding a link", super().add_link, context, to_plain_attributes(attributes))

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        """See `Span`."""
        try:
            super().record_exception(exception, attributes, timestamp, escaped)
        except BaseException as error:
            if not is_foreign(error):
                raise
            recorded = {**exception_attributes(exception), **(to_plain_attributes(attributes) or {})}
            self.add_event("exception", recorded, timestamp)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        """See `Span`; an error while recording `error` does not replace it."""
        try:
            super().__exit__(kind, error, trace_)
        except BaseException as ours:
            if ours is error or not is_foreign(ours):
                raise
            self.set_status(trace.Status(trace.StatusCode.ERROR, _description(error)))
            self.end()


def exception_attributes(error: BaseException) -> dict[str, Any]:
    """The attributes that the SDK gives an exception, for one that it cannot read."""
    return {
        "exception.type": type(error).__qualname__,
        "exception.message": to_plain(error),
        "exception.stacktrace": _stacktrace(error),
    }


def _description(error: BaseException | None) -> str:
    """The description that the SDK gives a status."""
    return f"{type(error).__name__}: {to_plain(error)}"


def _stacktrace(error: BaseException) -> str:
    """The frames and the exception's own line, without asking the exception for more than its text."""
    try:
        frames = "".join(traceback.format_tb(error.__traceback__, limit=-MAX_FRAMES))
    except BaseException as broken:
        if not is_foreign(broken):
            raise
        frames = ""
    return f"Traceback (most recent call last):\n{frames}{_description(error)}"


def _try(what: str, work: Callable[..., None], *arguments: object) -> None:
    try:
        work(*arguments)
    except BaseException as error:
        if not swallow(what, error):
            raise


class SpanOptions(NamedTuple):
    """The parameters of `Tracer.start_span`, and the one that `start_as_current_span` adds."""

    name: str
    context: Any = None
    kind: trace.SpanKind = trace.SpanKind.INTERNAL
    attributes: Any = None
    links: Sequence[trace.Link] | None = ()
    start_time: int | None = None
    record_exception: bool = True
    set_status_on_exception: bool = True
    end_on_exit: bool = True


_SAMPLED: Final = trace.TraceFlags.SAMPLED
_RANDOM: Final[int] = getattr(trace.TraceFlags, "RANDOM_TRACE_ID", 0)  # before 1.41 the SDK does not know it
_FLAGS: Final = tuple(map(trace.TraceFlags, range(4)))


class TolerantTracer(Tracer):
    """The SDK's tracer, given this class; the spans that it starts are tolerant."""

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        """See `Tracer`."""
        return CurrentSpan(self, SpanOptions(*args, **kwargs))

    def start_span(self, *args: Any, **kwargs: Any) -> trace.Span:
        """See `Tracer`."""
        return self.start(SpanOptions(*args, **kwargs))

    def start(self, options: SpanOptions) -> trace.Span:
        """Start a span; with plain values where the given ones cannot be read."""
        try:
            return self._start(options)
        except BaseException as error:
            if not is_foreign(error):
                raise
            return self._start_plain(options)

    def _start(self, options: SpanOptions) -> trace.Span:
        """The same as the SDK's tracer in fewer steps: this is most of the cost of an unsampled request."""
        name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception, _ = options
        given = trace.get_current_span(context).get_span_context()
        if not private.is_enabled(self):
            return trace.NonRecordingSpan(given)
        ids: Any = self.id_generator
        parent = given if given is not None and given.is_valid else None
        if parent is not None:
            trace_id, flags = parent.trace_id, parent.trace_flags & _RANDOM
        else:
            trace_id, flags = ids.generate_trace_id(), _RANDOM if _RANDOM and ids.is_trace_id_random() else 0
        result = self.sampler.should_sample(context, trace_id, name, kind, attributes, links)
        decision = result.decision
        if decision is Decision.RECORD_AND_SAMPLE:
            flags |= _SAMPLED
        own = trace.SpanContext(trace_id, ids.generate_span_id(), False, _FLAGS[flags], result.trace_state)
        count_end = private.count_start(self, parent, decision)
        if decision is Decision.DROP:
            return trace.NonRecordingSpan(own)
        span = private.new_span(
            TolerantSpan, self, count_end, name=name, context=own, parent=parent, kind=kind, links=links or (),
            record_exception=record_exception, set_status_on_exception=set_status_on_exception,
        )  # fmt: skip
        if TolerantSpan.is_reentrant:
            private.make_span_reentrant(span)
        if result.attributes:
            span.set_attributes(result.attributes)
        span.start(start_time, context)
        return span

    def _start_plain(self, options: SpanOptions) -> trace.Span:
        """The same with plain values; where that fails too, as with a sampler that raises, an invalid span."""
        try:
            links = [trace.Link(link.context, to_plain_attributes(link.attributes)) for link in options.links or ()]
            return self._start(options._replace(attributes=to_plain_attributes(options.attributes), links=links))
        except BaseException as error:
            if not swallow("starting a span", error):
                raise
            return trace.INVALID_SPAN


class PublicTracer(TolerantTracer):
    """The same over the SDK's own `start_span`, for an SDK whose tracer is built differently."""

    def _start(self, options: SpanOptions) -> trace.Span:
        span = Tracer.start_span(self, *options[:-1])
        if isinstance(span, Span):
            span.__class__ = TolerantSpan
            if TolerantSpan.is_reentrant:
                private.make_span_reentrant(span)
        return span


class CurrentSpan:
    """What `start_as_current_span` returns: a context manager, and a decorator of functions and coroutine functions.

    It sets the status itself, because the API would ask the exception for its text outside of any guard.
    """

    __slots__ = ("_current", "_options", "_span", "_tracer")

    def __init__(self, tracer: TolerantTracer, options: SpanOptions) -> None:
        self._tracer = tracer
        self._options = options
        self._span: trace.Span = trace.INVALID_SPAN
        self._current: Any = None

    def __enter__(self) -> trace.Span:
        options = self._options
        self._span = self._tracer.start(options)
        self._current = trace.use_span(
            self._span, options.end_on_exit, options.record_exception, set_status_on_exception=False
        )
        self._current.__enter__()
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> bool | None:
        if self._options.set_status_on_exception and isinstance(error, Exception) and self._span.is_recording():
            self._span.set_status(trace.Status(trace.StatusCode.ERROR, _description(error)))
        suppressed: bool | None = self._current.__exit__(kind, error, trace_)
        return suppressed

    def __call__(self, function: Any) -> Any:
        """Decorate: each call runs in a span of its own."""
        tracer, options = self._tracer, self._options
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                with CurrentSpan(tracer, options):
                    return await function(*args, **kwargs)

            return call_async

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with CurrentSpan(tracer, options):
                return function(*args, **kwargs)

        return call
