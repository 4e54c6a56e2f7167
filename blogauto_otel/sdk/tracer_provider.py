"""Spans: from the tracer provider to encoded bytes in the queue."""

from __future__ import annotations

import os
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanLimits, SpanProcessor, Tracer, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, TraceFlags
from opentelemetry.util.types import Attributes

from blogauto_otel._guard import swallow
from blogauto_otel.config import Settings
from blogauto_otel.export.pipeline import Delivery
from blogauto_otel.otlp.drop_reasons import UNSERIALISABLE
from blogauto_otel.otlp.encoder import Encoder
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.otlp.values import NO_REDACTION, TextLimits, ValueRedactor
from blogauto_otel.sampling import build_sampler
from blogauto_otel.sdk.console import printer
from blogauto_otel.sdk.id_generator import chosen_id_generator
from blogauto_otel.sdk.scopes import Scopes, cleaned
from blogauto_otel.sdk.tracer import TolerantTracer

_SAMPLED: Final = TraceFlags.SAMPLED


class SpanPipeline(SpanProcessor):
    """Redacts, encodes and queues each sampled span as it ends; nothing of the span outlives that."""

    def __init__(self, delivery: Delivery, encoder: Encoder) -> None:
        self._delivery = delivery
        self._encoder = encoder
        self._scopes = Scopes()

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span."""
        context = span.context
        if context is None or not context.trace_flags & _SAMPLED:
            return
        try:
            item = self._encoder.span(span)
            scope = self._scopes.encoded(span.instrumentation_scope)
        except BaseException as error:
            self._delivery.lost(Signal.TRACES, UNSERIALISABLE)
            if not swallow("encoding a span", error):
                raise
            return
        self._delivery.enqueue(Signal.TRACES, scope, item)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits, of all signals."""
        return self._delivery.force_flush(timeout_millis / 1000)


class Guarded(SpanProcessor):
    """A processor that somebody else wrote: what it raises does not reach the code that the span is about."""

    def __init__(self, inner: SpanProcessor) -> None:
        self.inner = inner
        self._what = f"the span processor {type(inner).__name__}"

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """See `SpanProcessor`."""
        try:
            self.inner.on_start(span, parent_context)
        except BaseException as error:
            if not swallow(self._what, error):
                raise

    def _on_ending(self, span: Span) -> None:
        try:
            self.inner._on_ending(span)
        except BaseException as error:
            if not swallow(self._what, error):
                raise

    def on_end(self, span: ReadableSpan) -> None:
        """See `SpanProcessor`."""
        try:
            self.inner.on_end(span)
        except BaseException as error:
            if not swallow(self._what, error):
                raise

    def shutdown(self) -> None:
        """See `SpanProcessor`."""
        self.inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """See `SpanProcessor`."""
        return self.inner.force_flush(timeout_millis)


_FETCHED: Final = struct.Struct("<128Q")
_numbers: Final[deque[int]] = deque()  # of 64 bits, not 0

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_numbers.clear)  # the parent gives them out itself


class UrandomIds(IdGenerator):
    """Ids from the operating system: an application's `random.seed` does not make them repeat, nor does a fork.

    They are fetched by the kilobyte, because each call to the operating system costs as much as a good part of a span.
    """

    def generate_trace_id(self) -> int:
        """A random number of 128 bits, not 0."""
        return self.generate_span_id() << 64 | self.generate_span_id()

    def generate_span_id(self) -> int:
        """A random number of 64 bits, not 0."""
        while True:
            try:
                return _numbers.popleft()
            except IndexError:
                _numbers.extend(filter(None, _FETCHED.unpack(os.urandom(_FETCHED.size))))

    def is_trace_id_random(self) -> bool:
        """True: samplers and backends may rely on it (W3C Trace Context, level 2)."""
        return True


class _Provider(TracerProvider):
    redactor: ValueRedactor = NO_REDACTION

    def _handle_fork(self) -> None:
        """The SDK's answer to a fork overwrites the user's instance id; ours is `Tracing.after_fork_in_child`."""

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        """See `TracerProvider`; what the tracer starts takes anything."""
        args, kwargs = cleaned(self.redactor, args, kwargs)  # type: ignore[assignment]
        tracer = super().get_tracer(*args, **kwargs)
        if type(tracer) is Tracer:
            tracer.__class__ = TolerantTracer
        return tracer

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """See `TracerProvider`; what the processor raises stays with us."""
        ours = isinstance(span_processor, (SpanPipeline, ConsolePipeline, Guarded))
        super().add_span_processor(span_processor if ours else Guarded(span_processor))


@dataclass(frozen=True)
class Tracing:
    """The tracer provider, and the way to write a span after the fact."""

    provider: TracerProvider

    def write_deferred_span(
        self,
        *,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: Attributes,
        start_time: int,
        end_time: int,
        status: Status,
        scope: InstrumentationScope,
        events: Sequence[Event] = (),
        links: Sequence[Link] = (),
    ) -> None:
        """Hand a finished span to every processor, sampled whatever was decided at its start. Times in nanoseconds."""
        sampled = SpanContext(
            context.trace_id, context.span_id, context.is_remote,
            TraceFlags(context.trace_flags | _SAMPLED), context.trace_state,
        )  # fmt: skip
        span = ReadableSpan(
            name=name, context=sampled, parent=parent, resource=self.provider.resource, attributes=attributes,
            events=events, kind=kind, status=status, start_time=start_time, end_time=end_time,
            instrumentation_scope=scope, links=links,
        )  # fmt: skip
        self.provider._active_span_processor.on_end(span)

    def after_fork_in_child(self, resource: Resource) -> None:
        """Fresh locks, and the child's resource, for tracers made before the fork too."""
        provider = self.provider
        _renew_locks(provider)
        provider._resource = resource
        for tracer in provider._tracers.values():
            tracer._set_resource(resource)


def _renew_locks(provider: Any) -> None:
    """Locks that their thread may take again: a signal handler or a finalizer may record in the middle of anything."""
    provider._tracers_lock = provider._active_span_processor._lock = threading.RLock()


def build_tracing(
    settings: Settings,
    resource: Resource,
    *,
    delivery: Delivery,
    redactor: ValueRedactor,
    processors: Sequence[SpanProcessor] = (),
) -> Tracing:
    """Build the tracer provider; it is not installed."""
    provider = _Provider(
        sampler=build_sampler(settings),
        resource=resource,
        shutdown_on_exit=False,
        id_generator=chosen_id_generator(settings, UrandomIds()),
        span_limits=_limits(settings),
    )
    provider.redactor = redactor
    _renew_locks(provider)
    for processor in processors:
        provider.add_span_processor(processor)
    for name in settings.traces_exporter:
        provider.add_span_processor(_EXPORTERS[name](settings, delivery, redactor))
    return Tracing(provider)


def _limits(settings: Settings) -> SpanLimits:
    """Counts only: lengths are the encoder's affair, for the SDK would log a warning for each value it cuts.

    Every one is given: what is not, the SDK reads from the environment, and raises when it is no number.
    """
    return SpanLimits(
        max_attributes=settings.max_attributes,
        max_events=settings.max_events,
        max_links=settings.max_links,
        max_span_attributes=settings.span_attribute_count,
        max_event_attributes=settings.event_attribute_count,
        max_link_attributes=settings.link_attribute_count,
        max_attribute_length=SpanLimits.UNSET,
        max_span_attribute_length=SpanLimits.UNSET,
    )


def _otlp(settings: Settings, delivery: Delivery, redactor: ValueRedactor) -> SpanProcessor:
    return SpanPipeline(delivery, Encoder(redactor, TextLimits.of_attributes(settings.span_attribute_length)))


class ConsolePipeline(SpanProcessor):
    """Prints each sampled span as it ends."""

    def __init__(self, redactor: ValueRedactor) -> None:
        self._print = printer(redactor)

    def on_end(self, span: ReadableSpan) -> None:
        """Print the span."""
        if span.context is not None and span.context.trace_flags & _SAMPLED:
            self._print(span)


def _console(settings: Settings, delivery: Delivery, redactor: ValueRedactor) -> SpanProcessor:  # noqa: ARG001 - a row of a table
    return ConsolePipeline(redactor)


_EXPORTERS: Final[Mapping[str, Callable[[Settings, Delivery, ValueRedactor], Any]]] = {
    "otlp": _otlp,
    "console": _console,
}
