"""The tracer provider: on the API alone; the SDK's tracing is imported when the application hands over some of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypedDict

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status
from opentelemetry.util.types import Attributes

from blogauto_otel.config import Settings
from blogauto_otel.export.pipeline import Delivery
from blogauto_otel.otlp.encoder import Encoder
from blogauto_otel.otlp.plain_values import NO_REDACTION, TextLimits, ValueRedactor
from blogauto_otel.otlp.spans import SpanTemplate
from blogauto_otel.samplers import ParentOrRate
from blogauto_otel.sampling import build_sampler
from blogauto_otel.sdk.id_generator import IdGenerator, UrandomIds, chosen_id_generator
from blogauto_otel.sdk.scopes import MAX_NAME, NameLimit, Scopes, redact_arguments
from blogauto_otel.sdk.span_limits import SpanLimits
from blogauto_otel.sdk.span_processors import ConsoleSpanProcessor, ExportingSpanProcessor, SpanProcessors
from blogauto_otel.sdk.tracer import BlogautoTracer
from blogauto_otel.sdk.unsampled_span import RANDOM

if TYPE_CHECKING:
    from typing_extensions import NotRequired, Unpack

_UNSAMPLED: Final = SpanContext(1, 1, is_remote=False)
_log: Final = logging.getLogger("opentelemetry.sdk.trace")  # where the SDK warns about the same


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
    events: NotRequired[Sequence[Any]]
    links: NotRequired[Sequence[Link]]


class BlogautoTracerProvider(trace.TracerProvider):
    """Our tracers over one sampler, one id generator, one set of limits and the span processors.

    Args:
        redactor: for names and attributes of scopes.
        sampler: the SDK's interface; by default the parent's decision, and every root.
        resource: what the spans are about; by default the SDK's.
        id_generator: the SDK's interface; by default random ids of the operating system.
        span_limits: how many attributes, events and links a span holds.
    """

    def __init__(
        self,
        *,
        redactor: ValueRedactor = NO_REDACTION,
        sampler: Any = None,
        resource: Resource | None = None,
        id_generator: IdGenerator | None = None,
        span_limits: SpanLimits | None = None,
    ) -> None:
        self.processors = SpanProcessors()
        self.resource = Resource.create({}) if resource is None else resource
        self.limits = SpanLimits() if span_limits is None else span_limits
        self.id_generator = UrandomIds() if id_generator is None else id_generator
        # Both ids of a root span in one call, where the generator can do that.
        self.generate_ids: Callable[[], tuple[int, int]] = getattr(
            self.id_generator, "generate_ids", self._generate_ids
        )
        self.root_flags = RANDOM if RANDOM and self.id_generator.is_trace_id_random() else 0
        self.sampler = ParentOrRate(1.0) if sampler is None else sampler
        self._redactor = redactor
        self._names = NameLimit("tracers")
        self._scopes = Scopes()
        self._tracers: dict[InstrumentationScope, BlogautoTracer] = {}

    @property
    def sampler(self) -> Any:
        """What decides whether a span is recorded, and exported."""
        return self._sampler

    @sampler.setter
    def sampler(self, sampler: Any) -> None:
        self._sampler = sampler
        # Of our samplers: the decision alone, without an object for it. None: ask `should_sample`.
        self.is_sampled: Callable[..., bool] | None = getattr(sampler, "is_sampled", None)
        # The same for a server span without a parent, by trace id and path; None: ask `is_sampled`.
        self.is_root_sampled: Callable[[int, str], bool] | None = getattr(sampler, "is_root_sampled", None)
        # Whether a span below a sampled one of this process is sampled, so that nobody has to be asked.
        self.follows_parents: bool = getattr(sampler, "follows_parents", False)
        # Whether no span below an unsampled one is sampled; a ratio that ignores parents samples the id 0 first.
        self.drops_below_unsampled = self.is_sampled is not None and not self.is_sampled(_UNSAMPLED, 0)

    def _generate_ids(self) -> tuple[int, int]:
        return self.id_generator.generate_trace_id(), self.id_generator.generate_span_id()

    def get_tracer(self, *args: Any, **kwargs: Any) -> BlogautoTracer:
        """See `TracerProvider`."""
        given, named = redact_arguments(self._redactor, args, kwargs, longest=MAX_NAME)
        scope = _scope(*given, **named)
        tracer = self._tracers.get(scope)
        if tracer is None:
            tracer = BlogautoTracer(self, scope, self._scopes.encoded(scope))
            if self._names.admits(given, named):
                tracer = self._tracers.setdefault(scope, tracer)
        self.processors.update_span_class()
        return tracer

    def add_span_processor(self, span_processor: Any) -> None:
        """Add a processor: the SDK's interface."""
        self.processors.add_span_processor(span_processor)

    def write_deferred_span(self, **fields: Unpack[DeferredSpanFields]) -> None:
        """Pass a finished span to every processor, as sampled regardless of the decision at its start."""
        given: dict[str, Any] = {**fields}
        template = SpanTemplate(given.pop("name"), given.pop("kind"))
        scope: InstrumentationScope = given.pop("scope")
        tracer = self.get_tracer(scope.name, scope.version, scope.schema_url, scope.attributes)
        tracer.record_deferred(template, **given)

    def shutdown(self) -> None:
        """Shut down the processors."""
        self.processors.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the processors within the timeout in total; True when all are done."""
        return self.processors.force_flush(timeout_millis)

    def after_fork_in_child(self, resource: Resource) -> None:
        """Fresh locks, and the child's resource, for tracers made before the fork too."""
        self.processors.after_fork_in_child()
        self.resource = resource


def _scope(
    instrumenting_module_name: Any,
    instrumenting_library_version: Any = None,
    schema_url: Any = None,
    attributes: Any = None,
) -> InstrumentationScope:
    if not instrumenting_module_name:
        _log.error("get_tracer called with missing module name.")
    version = "" if instrumenting_library_version is None else instrumenting_library_version
    return InstrumentationScope(instrumenting_module_name or "", version, schema_url, attributes)


def build_tracer_provider(
    settings: Settings,
    resource: Resource,
    *,
    delivery: Delivery,
    redactor: ValueRedactor,
    processors: Sequence[Any] = (),
) -> BlogautoTracerProvider:
    """Build the tracer provider; it is not installed."""
    provider = BlogautoTracerProvider(
        redactor=redactor,
        sampler=build_sampler(settings),
        resource=resource,
        id_generator=chosen_id_generator(settings, UrandomIds()),
        span_limits=SpanLimits(
            attributes=settings.span_attribute_count,
            events=settings.max_events,
            links=settings.max_links,
            event_attributes=settings.event_attribute_count,
            link_attributes=settings.link_attribute_count,
        ),
    )
    for processor in processors:
        provider.add_span_processor(processor)
    for name in settings.traces_exporter:
        provider.add_span_processor(_EXPORTERS[name](settings, delivery, redactor))
    return provider


def _otlp(settings: Settings, delivery: Delivery, redactor: ValueRedactor) -> ExportingSpanProcessor:
    return ExportingSpanProcessor(delivery, Encoder(redactor, TextLimits.of_attributes(settings.span_attribute_length)))


def _console(settings: Settings, delivery: Delivery, redactor: ValueRedactor) -> ConsoleSpanProcessor:  # noqa: ARG001
    return ConsoleSpanProcessor(redactor)


_EXPORTERS: Final[Mapping[str, Callable[[Settings, Delivery, ValueRedactor], Any]]] = {
    "otlp": _otlp,
    "console": _console,
}
