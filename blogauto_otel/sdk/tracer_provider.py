"""Spans: from the tracer provider to encoded bytes in the queue."""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypedDict
from weakref import WeakSet

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import (
    Event,
    ReadableSpan,
    Span,
    SpanLimits,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
    Tracer,
    TracerProvider,
)
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, TraceFlags
from opentelemetry.util.types import Attributes

from blogauto_otel._guard import swallow
from blogauto_otel._process import register
from blogauto_otel.config import Settings
from blogauto_otel.export.pipeline import Delivery
from blogauto_otel.otlp.drop_reasons import UNSERIALISABLE
from blogauto_otel.otlp.encoder import Encoder
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.otlp.values import NO_REDACTION, TextLimits, ValueRedactor
from blogauto_otel.sampling import build_sampler
from blogauto_otel.sdk import private, self_test
from blogauto_otel.sdk.console import printer
from blogauto_otel.sdk.id_generator import chosen_id_generator
from blogauto_otel.sdk.scopes import MAX_NAME, OTHER_SCOPE, NameLimit, Scopes, redact_arguments
from blogauto_otel.sdk.tracer import PublicTracer, TolerantSpan, TolerantTracer

if TYPE_CHECKING:
    from typing_extensions import NotRequired, Unpack

_SAMPLED: Final = TraceFlags.SAMPLED


class ExportingSpanProcessor(SpanProcessor):
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


class GuardedSpanProcessor(private.EndingSpanProcessor):
    """A processor of the application: what it raises does not reach the code that the span is about."""

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

    def on_ending(self, span: Span) -> None:
        """See `EndingSpanProcessor`."""
        try:
            private.forward_ending(self.inner, span)
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


class SpanProcessors(SynchronousMultiSpanProcessor):
    """The processors of a provider, in the order in which they were added; those of the application are guarded."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.all: tuple[SpanProcessor, ...] = ()

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """See `SynchronousMultiSpanProcessor`."""
        ours = isinstance(span_processor, (ExportingSpanProcessor, ConsoleSpanProcessor, GuardedSpanProcessor))
        added = span_processor if ours else GuardedSpanProcessor(span_processor)
        super().add_span_processor(added)
        self.all += (added,)


_FETCHED: Final = struct.Struct("<128Q")


class _RandomNumbers(deque[int]):
    """Numbers of 64 bits, not 0, that were fetched and not used; a forked child fetches its own."""

    def after_fork_in_child(self) -> None:
        self.clear()


_random_numbers: Final = register(_RandomNumbers())

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random_numbers.clear)  # before `configure` too: ids must never repeat


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
                return _random_numbers.popleft()
            except IndexError:
                _random_numbers.extend(filter(None, _FETCHED.unpack(os.urandom(_FETCHED.size))))

    def is_trace_id_random(self) -> bool:
        """True: samplers and backends may rely on it (W3C Trace Context, level 2)."""
        return True


class DeferredSpanFields(TypedDict):
    """What is known of a span that is written after it has ended; times in nanoseconds."""

    name: str
    context: SpanContext
    parent: SpanContext | None
    kind: SpanKind
    attributes: Attributes
    start_time: int
    end_time: int
    status: Status
    scope: InstrumentationScope
    events: NotRequired[Sequence[Event]]
    links: NotRequired[Sequence[Link]]


class BlogautoTracerProvider(private.WithoutForkHandler, TracerProvider):
    """The SDK's tracer provider, with tolerant tracers, guarded processors, and spans that are written afterwards."""

    def __init__(self, *, redactor: ValueRedactor = NO_REDACTION, **options: Any) -> None:
        self.processors = SpanProcessors()
        super().__init__(active_span_processor=self.processors, shutdown_on_exit=False, **options)
        self._redactor = redactor
        self._names = NameLimit("tracers")
        self._given: WeakSet[Tracer] = WeakSet()
        self._tracer_class = TolerantTracer if self_test.works("span start") else PublicTracer
        TolerantSpan.adds_plain_attributes = self_test.works("span attributes")
        TolerantSpan.is_reentrant = self_test.works("span locks")
        private.make_reentrant(self, self.processors)

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        """See `TracerProvider`; the spans of the tracer accept any value."""
        args, kwargs = redact_arguments(self._redactor, args, kwargs, longest=MAX_NAME)  # type: ignore[assignment]
        is_admitted = self._names.admits(args, kwargs)
        can_forget = is_admitted or self_test.works("tracers")
        tracer = super().get_tracer(*args, **kwargs) if can_forget else super().get_tracer(OTHER_SCOPE)
        if not isinstance(tracer, Tracer):
            return tracer
        if type(tracer) is Tracer:
            tracer.__class__ = self._tracer_class
            self._given.add(tracer)
        if not is_admitted and can_forget:
            private.forget_tracer(self, tracer)
        return tracer

    def write_deferred_span(self, **fields: Unpack[DeferredSpanFields]) -> None:
        """Pass a finished span to every processor, as sampled regardless of the decision at its start."""
        given: dict[str, Any] = {**fields}
        context: SpanContext = given["context"]
        given["context"] = SpanContext(
            context.trace_id, context.span_id, context.is_remote,
            TraceFlags(context.trace_flags | _SAMPLED), context.trace_state,
        )  # fmt: skip
        scope = given.pop("scope")
        self.processors.on_end(ReadableSpan(resource=self.resource, instrumentation_scope=scope, **given))

    def after_fork_in_child(self, resource: Resource) -> None:
        """Fresh locks, and the child's resource, for tracers made before the fork too."""
        private.make_reentrant(self, self.processors)
        if self_test.works("resource"):
            private.set_resource(self, resource)
            for tracer in list(self._given):
                tracer.resource = resource


def build_tracer_provider(
    settings: Settings,
    resource: Resource,
    *,
    delivery: Delivery,
    redactor: ValueRedactor,
    processors: Sequence[SpanProcessor] = (),
) -> BlogautoTracerProvider:
    """Build the tracer provider; it is not installed."""
    provider = BlogautoTracerProvider(
        redactor=redactor,
        sampler=build_sampler(settings),
        resource=resource,
        id_generator=chosen_id_generator(settings, UrandomIds()),
        span_limits=_limits(settings),
    )
    for processor in processors:
        provider.add_span_processor(processor)
    for name in settings.traces_exporter:
        provider.add_span_processor(_EXPORTERS[name](settings, delivery, redactor))
    return provider


def _limits(settings: Settings) -> SpanLimits:
    """Counts only: the encoder limits lengths, because the SDK would log a warning for each value it cuts.

    Every limit is given: the SDK reads a missing one from the environment, and raises when it is no number.
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
    part = private.part_of_span if self_test.works("span parts") else getattr
    return ExportingSpanProcessor(
        delivery, Encoder(redactor, TextLimits.of_attributes(settings.span_attribute_length), part_of_span=part)
    )


class ConsoleSpanProcessor(SpanProcessor):
    """Prints each sampled span as it ends."""

    def __init__(self, redactor: ValueRedactor) -> None:
        self._print = printer(redactor)

    def on_end(self, span: ReadableSpan) -> None:
        """Print the span."""
        if span.context is not None and span.context.trace_flags & _SAMPLED:
            self._print(span)


def _console(settings: Settings, delivery: Delivery, redactor: ValueRedactor) -> SpanProcessor:  # noqa: ARG001
    return ConsoleSpanProcessor(redactor)


_EXPORTERS: Final[Mapping[str, Callable[[Settings, Delivery, ValueRedactor], Any]]] = {
    "otlp": _otlp,
    "console": _console,
}
