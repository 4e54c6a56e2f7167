"""Processes events: adds the span that failed, what is known of the request, and breadcrumbs; redacts the rest.

It is a global event processor of Sentry's, so it gets every event of the process.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, MutableMapping
from datetime import datetime, timezone
from typing import Any, Final, NamedTuple, TypeAlias

import sentry_sdk
from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, SpanContext, format_span_id, format_trace_id

from blogauto_otel import semconv
from blogauto_otel._guard import guard
from blogauto_otel._otel import SeverityNumber
from blogauto_otel.api.context import bound
from blogauto_otel.api.failures import failure_of, first_failure_of, record_failure
from blogauto_otel.instrumentation import Context
from blogauto_otel.instrumentation.server import reported
from blogauto_otel.instrumentation.server.exceptions import unwrap_group
from blogauto_otel.instrumentation.server.request import Request, current
from blogauto_otel.integrations.sentry import privacy, threads
from blogauto_otel.integrations.sentry.breadcrumbs import BreadcrumbBuffer
from blogauto_otel.integrations.sentry.source_context import add_source

Event: TypeAlias = MutableMapping[str, Any]
Hint: TypeAlias = Mapping[str, Any]
BeforeSend: TypeAlias = Callable[[Event, Hint], "Event | None"]

# Keys of ours in a hint: the event was captured by us, and the span it belongs to.
CAPTURED_BY_US: Final = "blogauto_otel"
SPAN_HINT: Final = "blogauto_otel.span"
# The event id on an exception that was processed and became no event.
NO_EVENT: Final = ""
# On a log record that was processed, whether it became an event or not.
PROCESSED: Final = "_blogauto_otel_sentry_processed"

_ERROR_TYPES: Final = frozenset({None, "", "default", "error", "event"})
_MAX_TAG: Final = 200
# Resource attributes that are tags; all of them are in the context `otel`.
_RESOURCE_TAGS: Final = ("service.name", "service.namespace", "service.instance.id")


class _EventSpan(NamedTuple):
    """The span that an event belongs to, and whether it is exported."""

    span: SpanContext
    is_exported: bool


class _Pending(NamedTuple):
    """An event that has passed `before_send`."""

    event_id: str
    error: BaseException | None
    record: logging.LogRecord | None


class _ThreadState(threading.local):
    pending: _Pending | None = None


class EventProcessor:
    """Processes events until `unlink`."""

    def __init__(self, context: Context, breadcrumbs: BreadcrumbBuffer) -> None:
        self._context = context
        self._settings = context.settings
        self._redactor = context.redactor
        self._breadcrumbs = breadcrumbs
        self._thread = _ThreadState()
        self._logger = context.logger_provider.get_logger(semconv.SCOPE_SENTRY)
        self.own_client: object = None  # its events get breadcrumbs and source from us

    # --- before Sentry serialises the event ---------------------------------------------------------------------------

    def process(self, event: Event, hint: Hint) -> Event | None:
        """Link an event and add to it; None for an error that Sentry has already."""
        if event.get("type") not in _ERROR_TYPES:
            return event
        with guard("looking whether Sentry has an error already"):
            if not hint.get(CAPTURED_BY_US) and _is_known(event, hint):
                return None
        with guard("linking a Sentry event"):
            self._link(event, hint)
        with guard("adding to a Sentry event"):
            self._add_details(event)
            if sentry_sdk.get_client() is self.own_client:
                add_source(event)
        return event

    def _link(self, event: Event, hint: Hint) -> None:
        contexts = event.setdefault("contexts", {})
        found = span_of_event(event, hint)
        otel: dict[str, Any] = {"resource": self._resource()}
        contexts["otel"] = otel
        if found is not None:
            ids = {"trace_id": format_trace_id(found.span.trace_id), "span_id": format_span_id(found.span.span_id)}
            contexts["trace"] = dict(ids)
            otel["sampled"] = found.is_exported
            if self._settings.sentry_trace_url:
                otel["trace_url"] = self._settings.sentry_trace_url.format(**ids)
        if sentry_sdk.get_client() is self.own_client:
            trace_id = found.span.trace_id if found else 0
            _add_breadcrumbs(event, self._breadcrumbs.of_trace(trace_id, exclude=hint.get("log_record")))

    def _add_details(self, event: Event) -> None:
        known = dict(bound())
        user_id = known.pop(semconv.USER_ID, None)
        if user_id is not None:
            event.setdefault("user", {}).setdefault("id", str(user_id))
        resource = self._resource()
        if sentry_sdk.get_client() is self.own_client:  # the integration of another client says more
            runtime = {key: resource.get(f"process.runtime.{key}") for key in ("name", "version")}
            event.setdefault("contexts", {}).setdefault("runtime", runtime)
        tags = {key: resource[key] for key in _RESOURCE_TAGS if key in resource} | known
        if isinstance(event.setdefault("tags", {}), dict):
            event["tags"] = {key: str(value)[:_MAX_TAG] for key, value in tags.items()} | event["tags"]
        request = current()
        if request is not None:
            _add_request(event, request)

    def _resource(self) -> dict[str, Any]:
        """Read each time: a forked child has its own."""
        resource = getattr(self._context.tracer_provider, "resource", None)
        return dict(resource.attributes) if resource is not None else {"service.name": self._settings.service_name}

    # --- before the event is sent -------------------------------------------------------------------------------------

    def before_send(self, users: BeforeSend | None) -> BeforeSend:
        """The application's `before_send`, then redaction; an event that cannot be redacted is not sent."""

        def before_send(event: Event, hint: Hint) -> Event | None:
            self._thread.pending = None
            wanted = event if users is None else users(event, hint)
            return None if wanted is None else self._redacted(wanted, hint)

        return before_send

    def _redacted(self, event: Event, hint: Hint) -> Event | None:
        with guard("redacting a Sentry event"):
            redacted = privacy.redact_event(event, self._redactor)
            self._thread.pending = _Pending(str(event.get("event_id")), error_of(hint), hint.get("log_record"))
            return redacted
        return None

    # --- when the transport has queued the event ----------------------------------------------------------------------

    def on_queued(self, event: Mapping[str, Any]) -> None:
        """Write the id of an event to its span, its log record and its exception."""
        event_id = str(event["event_id"])
        pending, self._thread.pending = self._thread.pending, None
        if pending is None or pending.event_id != event_id:
            pending = _Pending(event_id, None, None)
        span = linked_span(event)
        attributes = self.event_attributes(event_id)
        if pending.error is not None:
            failure = record_failure(pending.error, span)
            if failure is not None:
                failure.event_id = event_id
        self._add_to_spans(attributes, span)
        if pending.record is not None:
            pending.record.__dict__.update(attributes)
        else:
            self._log(event, attributes, span)

    def event_attributes(self, event_id: str) -> dict[str, str]:
        """The attributes of a span or log record that name an event."""
        url = self._settings.sentry_event_url
        attributes = {semconv.SENTRY_EVENT_ID: event_id}
        return attributes | {semconv.SENTRY_EVENT_URL: url.format(event_id=event_id)} if url else attributes

    def _add_to_spans(self, attributes: Mapping[str, str], linked: SpanContext) -> None:
        """To the current span of the trace, and to the request's, which is exported even when it is not sampled."""
        span = trace.get_current_span()
        if span.is_recording() and span.get_span_context().trace_id == linked.trace_id:
            span.set_attributes(attributes)
        request = current()
        if request is not None and not request.finished:
            request.add_attributes(attributes)
        reported.export_server_span(linked, attributes)

    def _log(self, event: Mapping[str, Any], attributes: Mapping[str, str], span: SpanContext) -> None:
        """Emit a log record for an event that was captured without one."""
        context = trace.set_span_in_context(NonRecordingSpan(span)) if span.is_valid else None
        self._logger.emit(
            timestamp=int(datetime.now(timezone.utc).timestamp() * 1e9),
            context=context,
            severity_number=SeverityNumber.INFO,
            severity_text="INFO",
            body=f"Sentry event {event['event_id']}: {_title(event)}",
            attributes={**bound(), **attributes},
            event_name="sentry.event",
        )


# --- the span of an event ---------------------------------------------------------------------------------------------


def span_of_event(event: Mapping[str, Any], hint: Hint) -> _EventSpan | None:
    """The span that failed: the innermost one that the exception ended, else the current one."""
    error = error_of(hint)
    failure = first_failure_of(error) if error is not None else None
    given: SpanContext | None = hint.get(SPAN_HINT)
    here = given if given is not None and given.is_valid else trace.get_current_span().get_span_context()
    if failure is not None and failure.span_context.is_valid:
        failed = failure.span_context
        if not here.is_valid or (failed.trace_flags.sampled and failed.trace_id == here.trace_id):
            return _EventSpan(failed, failed.trace_flags.sampled)
    if not here.is_valid:
        here = threads.starting_span(has_failed=_is_unhandled(event)) or here
    if not here.is_valid:
        return None
    if given is None:
        here = reported.server_span(here) or _server_span(here)
    return _EventSpan(here, here.trace_flags.sampled)


def _server_span(here: SpanContext) -> SpanContext:
    """In a trace that is not exported, the request's span, because its log records name that one."""
    request = current()
    if here.trace_flags.sampled or request is None:
        return here
    span = request.span.get_span_context()
    return span if span.trace_id == here.trace_id else here


def known_event(error: BaseException | None, trace_id: int | None = None) -> str | None:
    """The event that Sentry has of an exception in this trace; empty when it was processed and became none."""
    if error is None:
        return None
    here = trace.get_current_span().get_span_context().trace_id if trace_id is None else trace_id
    for one in (
        error,
        unwrap_group(error),
    ):  # a request fails by the only exception in a group, the server logs the group
        failure = failure_of(one)
        if failure is not None and failure.event_id is not None:
            processed_in = failure.span_context.trace_id
            if not here or not processed_in or here == processed_in:
                return failure.event_id
    return None


def _is_known(event: Mapping[str, Any], hint: Hint) -> bool:
    """Whether an error that something else captured was processed before; `capture_exception` is always obeyed."""
    record = hint.get("log_record")
    if record is not None and PROCESSED in record.__dict__:
        return True
    known = known_event(error_of(hint))
    return bool(known) or (known == NO_EVENT and _mechanism(event).get("type") != "generic")


def error_of(hint: Hint) -> BaseException | None:
    """The exception of an event."""
    info = hint.get("exc_info")
    found = info[1] if isinstance(info, tuple) and len(info) == 3 else None
    return found if isinstance(found, BaseException) else None


def _is_unhandled(event: Mapping[str, Any]) -> bool:
    return _mechanism(event).get("handled") is False


def _mechanism(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """How the last exception of the chain was caught."""
    values = (event.get("exception") or {}).get("values") or [{}]
    return values[-1].get("mechanism") or {}


def linked_span(event: Mapping[str, Any]) -> SpanContext:
    """The span that was written into an event; an invalid one when Sentry gave it a trace of its own."""
    if "sampled" not in event.get("contexts", {}).get("otel", {}):
        return INVALID_SPAN_CONTEXT
    ids = event["contexts"]["trace"]
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if event["contexts"]["otel"]["sampled"] else 0)
    return SpanContext(int(ids["trace_id"], 16), int(ids["span_id"], 16), is_remote=False, trace_flags=flags)


# --- what is added ----------------------------------------------------------------------------------------------------


def _add_request(event: Event, request: Request) -> None:
    """The route and not the path, which may contain personal data; the span has the path, redacted."""
    route = request.template or request.find_template()
    event.setdefault("transaction", f"{request.method} {route}" if route else request.method)
    event.setdefault("transaction_info", {"source": "route"})
    fields = event.setdefault("request", {})
    fields.setdefault("method", request.method)
    if route:
        fields.setdefault("url", route)


def _add_breadcrumbs(event: Event, breadcrumbs: list[dict[str, Any]]) -> None:
    """Sorted by time into those of the application; Sentry's logging integration may have added the same."""
    present = event.setdefault("breadcrumbs", {})
    if not breadcrumbs or not isinstance(present, dict):
        return
    others = list(present.get("values", ()))
    known = {_time(one) for one in others if one.get("type") == "log"}
    present["values"] = sorted([*others, *(one for one in breadcrumbs if _time(one) not in known)], key=_time)


def _time(breadcrumb: Mapping[str, Any]) -> float:
    when = breadcrumb.get("timestamp")
    return when.timestamp() if isinstance(when, datetime) else 0.0


def _title(event: Mapping[str, Any]) -> str:
    values = (event.get("exception") or {}).get("values")
    if values:
        return f"{values[-1].get('type')}: {values[-1].get('value')}"
    entry = event.get("logentry") or {}
    return str(event.get("message") or entry.get("formatted") or entry.get("message") or "")
