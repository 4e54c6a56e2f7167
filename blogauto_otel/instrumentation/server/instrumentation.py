"""What is said of a request: its span and its metrics, and the span written afterwards for one that was not sampled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.context import Context as OtelContext
from opentelemetry.context import attach, detach, get_current
from opentelemetry.trace import Span, SpanContext, SpanKind, StatusCode, set_span_in_context

from blogauto_otel import semconv
from blogauto_otel._guard import guard, swallow
from blogauto_otel.api import catalogue
from blogauto_otel.api.context import begin_request, end_request
from blogauto_otel.api.failures import record_failure
from blogauto_otel.api.text import class_name, description
from blogauto_otel.instrumentation import Context
from blogauto_otel.instrumentation.server import attributes, hooks
from blogauto_otel.instrumentation.server.deferred import ERROR, DeferredSpan, DeferredSpans
from blogauto_otel.instrumentation.server.headers import Headers
from blogauto_otel.instrumentation.server.metrics import RequestMetrics
from blogauto_otel.instrumentation.server.paths import Paths
from blogauto_otel.instrumentation.server.request import Request, Session, alone, current, is_client_disconnect

if TYPE_CHECKING:
    from blogauto_otel.instrumentation.server.types import Receive, Scope, Send

METHODS: Final = {method: method for method in catalogue.HTTP_METHODS}


class Observer:
    """Watches the requests of this process, from `instrument` to `uninstrument`."""

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self.metrics = RequestMetrics(context.meter_provider, settings)
        self.tracer = context.tracer_provider.get_tracer(semconv.SCOPE_HTTP)
        self.late = DeferredSpans(context)
        self.paths = Paths(context.redactor)
        self._redactor = context.redactor
        self._headers = Headers(settings)

    # --- the beginning --------------------------------------------------------------------------------------------

    def begin(self, scope: Scope, receive: Receive, send: Send) -> Request | None:
        """Open a request; None when that failed, and the application answers it unwatched."""
        request: Request | None = None
        try:
            if scope["type"] == "websocket":
                request = Session(scope, receive, send)
            else:
                request = Request(scope, receive, send, METHODS.get(scope["method"], semconv.OTHER_METHOD))
            self._enter(request)
        except BaseException as error:
            if not swallow("beginning a request", error):
                raise
            if request is not None:
                self._leave(request)
            return None
        return request

    def _enter(self, request: Request) -> None:
        """Be the current request of this task, and of all tasks and threads it starts."""
        request.id, (brought, request.links) = self._headers.read(request.scope)
        request.parent = get_current() if brought is None else brought
        try:
            self._start_span(request)
        except BaseException as error:
            if not swallow("starting the span of a request", error):
                raise
        request.context = set_span_in_context(request.span, request.parent)
        request.attached = attach(request.context)
        request.binding = begin_request(request.id.decode("ascii"))
        request.previous = current.set(request)
        request.tokens = hooks.enter_request()
        self.metrics.open.add(request)

    def _start_span(self, request: Request) -> None:
        few = attributes.for_sampling(request, self._redactor)
        name = request.name = "HTTP" if request.method == semconv.OTHER_METHOD else request.method
        links, began_at = request.links, request.began_at
        span = self.tracer.start_span(name, request.parent, SpanKind.SERVER, few, links, start_time=began_at)
        request.recording = span.is_recording()
        request.sampled = span.get_span_context().trace_flags.sampled
        request.span = span
        if request.recording:
            span.set_attributes(attributes.of_request(request, self._redactor))

    # --- the end --------------------------------------------------------------------------------------------------

    def close(self, request: Request) -> None:
        """Finish a request, whose application has returned, and leave its context."""
        try:
            self.finish(request)
        except BaseException as error:
            if not swallow("finishing a request", error):
                raise
        self._leave(request)

    def finish(self, request: Request) -> None:
        """Say what is to be said of a request whose response is out; the first call does it."""
        if request.finished:
            return
        self.metrics.open.discard(request)
        request.judge()
        context = request.context
        try:
            if request.recording:
                self._end_span(request)
            if not request.sampled and (
                request.failed or request.has_reported_error or request.seconds > self.late.slow
            ):
                context = self._write_deferred_span(request, context)
        except BaseException as error:
            if not swallow("ending the span of a request", error):
                raise
        if request.failed:
            _tell_of_failure(request, request.span)  # unless its span was told of
        if not request.is_session:
            self.metrics.record(request, context)
        if request.error is not None or request.handled is not None:
            self._count_error(request)

    def fail(self, request: Request, error: BaseException) -> None:
        """Note the exception that the application let pass; one that comes after the end is told now."""
        request.error = error
        with guard("remembering a failed request"):
            request.error = alone(error)
            _remember(request, error, self._exported_span(request))
        if not request.finished:
            return
        with guard("telling of a failure after the response"):
            self._count_error(request)
            if not request.sampled:
                self._write_deferred_span(request, request.context, ERROR)
            _tell_of_failure(request, request.span)

    def _leave(self, request: Request) -> None:
        """Give the task back the context it had."""
        try:
            if request.previous is not None:
                current.reset(request.previous)
        except ValueError:  # closed by the garbage collector in whatever context it met: perhaps another request's
            if current.get() is request:
                current.set(None)
        try:
            if request.tokens:
                hooks.leave_request(request.tokens)
            if request.binding is not None:
                end_request(request.binding)
            if request.attached is not None:
                detach(request.attached)
            request.release()
        except BaseException as error:
            if not swallow("leaving a request", error):
                raise

    def _count_error(self, request: Request) -> None:
        error = request.exception
        if error is None or request.is_counted or (request.is_session and is_client_disconnect(error)):
            return
        request.is_counted = True
        with guard("counting an error"):
            self.metrics.count_error(class_name(type(error)), request.template)

    # --- spans ----------------------------------------------------------------------------------------------------

    def _end_span(self, request: Request) -> None:
        span = request.span
        known = attributes.of_response(request, self.paths)
        if getattr(span, "name", request.name) == request.name:  # else the application has given it one
            span.update_name(request.span_name())
        if attributes.ROUTE in (getattr(span, "attributes", None) or ()):  # likewise
            known.pop(attributes.ROUTE, None)
        span.set_attributes(known)
        if request.failed:
            if request.error is not None:
                span.record_exception(request.error, timestamp=request.ended_at)
            _tell_of_failure(request, span)
            span.set_status(StatusCode.ERROR, None if request.error is None else description(request.error))
        span.end(request.ended_at)

    def _write_deferred_span(self, request: Request, context: OtelContext, reason: str | None = None) -> OtelContext:
        """Write the span of a request that was not sampled, if it deserves one; an exemplar may point to it."""
        reason = reason or self.late.reason(request)
        if reason is None or not self.late.can_write(request) or not _claim(request):
            return context
        span = DeferredSpan(request.span.get_span_context())
        span.set_attributes(attributes.for_sampling(request, self._redactor))
        span.set_attributes(attributes.of_request(request, self._redactor))
        span.set_attributes(attributes.of_response(request, self.paths))
        span.set_attribute(semconv.SAMPLING_REASON, reason)
        _tell_of_failure(request, span)
        self.late.write_request(span, request)
        return set_span_in_context(span, context)

    # --- errors reported in unsampled requests --------------------------------------------------------------------

    def unsampled_request(self, span: SpanContext) -> Request | None:
        """The unsampled request that `span` was started in, when its server span can be written after the fact."""
        if not span.is_valid or span.trace_flags.sampled:
            return None
        request = current.get()
        if request is None or request.span.get_span_context().trace_id != span.trace_id:
            request = self._open_request(span)
        if request is None or request.sampled or not self.late.can_write(request):
            return None
        return request

    def _open_request(self, span: SpanContext) -> Request | None:
        """For threads, which have no request of their own; requests that share the trace cannot be told apart."""
        of_trace: list[Request] = []
        for request in tuple(self.metrics.open):
            known = request.span.get_span_context()
            if known.trace_id == span.trace_id:
                if known.span_id == span.span_id:
                    return request
                of_trace.append(request)
        return of_trace[0] if len(of_trace) == 1 else None

    def keep(self, request: Request) -> None:
        """Write the server span of an unsampled request when it ends; at once when it has ended."""
        request.has_reported_error = True
        if request.finished:
            self._write_deferred_span(request, request.context)

    def _exported_span(self, request: Request) -> SpanContext:
        """The request's span context, with the sampled flag when its span is written after the fact."""
        span = request.span.get_span_context()
        return span if request.sampled or not self.late.can_write(request) else DeferredSpan(span).get_span_context()


def _claim(request: Request) -> bool:
    """Whether the caller is the one to write the span; two threads may want to, and `setdefault` is atomic."""
    caller = object()
    return request.__dict__.setdefault("written_by", caller) is caller


def _remember(request: Request, error: BaseException, span: SpanContext) -> None:
    """The server logs the exception when this request is over; of a group of one it logs the group."""
    for one in (request.error, error):
        if isinstance(one, Exception):
            record_failure(one, span)


def _tell_of_failure(request: Request, span: Span) -> None:
    """Once per exception: a background task may have told of it before it came here."""
    error = request.exception
    is_failure = request.failed or request.error is not None
    if not isinstance(error, Exception) or error is request.told or is_client_disconnect(error):
        return
    if is_failure:
        request.told = error
        hooks.request_failed(error, span)
