"""Our tracer: starts spans, in as few steps as they allow, and never raises."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.trace import DEFAULT_TRACE_STATE, Link, SpanContext, SpanKind, Status, StatusCode

from blogauto_otel._guard import is_foreign, swallow
from blogauto_otel._otel import span_in
from blogauto_otel.otlp.signal import TRACES
from blogauto_otel.otlp.spans import IS_REMOTE, UNSET, SpanTemplate
from blogauto_otel.sampling import PATH
from blogauto_otel.sdk.plain import description, to_plain_attributes
from blogauto_otel.sdk.span import RecordingSpan, UnsampledSpan
from blogauto_otel.sdk.span_limits import SpanLimits
from blogauto_otel.sdk.unsampled_span import RANDOM, SAMPLED

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from blogauto_otel.sdk.span_processors import SpanProcessors
    from blogauto_otel.sdk.tracer_provider import BlogautoTracerProvider

F = TypeVar("F", bound=Callable[..., Any])

_current_span: Final = trace.get_current_span


class SpanOptions(NamedTuple):
    """The parameters of `Tracer.start_span`, and the one that `start_as_current_span` adds."""

    name: str
    context: Any = None
    kind: SpanKind = SpanKind.INTERNAL
    attributes: Any = None
    links: Sequence[Link] | None = ()
    start_time: int | None = None
    record_exception: bool = True
    set_status_on_exception: bool = True
    end_on_exit: bool = True


class BlogautoTracer(trace.Tracer):
    """Starts the spans of one instrumentation scope."""

    def __init__(self, provider: BlogautoTracerProvider, scope: InstrumentationScope, encoded_scope: bytes) -> None:
        self._provider = provider
        self.processors: SpanProcessors = provider.processors
        self.limits: SpanLimits = provider.limits
        self.scope = scope
        self.encoded_scope = encoded_scope

    @property
    def resource(self) -> Resource:
        """The resource of its provider."""
        return self._provider.resource

    # --- the API ------------------------------------------------------------------------------------------------------

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace.Span:
        """See `Tracer`; with plain values where the given ones cannot be read."""
        try:
            return self._start(
                name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
            )
        except BaseException as error:
            if not is_foreign(error):
                raise
        return self._start_plain(
            name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
        )

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> CurrentSpan:  # type: ignore[override]
        """See `Tracer`."""
        return CurrentSpan(self, SpanOptions(*args, **kwargs))

    def _start(self, name: str, context: Any, kind: SpanKind, attributes: Any, links: Any, *options: Any) -> trace.Span:
        span = self._begin(name, context, kind, attributes, links, *options)
        if type(span) is not UnsampledSpan:
            if attributes and self._provider.is_sampled is not None:
                span.set_attributes(attributes)
            if links:
                span.add_links(links)
            for on_start in self.processors.starting:
                on_start(span, context)
        return span  # type: ignore[no-any-return]

    def _start_plain(
        self, name: str, context: Any, kind: SpanKind, attributes: Any, links: Any, *options: Any
    ) -> trace.Span:
        """The same with plain values; where that fails too, as with a sampler that raises, an invalid span."""
        try:
            plain = [Link(link.context, to_plain_attributes(link.attributes)) for link in links or ()]
            return self._start(name, context, kind, to_plain_attributes(attributes), plain, *options)
        except BaseException as error:
            if not swallow("starting a span", error):
                raise
            return INVALID_SPAN

    def _begin(
        self,
        name: str,
        context: Any,
        kind: SpanKind,
        attributes: Any,
        links: Any,
        start_time: int | None = None,
        records_exception: bool = True,
        sets_status: bool = True,
    ) -> Any:
        """Ids, the sampler's decision, and the span: with the attributes of a foreign sampler, of ours without any.

        Most of the cost of an unsampled request is here, so it is written flat.
        """
        provider = self._provider
        ids = provider.id_generator
        parent: SpanContext | None = None
        state: trace.TraceState | None = None
        if context or context is None:
            parent = _current_span(context).get_span_context()
            if parent is not None and not parent.is_valid:
                parent = None
        if parent is None:
            trace_id, flags = ids.generate_trace_id(), provider.root_flags
        else:
            trace_id, flags, state = parent.trace_id, parent.trace_flags & RANDOM, parent.trace_state
        is_sampled = provider.is_sampled
        if is_sampled is not None:
            if not is_sampled(parent, trace_id, kind, attributes):
                return UnsampledSpan(trace_id, ids.generate_span_id(), flags, state)
            flags |= SAMPLED
            given = None
        else:
            result = provider.sampler.should_sample(context, trace_id, name, kind, attributes, links or ())
            given, state, decision = result.attributes, result.trace_state, result.decision
            if not decision.is_recording():
                return UnsampledSpan(trace_id, ids.generate_span_id(), flags, state)
            if decision.is_sampled():
                flags |= SAMPLED
        span = self.processors.span_class(
            self, trace_id, ids.generate_span_id(), flags, None if state is DEFAULT_TRACE_STATE else state,
            parent, name, kind, start_time, records_exception, sets_status,
        )  # fmt: skip
        if given:
            span.set_attributes(given)
        return span

    # --- for callers on the path of every request and statement -------------------------------------------------------

    def start_server_span(
        self,
        name: str,
        parent_context: Context | None,
        attributes: dict[str, Any],
        *,
        start_time: int,
        kind: SpanKind = SpanKind.SERVER,
        links: Sequence[Link] = (),
    ) -> RecordingSpan | UnsampledSpan:
        """As `start_span`, in fewer steps; raises nothing.

        Args:
            name: its name until `finish`.
            parent_context: the context with its parent; None: the current one.
            attributes: plain values (`str`, `bool`, `int`, `float`) that the caller gives away, for the sampler and the
                span. Routes are sampled by `url.path` among them.
            start_time: nanoseconds, `time_ns()`.
            kind: its kind.
            links: its links.
        """
        try:
            span = self._begin(name, parent_context, kind, attributes, links, start_time)
            if type(span) is UnsampledSpan:
                return span
            if self._provider.is_sampled is not None:
                span.adopt(attributes)
            if links:
                span.add_links(links)
            for on_start in self.processors.starting:
                on_start(span, parent_context)
        except BaseException as error:
            if not swallow("starting a span", error):
                raise
            return INVALID_SPAN
        return span  # type: ignore[no-any-return]

    def start_request(self, name: str, parent_context: Context, path: str, start_time: int) -> Any:
        """As `start_server_span`, before its attributes are known; an unsampled one needs none.

        For one that records, `started` must follow. None for a sampler of another package, which reads attributes.

        Args:
            name: its name until `finish`.
            parent_context: the context with its parent.
            path: `url.path`, by which routes are sampled.
            start_time: nanoseconds, `time_ns()`.
        """
        provider = self._provider
        is_sampled = provider.is_root_sampled
        if parent_context or is_sampled is None:
            if provider.is_sampled is None:
                return None
            return self._begin(name, parent_context, SpanKind.SERVER, {PATH: path}, (), start_time)
        trace_id, span_id = provider.generate_ids()
        if is_sampled(trace_id, path):
            return self.processors.span_class(
                self, trace_id, span_id, provider.root_flags | SAMPLED, None, None, name, SpanKind.SERVER, start_time
            )
        return UnsampledSpan(trace_id, span_id, provider.root_flags, None)

    def started(
        self,
        span: RecordingSpan,
        parent_context: Context,
        template: SpanTemplate,
        attributes: dict[str, Any],
        links: Sequence[Link],
    ) -> None:
        """Complete the start of a span of `start_request` that records.

        Args:
            span: the span.
            parent_context: the context with its parent.
            template: the attributes that it has in common with others; the `base` of the template at its end.
            attributes: plain values that the caller gives away; none of them is among those of the template.
            links: its links.
        """
        limit, direct = self.limits.attributes, self.processors.direct
        if limit is None or len(attributes) + len(template.attributes) <= limit:
            span._attributes, span.template = attributes, template  # as `adopt`, without the call
        else:
            span.put({**template.attributes, **attributes})
        if links:
            span.add_links(links)
        if direct is None or (parent_context and span.parent is None):
            for on_start in self.processors.starting:
                on_start(span, parent_context)
            return
        for values in direct[1]:
            found = values()
            if found:
                span.put(found)

    def record_span(
        self,
        template: SpanTemplate,
        *,
        start_time: int,
        end_time: int,
        parent_context: Context | None = None,
        attributes: dict[str, Any] | None = None,
        status: Status | None = None,
    ) -> None:
        """Write a span that has ended, in one call; raises nothing. The sampler decides, as at a start.

        Args:
            template: its name, its kind, and the attributes that it has in common with others.
            start_time: nanoseconds, `time_ns()`.
            end_time: likewise.
            parent_context: the context with its parent; None: the current one.
            attributes: plain values that the caller gives away; they win over those of the template.
            status: its status.
        """
        try:
            if (
                status is None
                and parent_context
                and self._record_directly(template, parent_context, start_time, end_time, attributes)
            ):
                return
            seen: Any = template.attributes
            if attributes and self._provider.is_sampled is None:  # a sampler of the user sees them all
                seen = {**seen, **attributes}
            span = self._begin(template.name, parent_context, template.kind, seen, (), start_time)
            if type(span) is UnsampledSpan:
                return
            for on_start in self.processors.starting:
                on_start(span, parent_context)
            if status is not None:
                span.set_status(status)
            span.finish(template, attributes, end_time=end_time)
        except BaseException as error:
            if not swallow("recording a span", error):
                raise

    def _record_directly(
        self, template: SpanTemplate, context: Context, start: int, end: int, attributes: dict[str, Any] | None
    ) -> bool:
        """Write a span below another one without an object for it; False where more than our exporter sees spans."""
        is_sampled, span = self._provider.is_sampled, span_in(context)
        if self.processors.direct is None or is_sampled is None or span is None:
            return False
        parent = span.get_span_context()
        if not parent[5] or (parent[4] is not DEFAULT_TRACE_STATE and parent[4]):
            return False
        if not is_sampled(parent, parent[0], template.kind, template.attributes):
            return True
        flags = parent[3] & RANDOM | SAMPLED
        if parent[2]:
            flags |= IS_REMOTE
        return self._write(template, parent[0], parent[1], flags, start, end, attributes)

    def record_below(
        self, span: RecordingSpan, template: SpanTemplate, start: int, end: int, attributes: dict[str, Any] | None
    ) -> bool:
        """As `record_span` below a sampled span of ours, in fewer steps; False where `record_span` has to write it.

        Args:
            span: the parent.
            template: its name, its kind, and the attributes that it has in common with others.
            start: nanoseconds, `time_ns()`.
            end: likewise.
            attributes: further plain values.
        """
        if self.processors.direct is None or not self._provider.follows_parents or span.trace_state is not None:
            return False
        flags = span.trace_flags & RANDOM | SAMPLED
        return self._write(template, span.trace_id, span.span_id, flags, start, end, attributes)

    def _write(
        self,
        template: SpanTemplate,
        trace_id: int,
        parent_id: int,
        flags: int,
        start: int,
        end: int,
        attributes: dict[str, Any] | None,
    ) -> bool:
        """Encode and queue a span that has ended; False where its attributes need a span to fit."""
        direct = self.processors.direct
        if direct is None:  # a processor was added meanwhile
            return False
        exporter, sources = direct
        for values in sources:
            found = values()
            if found:
                attributes = {**found, **attributes} if attributes else {**found}
        if attributes:
            limit = self.limits.attributes
            if not template.attributes.keys().isdisjoint(attributes) or (
                limit is not None and len(template.attributes) + len(attributes) > limit
            ):
                return False
        span_id = self._provider.id_generator.generate_span_id()
        item = exporter.encoder.encode_finished(template, trace_id, parent_id, span_id, flags, start, end, attributes)
        exporter.enqueue(TRACES, self.encoded_scope, item)
        return True

    def record_deferred(
        self,
        template: SpanTemplate,
        *,
        context: SpanContext,
        parent: SpanContext | None,
        start_time: int,
        end_time: int,
        attributes: Mapping[str, Any] | None = None,
        status: Status = UNSET,
        events: Sequence[Any] = (),
        links: Sequence[Link] = (),
    ) -> None:
        """Write a span that was not sampled at its start, as sampled; no `on_start` is called.

        Args:
            template: its name, kind and common attributes.
            context: its ids, flags and trace state.
            parent: its parent.
            start_time: nanoseconds, `time_ns()`.
            end_time: likewise.
            attributes: further attributes, of any values.
            status: its status.
            events: with name, attributes and timestamp, as `SpanEvent`.
            links: its links.
        """
        span = self.processors.span_class(
            self, context.trace_id, context.span_id, context.trace_flags | SAMPLED, context.trace_state or None,
            parent, template.name, template.kind, start_time,
        )  # fmt: skip
        span.set_attributes(attributes or {})
        for event in events:
            span.add_event(event.name, event.attributes, event.timestamp)
        span.add_links(links)
        span.set_status(status)
        span.finish(template, end_time=end_time)


INVALID_SPAN: Final = UnsampledSpan(0, 0, 0, None)


def own_tracer(tracer: object) -> BlogautoTracer | None:
    """The tracer, if it is one of our provider: only those have the calls beyond the API."""
    return tracer if isinstance(tracer, BlogautoTracer) else None


class CurrentSpan:
    """What `start_as_current_span` returns: a context manager, and a decorator of functions and coroutine functions.

    It does what the API's `use_span` does, which asks the exception for its text outside of any guard.
    """

    __slots__ = ("_options", "_span", "_token", "_tracer")

    def __init__(self, tracer: BlogautoTracer, options: SpanOptions) -> None:
        self._tracer = tracer
        self._options = options
        self._span: trace.Span = trace.INVALID_SPAN
        self._token: Any = None

    def __enter__(self) -> trace.Span:
        span = self._span = self._tracer.start_span(*self._options[:-1])
        self._token = context_api.attach(trace.set_span_in_context(span))
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        options, span = self._options, self._span
        context_api.detach(self._token)
        if isinstance(error, Exception) and span.is_recording():
            if options.record_exception:
                span.record_exception(error)
            if options.set_status_on_exception:
                span.set_status(Status(StatusCode.ERROR, description(error)))
        if options.end_on_exit:
            span.end()

    def __call__(self, function: F) -> F:
        """Decorate: each call runs in a span of its own."""
        tracer, options = self._tracer, self._options
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                with CurrentSpan(tracer, options):
                    return await function(*args, **kwargs)

            return cast("F", call_async)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with CurrentSpan(tracer, options):
                return function(*args, **kwargs)

        return cast("F", call)
