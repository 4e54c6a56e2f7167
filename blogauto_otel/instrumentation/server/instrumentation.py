"""The span and the metrics of each request, from its start to its end."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context as OtelContext
from opentelemetry.context import get_current
from opentelemetry.semconv.attributes.exception_attributes import EXCEPTION_MESSAGE, EXCEPTION_TYPE
from opentelemetry.trace import Span, SpanContext, SpanKind, StatusCode, get_current_span, set_span_in_context

from blogauto_otel import _process, semconv
from blogauto_otel._guard import guard, log_once, swallow
from blogauto_otel.api import catalogue
from blogauto_otel.api.failures import record_failure
from blogauto_otel.api.text import class_name, description, safe_text, type_name
from blogauto_otel.instrumentation import Context, Report
from blogauto_otel.instrumentation.server import attributes, hooks, paths, request_context
from blogauto_otel.instrumentation.server.deferred import ERROR, DeferredSpan, DeferredSpans
from blogauto_otel.instrumentation.server.exceptions import is_client_disconnect, unwrap_group
from blogauto_otel.instrumentation.server.headers import CapturedHeaders, Headers
from blogauto_otel.instrumentation.server.metrics import request_metrics
from blogauto_otel.instrumentation.server.paths import SecretPaths
from blogauto_otel.instrumentation.server.request import Request, WebSocketRequest

if TYPE_CHECKING:
    from blogauto_otel.config import Settings
    from blogauto_otel.instrumentation.server.types import Receive, Scope, Send


MAX_OTHERS: Final = 10


class ServerInstrumentation:
    """Instruments the requests of this process, from `instrument` to `uninstrument`."""

    def __init__(self, given: Context) -> None:
        settings = given.settings
        self.metrics = request_metrics(given.meter_provider, settings)
        self.tracer = given.tracer_provider.get_tracer(semconv.SCOPE_HTTP)
        self.providers = (given.tracer_provider, given.meter_provider, given.logger_provider)
        self.deferred = DeferredSpans(given)
        self.paths = SecretPaths(given.redactor)
        self._redactor = given.redactor
        self._headers = Headers(settings)
        self._captured = CapturedHeaders(settings, given.redactor)
        self._excluded = _excluded_urls(settings)
        known_methods = getattr(settings, "known_methods", ()) or catalogue.HTTP_METHODS
        self._methods = {method: method for method in known_methods}

    def excludes(self, scope: Scope) -> bool:
        """Whether the URL of a request is one of `excluded_urls`."""
        return self._excluded is not None and self._excluded.search(attributes.url(scope)) is not None

    # --- the beginning --------------------------------------------------------------------------------------------

    def begin(self, scope: Scope, receive: Receive, send: Send, *, is_traced: bool = False) -> Request | None:
        """Start a request; None when that fails, and the application answers it without instrumentation.

        `is_traced` says that the application makes the server span itself.
        """
        request: Request | None = None
        try:
            if scope["type"] == "websocket":
                request = WebSocketRequest(scope, receive, send)
            else:
                request = Request(scope, receive, send, self._methods.get(scope["method"], semconv.OTHER_METHOD))
            request.paths = self.paths
            paths.forget()
            self._enter(request, is_traced=is_traced)
        except BaseException as error:
            if not swallow("beginning a request", error):
                raise
            if request is not None:
                self._leave(request)
            return None
        return request

    def _enter(self, request: Request, *, is_traced: bool) -> None:
        """Start its span, and enter its context."""
        request.id, (incoming, request.links) = self._headers.read(request.scope)
        outer = get_current()
        request.parent = outer if incoming is None else incoming
        try:
            if is_traced:
                note_other("FastAPI(telemetry=...)", "makes the server spans with the provider given there")
            elif not outer or not self._use_outer_span(request, outer):
                self._start_span(request)
        except BaseException as error:
            if not swallow("starting the span of a request", error):
                raise
        request.context = set_span_in_context(request.span, request.parent)
        request_context.enter_request(request)
        self.metrics.open.add(request)

    def _use_outer_span(self, request: Request, outer: OtelContext) -> bool:
        """Use the server span of a middleware around the application, which then stays the only one."""
        span = get_current_span(outer)
        if not span.is_recording() or getattr(span, "kind", None) is not SpanKind.SERVER:
            return False
        library = getattr(getattr(span, "instrumentation_scope", None), "name", "")
        if library == semconv.SCOPE_HTTP:  # a request to another application, made within a request
            return False
        note_other(library or "another library", "makes the server spans, around the application")
        request.parent, request.span, request.sampled = outer, span, True
        span.set_attribute(semconv.REQUEST_ID, request.id.decode("ascii"))
        _call_hooks(request)
        return True

    def _start_span(self, request: Request) -> None:
        for_sampler = attributes.for_sampling(request, self._redactor)
        name = request.name = "HTTP" if request.method == semconv.OTHER_METHOD else request.method
        links, began_at = request.links, request.began_at
        span = self.tracer.start_span(name, request.parent, SpanKind.SERVER, for_sampler, links, start_time=began_at)
        request.recording = span.is_recording()
        request.sampled = span.get_span_context().trace_flags.sampled
        request.span = span
        if request.recording:
            span.set_attributes(attributes.of_request(request, self._redactor))
            _call_hooks(request)
        if self._captured.has_response:
            request.response_headers = ()

    # --- the end --------------------------------------------------------------------------------------------------

    def close(self, request: Request) -> None:
        """Finish a request whose application has returned, and leave its context."""
        try:
            self.finish(request)
        except BaseException as error:
            if not swallow("finishing a request", error):
                raise
        self._leave(request)

    def finish(self, request: Request) -> None:
        """End the span and record the metrics of a request; only the first call does it."""
        if request.finished:
            return
        self.metrics.open.discard(request)
        request.classify()
        exemplar = request.context
        try:
            if request.recording:
                self._end_span(request)
            if not request.sampled and (
                request.failed or request.has_reported_error or request.seconds > self.deferred.slow
            ):
                exemplar = self._write_deferred_span(request, exemplar)
        except BaseException as error:
            if not swallow("ending the span of a request", error):
                raise
        if request.failed:
            _report_failure(request, request.span)  # unless it was reported with its span
        if not request.is_websocket:
            self.metrics.record(request, exemplar)
        if request.error is not None or request.handled is not None:
            self._count_error(request)

    def fail(self, request: Request, error: BaseException) -> None:
        """Record the exception that the application raised; one that comes after the end is reported now."""
        request.error = error
        with guard("remembering a failed request"):
            request.error = unwrap_group(error)
            _remember(request, error, self._exported_span(request))
        if not request.finished:
            return
        with guard("reporting a failure after the response"):
            self._count_error(request)
            if not request.sampled:
                self._write_deferred_span(request, request.context, ERROR)
            _report_failure(request, request.span)

    def _leave(self, request: Request) -> None:
        """Restore the context that the task had before."""
        try:
            try:
                self.paths.remember(request)
                request_context.leave_request(request)
            finally:
                request.release()
        except BaseException as error:
            if not swallow("leaving a request", error):
                raise

    def _count_error(self, request: Request) -> None:
        error = request.exception
        if error is None or request.is_counted or (request.is_websocket and is_client_disconnect(error)):
            return
        request.is_counted = True
        with guard("counting an error"):
            self.metrics.count_error(class_name(type(error)), request.template)

    # --- spans ----------------------------------------------------------------------------------------------------

    def _end_span(self, request: Request) -> None:
        span = request.span
        known = self._attributes_at_end(request)
        if getattr(span, "name", request.name) == request.name:  # else the application has named it
            span.update_name(request.span_name())
        if attributes.ROUTE in (getattr(span, "attributes", None) or ()):  # likewise
            known.pop(attributes.ROUTE, None)
        span.set_attributes(known)
        if request.failed:
            if request.error is not None and not _is_recorded(span, request.error):
                span.record_exception(request.error, timestamp=request.ended_at)
            _report_failure(request, span)
            span.set_status(StatusCode.ERROR, None if request.error is None else description(request.error))
        span.end(request.ended_at)

    def _attributes_at_end(self, request: Request) -> dict[str, Any]:
        found: dict[str, Any] = attributes.of_response(request, self.paths)
        if self._captured.is_on:
            with guard("recording headers"):
                secret = self.paths.find(request)
                captured = self._captured.attributes(request.scope["headers"], request.response_headers or ())
                for name, values in captured.items():
                    found[name] = values if secret is None else tuple(map(secret.replace_in, values))
        return found

    def _write_deferred_span(self, request: Request, exemplar: OtelContext, reason: str | None = None) -> OtelContext:
        """Write the span of an unsampled request if it has a reason; returns the context for an exemplar."""
        reason = reason or self.deferred.reason(request)
        if reason is None or not self.deferred.can_write(request) or not _claim(request):
            return exemplar
        span = DeferredSpan(request.span.get_span_context())
        span.set_attributes(attributes.for_sampling(request, self._redactor))
        span.set_attributes(attributes.of_request(request, self._redactor))
        span.set_attributes(self._attributes_at_end(request))
        hooks.request_started(span, request.scope)
        if request.code is not None:
            hooks.response_started(span, request.scope, request.code)
        span.set_attribute(semconv.SAMPLING_REASON, reason)
        _report_failure(request, span)
        self.deferred.write_request(span, request)
        return set_span_in_context(span, exemplar)

    def export_deferred(self, request: Request) -> None:
        """Write the server span of an unsampled request when it ends; at once when it has ended."""
        request.has_reported_error = True
        if request.finished:
            self._write_deferred_span(request, request.context)

    def _exported_span(self, request: Request) -> SpanContext:
        """The request's span context, with the sampled flag when a deferred span is written for it."""
        span = request.span.get_span_context()
        return (
            span if request.sampled or not self.deferred.can_write(request) else DeferredSpan(span).get_span_context()
        )


def _call_hooks(request: Request) -> None:
    hooks.request_started(request.span, request.scope)
    if hooks.has_response_callbacks():
        request.on_response = hooks.response_started


def _excluded_urls(settings: Settings) -> re.Pattern[str] | None:
    patterns = getattr(settings, "excluded_urls", ())
    return re.compile("|".join(patterns)) if patterns else None


def _is_recorded(span: Span, error: BaseException) -> bool:
    """Whether the last event of the span is this exception: contrib's exception middleware records it too."""
    events = getattr(span, "events", ())
    found: Any = events[-1].attributes if events and events[-1].name == "exception" else None
    return bool(found) and (
        found.get(EXCEPTION_TYPE) == type_name(type(error)) and found.get(EXCEPTION_MESSAGE) == safe_text(error)
    )


def _claim(request: Request) -> bool:
    """Whether the caller is the one to write the span; two threads may want to, and `setdefault` is atomic."""
    caller = object()
    return request.__dict__.setdefault("written_by", caller) is caller


def _remember(request: Request, error: BaseException, span: SpanContext) -> None:
    """The server logs the exception when this request is over; of a group of one it logs the group."""
    for one in (request.error, error):
        if isinstance(one, Exception):
            record_failure(one, span)


def _report_failure(request: Request, span: Span) -> None:
    """Once per exception: a background task may have reported it before it came here."""
    error = request.exception
    is_failure = request.failed or request.error is not None
    if not isinstance(error, Exception) or error is request.reported_error or is_client_disconnect(error):
        return
    if is_failure:
        request.reported_error = error
        hooks.request_failed(error, span)


class _State:
    """The instrumentation in force; None while requests are not instrumented, only pages and lifespans."""

    def __init__(self) -> None:
        self.active: ServerInstrumentation | None = None
        self.report: Report | None = None
        self.record_filter: paths.RecordFilter | None = None
        self.hooks: list[Callable[..., None]] = []  # of `configure(hooks=...)`
        # Scope keys by which frameworks switch off telemetry of their own for one request.
        self.suppression_keys: tuple[str, ...] = ()
        self.others: dict[str, str] = {}  # other instrumentations of the same requests, and what they do

    def after_fork_in_child(self) -> None:
        """Count from zero: the parent exports its own counts."""
        if self.active is not None:
            self.active.metrics.reset()


state: Final = _process.register(_State())


def note_other(name: str, effect: str) -> None:
    """Record for the status, and log once, that another instrumentation covers the same requests."""
    if name in state.others or len(state.others) >= MAX_OTHERS:
        return
    state.others[name] = effect
    log_once(f"beside {name}", "%s %s", name, effect, level=logging.INFO)
