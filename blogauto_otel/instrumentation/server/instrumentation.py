"""The span and the metrics of each request, from its start to its end."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context as OtelContext
from opentelemetry.semconv.attributes.exception_attributes import EXCEPTION_MESSAGE, EXCEPTION_TYPE
from opentelemetry.trace import (
    INVALID_SPAN,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)

from blogauto_otel import _process, semconv
from blogauto_otel._class_names import class_name, type_name
from blogauto_otel._guard import guard, log_once, swallow
from blogauto_otel._memo import BoundedMemo
from blogauto_otel.api import catalogue, statements
from blogauto_otel.api.failures import record_failure
from blogauto_otel.api.text import description, safe_text
from blogauto_otel.instrumentation import Context, Report
from blogauto_otel.instrumentation.server import attributes, hooks, paths
from blogauto_otel.instrumentation.server.deferred import ERROR, DeferredSpan, DeferredSpans
from blogauto_otel.instrumentation.server.exceptions import is_client_disconnect, unwrap_group
from blogauto_otel.instrumentation.server.headers import (
    REQUEST_ID,
    WELL_FORMED,
    CapturedHeaders,
    Headers,
    new_request_id,
)
from blogauto_otel.instrumentation.server.metrics import request_metrics
from blogauto_otel.instrumentation.server.paths import SecretPaths
from blogauto_otel.instrumentation.server.request import Request, WebSocketRequest
from blogauto_otel.otlp.spans import SpanTemplate
from blogauto_otel.sdk.span import RecordingSpan, UnsampledSpan
from blogauto_otel.sdk.tracer import BlogautoTracer, own_tracer
from blogauto_otel.sdk.unsampled_span import SAMPLED

if TYPE_CHECKING:
    from blogauto_otel.config import Settings
    from blogauto_otel.instrumentation.server.types import Receive, Scope, Send


MAX_OTHERS: Final = 10
MAX_TEMPLATES: Final = 256  # of spans: by method, route, status and host
MAX_HOST: Final = 128  # bytes of a host that is remembered
[_SPAN_KEY] = set_span_in_context(INVALID_SPAN, OtelContext())  # where the API looks for the span


class ServerInstrumentation:
    """Instruments the requests of this process, from `instrument` to `uninstrument`."""

    def __init__(self, given: Context) -> None:
        settings = given.settings
        self.metrics = request_metrics(given.meter_provider, settings)
        self.tracer = given.tracer_provider.get_tracer(semconv.SCOPE_HTTP)
        self._templates: BoundedMemo[tuple[Any, ...], SpanTemplate] = BoundedMemo(MAX_TEMPLATES)
        self._starts: BoundedMemo[tuple[str, str | None], SpanTemplate] = BoundedMemo(MAX_TEMPLATES)
        self.providers = (given.tracer_provider, given.meter_provider, given.logger_provider)
        self.deferred = DeferredSpans(given)
        self.paths = SecretPaths(given.redactor)
        self._redactor = given.redactor
        self._headers = Headers(settings)
        self._captured = CapturedHeaders(settings, given.redactor)
        self.excluded = _excluded_urls(settings)
        known_methods = getattr(settings, "known_methods", ()) or catalogue.HTTP_METHODS
        self._methods = {method: method for method in known_methods}

    @property
    def tracer(self) -> Tracer:
        """What starts the spans."""
        return self._tracer

    @tracer.setter
    def tracer(self, tracer: Tracer) -> None:
        self._tracer, self._own = tracer, own_tracer(tracer)

    def excludes(self, scope: Scope) -> bool:
        """Whether the URL of a request is one of `excluded_urls`."""
        try:
            return self.excluded is not None and self.excluded.search(attributes.url(scope)) is not None
        except BaseException as error:
            if not swallow("looking for an excluded URL", error):
                raise
            return False

    # --- the beginning --------------------------------------------------------------------------------------------

    def begin(  # noqa: C901 - flat, because every request takes it
        self, scope: Scope, receive: Receive, send: Send, outer: OtelContext, *, is_traced: bool = False
    ) -> Request | None:
        """Start a request; None when that fails, and the application answers it without instrumentation.

        `outer` is the current context; `is_traced` says that the application makes the server span itself.
        """
        request: Request | None = None
        try:
            headers = scope["headers"]
            if type(headers) is not list:  # any iterable is allowed, also one that can be read only once
                headers = scope["headers"] = list(headers)
            known = dict(reversed(headers))  # the first of each name, in one step
            request_id = known.get(REQUEST_ID)
            if request_id is None:
                request_id = new_request_id()
            elif not (self._headers.accepts_ids and WELL_FORMED.fullmatch(request_id)):
                request_id = self._headers.request_id(headers)
            kind = scope["type"]
            if kind == "websocket":
                request = WebSocketRequest(scope, receive, send, "WS", request_id, outer, known, self.paths)
            else:
                method = self._methods.get(scope["method"], semconv.OTHER_METHOD)
                request = Request(scope, receive, send, method, request_id, outer, known, self.paths)
            if not self._headers.context_names.isdisjoint(known):
                incoming, request.links = self._headers.incoming(scope.get("client"), headers)
                if incoming is not None:
                    request.parent = incoming
            if outer or is_traced:
                self._find_span(request, outer, is_traced=is_traced)
            else:
                self._start_span(request)
            if not is_traced:  # else a request that the application excludes would have no span around it
                parent, span = request.parent, request.span
                request.context = OtelContext({**parent, _SPAN_KEY: span} if parent else {_SPAN_KEY: span})
            request.enter()
            self.metrics.open.add(request)
        except BaseException as error:
            if not swallow("beginning a request", error):
                raise
            if request is not None:
                with guard("leaving a request"):
                    request.leave()
            return None
        return request

    def _find_span(self, request: Request, outer: OtelContext, *, is_traced: bool) -> None:
        """Start the span of a request unless somebody else has made it, or will."""
        try:
            if is_traced:
                note_other("FastAPI(telemetry=...)", "makes the server spans with the provider given there")
                return
            if self._use_outer_span(request, outer):
                return
        except BaseException as error:
            if not swallow("starting the span of a request", error):
                raise
            return
        self._start_span(request)

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
        try:
            method = request.method
            name = request.name = "HTTP" if method == semconv.OTHER_METHOD else method
            own = self._own
            if own is None:
                self._start_any_span(request, name, attributes.for_sampling(request, self._redactor))
            elif request.is_websocket:
                self._start_rare_span(request, name, own)
            else:
                scope, parent = request.scope, request.parent
                path, raw = scope["path"], scope.get("raw_path")
                if not path.isascii() or (raw is not None and b"%" in raw):  # as `path_of`, without the call
                    path = attributes.path_of(scope, self._redactor)
                span: Any = own.start_request(name, parent, path, request.began_at)
                if span is None:
                    self._start_rare_span(request, name, own)
                elif type(span) is UnsampledSpan:
                    request.span = span
                else:
                    request.span = span
                    request.is_own_span = request.recording = request.sampled = True
                    common = self._starts.get((method, scope.get("scheme"))) or self._new_start(request)
                    known = attributes.of_client(request, self._redactor)
                    known[attributes.PATH] = path
                    own.started(span, parent, common, known, request.links)
            if request.recording and (hooks.state.request or hooks.state.response):
                _call_hooks(request)
            if self._captured.has_response:
                request.response_headers = ()
        except BaseException as error:
            if not swallow("starting the span of a request", error):
                raise

    def _new_start(self, request: Request) -> SpanTemplate:
        """What the spans of a method and a scheme have in common when they start."""
        scheme = request.scope.get("scheme")
        common = {attributes.METHOD: request.method, attributes.SCHEME: "http" if scheme is None else scheme}
        made = SpanTemplate(request.name, SpanKind.SERVER, common)
        return self._starts.remember((request.method, scheme), made)

    def _start_rare_span(self, request: Request, name: str, own: BlogautoTracer) -> None:
        """Start the span of a websocket session, or one that a sampler of another package decides about."""
        given = attributes.for_sampling(request, self._redactor)
        span: Any = own.start_server_span(name, request.parent, given, start_time=request.began_at, links=request.links)
        request.span = span
        if type(span) is not UnsampledSpan:
            request.is_own_span = request.recording = True
            request.sampled = span.trace_flags & SAMPLED != 0
            span.put(attributes.of_client(request, self._redactor))

    def _start_any_span(self, request: Request, name: str, given: Mapping[str, Any]) -> None:
        """Start a span of a provider that is not ours."""
        links, began_at = request.links, request.began_at
        span = self.tracer.start_span(name, request.parent, SpanKind.SERVER, given, links, start_time=began_at)
        request.span = span
        request.recording = span.is_recording()
        request.sampled = span.get_span_context().trace_flags.sampled
        if request.recording:
            span.set_attributes(attributes.of_request(request, self._redactor))

    # --- the end --------------------------------------------------------------------------------------------------

    def close(self, request: Request) -> None:
        """Finish a request whose application has returned, and leave its context."""
        try:
            if not request.finished:
                self.finish(request)
        except BaseException as error:
            if not swallow("finishing a request", error):
                raise
        try:
            request.leave()
        except BaseException as error:
            if not swallow("leaving a request", error):
                raise

    def finish(self, request: Request) -> None:  # noqa: C901 - flat, because a call costs as much as ten lines
        """End the span and record the metrics of a request; only the first call does it."""
        if request.finished:
            return
        self.metrics.open.discard(request)
        request.classify()
        exemplar = request.span
        try:
            if request.statements is not None and request.statements.is_remarkable:
                request.add_attributes(statements.report(request.statements, request.template or semconv.UNMATCHED))
            if request.recording:
                if request.is_own_span:
                    self._finish_span(request)
                else:
                    self._end_span(request)
            if not request.sampled and (
                request.failed or request.has_reported_error or request.seconds > self.deferred.slow
            ):
                exemplar = self._write_deferred_span(request) or exemplar
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
                self._write_deferred_span(request, ERROR)
            _report_failure(request, request.span)

    def _count_error(self, request: Request) -> None:
        error = request.exception
        if error is None or request.is_counted or (request.is_websocket and is_client_disconnect(error)):
            return
        request.is_counted = True
        with guard("counting an error"):
            self.metrics.count_error(class_name(type(error)), request.template)

    # --- spans ----------------------------------------------------------------------------------------------------

    def _finish_span(self, request: Request) -> None:
        """End a span of ours: what many requests have in common is encoded once."""
        span: Any = request.span
        template = request.template
        if (
            template is None or self.paths.known.get(template) is not False or request.failed or request.is_websocket
            or request.client_disconnected or request.extra_attributes is not None or self._captured.is_on
        ):  # fmt: skip
            self._finish_rare_span(request, span)
            return
        scope = request.scope
        host = request.headers.get(b"host")
        base = span.template  # that it was started with
        key = (
            base or (request.method, scope.get("scheme")), template, request.code, host, scope.get("http_version"),
            request.prefix, scope.get("root_path"), scope.get("app_root_path"),
        )  # fmt: skip
        common = self._templates.get(key)
        if common is None:
            common = SpanTemplate(request.span_name(), SpanKind.SERVER, self._common_attributes(request), base=base)
            if host is not None and len(host) <= MAX_HOST:
                self._templates.remember(key, common)
        span.finish(common, end_time=request.began_at + int(request.seconds * 1e9))

    def _common_attributes(self, request: Request) -> dict[str, Any]:
        return {**attributes.of_server(request), **attributes.of_response(request, self.paths)}

    def _finish_rare_span(self, request: Request, span: RecordingSpan) -> None:
        """One with something that other requests do not have."""
        common, own = self._common_attributes(request), dict[str, Any]()
        if attributes.PATH in common:  # without its secret
            own[attributes.PATH] = common.pop(attributes.PATH)
        if request.extra_attributes is not None:
            own.update(request.extra_attributes)
        if self._captured.is_on:
            span.set_attributes(self._captured_headers(request))
        self._record_failure(request)
        span.finish(SpanTemplate(request.span_name(), SpanKind.SERVER, common), own, end_time=request.ended_at)

    def _end_span(self, request: Request) -> None:
        """End a span of a provider that is not ours."""
        span = request.span
        known = self._attributes_at_end(request)
        if getattr(span, "name", request.name) == request.name:  # else the application has named it
            span.update_name(request.span_name())
        if attributes.ROUTE in (getattr(span, "attributes", None) or ()):  # likewise
            known.pop(attributes.ROUTE, None)
        span.set_attributes(known)
        self._record_failure(request)
        span.end(request.ended_at)

    def _record_failure(self, request: Request) -> None:
        if not request.failed:
            return
        span, error = request.span, request.error
        if error is not None and not _is_recorded(span, error):
            span.record_exception(error, timestamp=request.ended_at)
        _report_failure(request, span)
        span.set_status(StatusCode.ERROR, None if error is None else description(error))

    def _attributes_at_end(self, request: Request) -> dict[str, Any]:
        found: dict[str, Any] = attributes.of_response(request, self.paths)
        if self._captured.is_on:
            found.update(self._captured_headers(request))
        return found

    def _captured_headers(self, request: Request) -> dict[str, Any]:
        found: dict[str, Any] = {}
        with guard("recording headers"):
            secret = self.paths.find(request)
            captured = self._captured.attributes(request.scope["headers"], request.response_headers or ())
            for name, values in captured.items():
                found[name] = values if secret is None else tuple(map(secret.replace_in, values))
        return found

    def _write_deferred_span(self, request: Request, reason: str | None = None) -> DeferredSpan | None:
        """Write the span of an unsampled request if it has a reason."""
        reason = reason or self.deferred.reason(request)
        if reason is None or not self.deferred.can_write(request) or not _claim(request):
            return None
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
        return span

    def export_deferred(self, request: Request) -> None:
        """Write the server span of an unsampled request when it ends; at once when it has ended."""
        request.has_reported_error = True
        if request.finished:
            self._write_deferred_span(request)

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
    """Whether the caller is the one to write the span; two threads may want to, and one of them can delete it."""
    try:
        del request.is_unwritten
    except AttributeError:
        return False
    return True


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
