"""What is said of a request: its span and its metrics, and the span written afterwards for one that was not sampled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context as OtelContext
from opentelemetry.trace import (
    INVALID_SPAN,
    Span,
    SpanKind,
    StatusCode,
    get_current_span,
    set_span_in_context,
)

from blogauto_otel import semconv
from blogauto_otel._guard import guard, swallow
from blogauto_otel.instrumentation import Context
from blogauto_otel.instrumentation.asgi import attributes, hooks
from blogauto_otel.instrumentation.asgi.attributes import Attributes
from blogauto_otel.instrumentation.asgi.headers import Headers
from blogauto_otel.instrumentation.asgi.late import ERROR, LateSpan, LateSpans
from blogauto_otel.instrumentation.asgi.metrics import RequestMetrics
from blogauto_otel.instrumentation.asgi.request import Outcome, Request, Session, is_the_clients
from blogauto_otel.signals import catalogue
from blogauto_otel.signals.context import begin_request

if TYPE_CHECKING:
    from blogauto_otel.instrumentation.asgi.protocol import Receive, Scope, Send

METHODS: Final = {method: method for method in catalogue.HTTP_METHODS}


class Observer:
    """Watches the requests of this process, from `instrument` to `uninstrument`."""

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self.metrics = RequestMetrics(context.meter_provider, settings)
        self.tracer = context.tracer_provider.get_tracer(semconv.SCOPE_HTTP)
        self.late = LateSpans(context)
        self._redactor = context.redactor
        self._headers = Headers(settings.trust_incoming)

    # --- the beginning --------------------------------------------------------------------------------------------

    def begin(self, scope: Scope, receive: Receive, send: Send) -> Request | None:
        """Open a request; None when that failed, and the application answers it unwatched."""
        request: Request | None = None
        try:
            if scope["type"] == "websocket":
                request = Session(scope, receive, send)
                self._enter(request)
            else:
                request = Request(scope, receive, send, METHODS.get(scope["method"], semconv.OTHER_METHOD))
                self._enter(request)
                self.metrics.open.add(request)
        except Exception as error:
            if not swallow("beginning a request", error):
                raise
            if request is not None:
                _leave(request)
            return None
        return request

    def _enter(self, request: Request) -> None:
        request.id, brought = self._headers.read(request.scope)
        parent = otel_context.get_current() if brought is None else brought
        request.parent = get_current_span(parent).get_span_context()
        request.span = self._start_span(request, parent)
        request.context = set_span_in_context(request.span, parent)
        with guard("binding the request id"):
            request.binding = begin_request(request.id)
        request.enter()

    def _start_span(self, request: Request, parent: OtelContext) -> Span:
        span: Span = INVALID_SPAN
        with guard("starting the span of a request"):
            few = attributes.for_sampling(request.scope, request.http_method)
            name = request.span_name(None)
            span = self.tracer.start_span(name, parent, SpanKind.SERVER, few, start_time=request.began_at)
            if span.is_recording():
                span.set_attributes(
                    attributes.of_request(request.scope, request.http_method, request.id, self._redactor)
                )
        return span

    def _of_request(self, request: Request) -> Attributes:
        return attributes.of_request(request.scope, request.http_method, request.id, self._redactor)

    # --- the end --------------------------------------------------------------------------------------------------

    def finish(self, request: Request) -> None:
        """Say what is to be said of a request whose response is out; the first call does it."""
        if request.outcome is not None:
            return
        self.metrics.open.discard(request)
        request.outcome = outcome = request.judge()
        context = request.context
        with guard("ending the span of a request"):
            context = self._end_span(request, outcome)
        with guard("counting a request"):
            if not isinstance(request, Session):
                self.metrics.record(request, outcome, context)
        self._count_exception(request, outcome.route)

    def close(self, request: Request) -> None:
        """Finish a request, whose application has returned, and leave its context."""
        with guard("finishing a request"):
            self.finish(request)
        _leave(request)

    def fail(self, request: Request, error: BaseException) -> None:
        """Note the exception that the application let pass; one that comes after the end is told now."""
        request.error = error
        outcome = request.outcome
        if outcome is None:
            return
        with guard("telling of a failure after the response"):
            self._count_exception(request, outcome.route)
            if request.is_sampled or request.is_written or not self.late.can_write(request, outcome.route):
                _tell_of_failure(request, request.span)
            else:
                self._write_late(request, outcome, ERROR)

    def _count_exception(self, request: Request, route: str | None) -> None:
        error = request.exception
        if error is None or request.error_is_counted or (isinstance(request, Session) and is_the_clients(error)):
            return
        request.error_is_counted = True
        with guard("counting an error"):
            self.metrics.count_error(type(error).__name__, route)

    # --- spans ----------------------------------------------------------------------------------------------------

    def _end_span(self, request: Request, outcome: Outcome) -> OtelContext:
        """End the span, or write one; the context returned is what an exemplar points to."""
        span = request.span
        if span.is_recording():
            span.update_name(request.span_name(outcome.route))
            span.set_attributes(attributes.of_response(outcome, client_left=request.left))
            if outcome.failed:
                self._mark_failed(request, span)
            span.end(request.ended_at)
        if not request.is_sampled and (reason := self.late.reason(request, outcome)):
            return self._write_late(request, outcome, reason)
        return request.context

    def _mark_failed(self, request: Request, span: Span) -> None:
        if request.error is not None:
            span.record_exception(request.error, timestamp=request.ended_at)
        _tell_of_failure(request, span)
        span.set_status(StatusCode.ERROR)

    def _write_late(self, request: Request, outcome: Outcome, reason: str) -> OtelContext:
        request.is_written = True
        span = LateSpan(request.span.get_span_context())
        span.set_attributes(attributes.for_sampling(request.scope, request.http_method))
        span.set_attributes(self._of_request(request))
        span.set_attributes(attributes.of_response(outcome, client_left=request.left))
        span.set_attribute(semconv.SAMPLING_REASON, reason)
        _tell_of_failure(request, span)
        self.late.write(
            span,
            name=request.span_name(outcome.route),
            kind=SpanKind.SERVER,
            parent=request.parent,
            times=(request.began_at, request.ended_at),
            failed=outcome.failed,
            error=request.error if outcome.failed else None,
        )
        return set_span_in_context(span, request.context)


def _leave(request: Request) -> None:
    with guard("leaving a request"):
        request.leave()
    with guard("releasing a request"):
        request.release()


def _tell_of_failure(request: Request, span: Span) -> None:
    """Once per exception: a background task may have told of it before it came here."""
    error = request.exception
    failed = request.outcome is not None and request.outcome.failed
    if isinstance(error, Exception) and error is not request.told and (failed or request.error is not None):
        request.told = error
        hooks.request_failed(error, span)
