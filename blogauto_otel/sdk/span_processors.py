"""Span processors: ours, those of the application made safe, and the order in which a span passes through them."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from blogauto_otel._clock import clock
from blogauto_otel._guard import swallow
from blogauto_otel._sdk import import_tracing
from blogauto_otel.export.pipeline import Delivery
from blogauto_otel.otlp.drop_reasons import UNSERIALISABLE
from blogauto_otel.otlp.encoder import Encoder
from blogauto_otel.otlp.plain_values import ValueRedactor
from blogauto_otel.otlp.signal import TRACES
from blogauto_otel.otlp.spans import SpanData, span_data
from blogauto_otel.sdk import private
from blogauto_otel.sdk.console import printer
from blogauto_otel.sdk.scopes import Scopes
from blogauto_otel.sdk.span import RecordingSpan
from blogauto_otel.sdk.unsampled_span import SAMPLED

if TYPE_CHECKING:
    from opentelemetry.context import Context

_Started: TypeAlias = Callable[[Any, "Context | None"], None]
_Ended: TypeAlias = Callable[[Any], None]


_SDK_TRACE: Final = "opentelemetry.sdk.trace"


class SpanProcessor(private.EndingSpanProcessor):
    """A span processor of this package, for any tracer provider; one of ours gives it our spans themselves.

    `values`, where it has one, returns all that it does to a span that has a parent and ends well: its attributes.
    """

    values: Callable[[], Mapping[str, Any]] | None = None

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        """Called when a span has started."""

    def on_end(self, span: Any) -> None:
        """Called when a span has ended: one of ours, or the SDK's `ReadableSpan`."""

    def shutdown(self) -> None:
        """Called at the end of its provider."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the interface
        """Deliver what waits; True when that is done."""
        return True


class ExportingSpanProcessor(SpanProcessor):
    """Redacts, encodes and queues each sampled span as it ends; nothing of the span outlives that."""

    def __init__(self, delivery: Delivery, encoder: Encoder) -> None:
        self._delivery = delivery
        self.enqueue = delivery.enqueue
        self.encoder = encoder.spans
        self._encode = encoder.spans.encode
        self._scopes = Scopes()

    def on_end(self, span: Any) -> None:
        """Queue the span."""
        if isinstance(span, SpanData):  # unlike `RecordingSpan` no abstract class, which would take longer to ask
            self.export(span, span.encoded_scope)
            return
        try:
            if span.context is None or not span.context.trace_flags & SAMPLED:
                return
            item, scope = self._encode(span_data(span)), self._scopes.encoded(span.instrumentation_scope)
        except BaseException as error:
            if not self._lose(error):
                raise
            return
        self.enqueue(TRACES, scope, item)

    def export(self, span: SpanData, scope: bytes) -> None:
        """Queue a span of ours, of this encoded instrumentation scope."""
        try:
            if not span.trace_flags & SAMPLED:
                return
            item = self._encode(span)
        except BaseException as error:
            if not self._lose(error):
                raise
            return
        self.enqueue(TRACES, scope, item)

    def _lose(self, error: BaseException) -> bool:
        """Count a span that could not be encoded; False when the caller must re-raise."""
        self._delivery.lost(TRACES, UNSERIALISABLE)
        return swallow("encoding a span", error)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits, of all signals."""
        return self._delivery.force_flush(timeout_millis / 1000)


class ConsoleSpanProcessor(SpanProcessor):
    """Prints each sampled span as it ends."""

    def __init__(self, redactor: ValueRedactor) -> None:
        self._print = printer(redactor)

    def on_end(self, span: Any) -> None:
        """Print the span."""
        if span.context is not None and span.context.trace_flags & SAMPLED:
            self._print(span)


class GuardedSpanProcessor(SpanProcessor):
    """A processor of the application: what it raises does not reach the code that the span is about.

    It gets ended spans as the SDK's `ReadableSpan`.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self._what = f"the span processor {type(inner).__name__}"

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        """See `SpanProcessor`."""
        try:
            self.inner.on_start(span, parent_context)
        except BaseException as error:
            if not swallow(self._what, error):
                raise

    def on_ending(self, span: Any) -> None:
        """See `EndingSpanProcessor`."""
        try:
            private.forward_ending(self.inner, span)
        except BaseException as error:
            if not swallow(self._what, error):
                raise

    def on_end(self, span: Any) -> None:
        """See `SpanProcessor`."""
        try:
            self.inner.on_end(span.readable() if isinstance(span, RecordingSpan) else span)
        except BaseException as error:
            if not swallow(self._what, error):
                raise

    def shutdown(self) -> None:
        """See `SpanProcessor`."""
        self.inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """See `SpanProcessor`."""
        return self.inner.force_flush(timeout_millis) is not False


class SpanProcessors:
    """The processors of a provider, in the order in which they were added; those of the application are guarded.

    A span passes only through the calls that do something: the SDK's own processors do nothing when a span starts.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.all: tuple[Any, ...] = ()
        self.starting: tuple[_Started, ...] = ()
        self.ending: tuple[_Ended, ...] = ()
        self.ended: tuple[_Ended, ...] = ()
        self.span_class: type[RecordingSpan] = RecordingSpan
        # What exports an ended span, and what else puts attributes on it; None where another processor gets spans.
        self.direct: tuple[ExportingSpanProcessor, tuple[Callable[[], Mapping[str, Any]], ...]] | None = None

    def add_span_processor(self, span_processor: Any) -> None:
        """Add a processor."""
        added = span_processor if isinstance(span_processor, SpanProcessor) else GuardedSpanProcessor(span_processor)
        with self._lock:
            self.all += (added,)
            self.starting = tuple(it.on_start for it in self.all if _does_something(it, "on_start"))
            self.ending = tuple(it.on_ending for it in self.all if isinstance(it, GuardedSpanProcessor))
            self.ended = tuple(it.on_end for it in self.all if _does_something(it, "on_end"))
            self.direct = self._find_direct()
        self.update_span_class()

    def _find_direct(self) -> Any:
        exporting = [it for it in self.all if isinstance(it, ExportingSpanProcessor)]
        others = [it for it in self.all if it not in exporting]
        values = tuple(it.values for it in others if getattr(it, "values", None) is not None)
        return (exporting[0], values) if len(exporting) == 1 and len(values) == len(others) else None

    def update_span_class(self) -> None:
        """Let further spans be spans of the SDK too, if its tracing was imported meanwhile."""
        self.span_class = _span_class()

    def end(self, span: Any) -> None:
        """Pass on a span that has ended."""
        for on_ending in self.ending:
            on_ending(span)
        for on_end in self.ended:
            on_end(span)

    def shutdown(self) -> None:
        """Shut down each processor."""
        for processor in self.all:
            processor.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush each processor within the timeout in total; True when all are done."""
        deadline = clock.monotonic() + timeout_millis / 1000
        done = True
        for processor in self.all:
            remaining = deadline - clock.monotonic()
            if remaining <= 0:
                return False
            done = processor.force_flush(int(remaining * 1000)) and done
        return done

    def after_fork_in_child(self) -> None:
        """A thread of the parent may have held the lock."""
        self._lock = threading.RLock()


def _does_something(processor: Any, name: str) -> bool:
    """Whether a method of a processor does something; `on_start` of most does not."""
    method: Any = getattr(getattr(processor, "inner", processor), name, None)
    function = getattr(method, "__func__", method)
    if function is None or function is getattr(SpanProcessor, name):
        return False
    return name != "on_start" or not str(getattr(function, "__module__", "")).startswith(_SDK_TRACE)


@functools.cache
def _sdk_class() -> type[RecordingSpan]:
    return type(
        "RecordingSpan",
        (RecordingSpan, import_tracing().Span),
        {"__slots__": (), "__module__": RecordingSpan.__module__},
    )


def _span_class() -> type[RecordingSpan]:
    """`RecordingSpan`; once the SDK's tracing is imported, a subclass that is also the SDK's `Span`."""
    return _sdk_class() if _SDK_TRACE in sys.modules else RecordingSpan
