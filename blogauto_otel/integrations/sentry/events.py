"""What an event says: the span that failed, who was asked what, and what the log said before it; nothing private.

Every event of the process comes here, whoever captured it: this is a global event processor of Sentry's.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, MutableMapping
from datetime import datetime, timezone
from typing import Any, Final, NamedTuple, TypeAlias

import sentry_sdk
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, SpanContext, format_span_id, format_trace_id

from blogauto_otel import semconv
from blogauto_otel._guard import guard
from blogauto_otel.instrumentation import Context
from blogauto_otel.instrumentation.asgi.request import Request, alone, current
from blogauto_otel.integrations.sentry import privacy, threads
from blogauto_otel.integrations.sentry.breadcrumbs import BreadcrumbBuffer
from blogauto_otel.integrations.sentry.source_context import add_source
from blogauto_otel.signals.context import bound
from blogauto_otel.signals.failures import failure_of, first_failure_of, remember

Event: TypeAlias = MutableMapping[str, Any]
Hint: TypeAlias = Mapping[str, Any]
BeforeSend: TypeAlias = Callable[[Event, Hint], "Event | None"]

# Keys of ours in a hint: what we captured ourselves, and the span it is to be linked to.
CAPTURED_BY_US: Final = "blogauto_otel"
SPAN_HINT: Final = "blogauto_otel.span"
# On an exception: it has been dealt with, and there is no event. On a log record: it has been dealt with.
NO_EVENT: Final = ""
PROCESSED: Final = "_blogauto_otel_sentry_processed"

_ERROR_TYPES: Final = frozenset({None, "", "default", "error", "event"})
_MAX_TAG: Final = 200
# Of the resource, as tags; all of it is in the context `otel`.
_RESOURCE_TAGS: Final = ("service.name", "service.namespace", "service.instance.id")


class _EventSpan(NamedTuple):
    """Where an event belongs, and whether the span will be found in a tracing backend."""

    span: SpanContext
    is_exported: bool


class _Pending(NamedTuple):
    """An event that has passed `before_send`."""

    event_id: str
    error: BaseException | None
    record: logging.LogRecord | None


class _Thread(threading.local):
    pending: _Pending | None = None


class EventProcessor:
    """Lives as long as the link."""

    def __init__(self, context: Context, breadcrumbs: BreadcrumbBuffer) -> None:
        self._context = context
        self._settings = context.settings
        self._redactor = context.redactor
        self._breadcrumbs = breadcrumbs
        self._thread = _Thread()
        self._logger = context.logger_provider.get_logger(semconv.SCOPE_SENTRY)
        self.own_client: object = None  # its events have no source yet

    # --- before Sentry has serialised it ------------------------------------------------------------------------------

    def process(self, event: Event, hint: Hint) -> Event | None:
        """Link an event and complete it; None for one that Sentry has already."""
        if event.get("type") not in _ERROR_TYPES:
            return event
        with guard("looking whether Sentry has an error already"):
            if not hint.get(CAPTURED_BY_US) and _is_known(event, hint):
                return None
        with guard("linking a Sentry event"):
            self._link(event, hint)
        with guard("completing a Sentry event"):
            self._add_details(event)
            if sentry_sdk.get_client() is self.own_client:
                add_source(event)
        return event

    def _link(self, event: Event, hint: Hint) -> None:
        contexts = event.setdefault("contexts", {})
        place = span_of_event(event, hint)
        otel: dict[str, Any] = {"resource": self._resource()}
        contexts["otel"] = otel
        if place is not None:
            ids = {"trace_id": format_trace_id(place.span.trace_id), "span_id": format_span_id(place.span.span_id)}
            contexts["trace"] = dict(ids)
            otel["sampled"] = place.is_exported
            if self._settings.sentry_trace_url:
                otel["trace_url"] = self._settings.sentry_trace_url.format(**ids)
        crumbs = self._breadcrumbs.of_trace(place.span.trace_id if place else 0, exclude=hint.get("log_record"))
        _add_breadcrumbs(event, crumbs)

    def _add_details(self, event: Event) -> None:
        known = dict(bound())
        user_id = known.pop(semconv.USER_ID, None)
        if user_id is not None:
            event.setdefault("user", {}).setdefault("id", str(user_id))
        resource = self._resource()
        runtime = {key: resource.get(f"process.runtime.{key}") for key in ("name", "version")}
        event.setdefault("contexts", {}).setdefault("runtime", runtime)
        tags = {key: resource[key] for key in _RESOURCE_TAGS if key in resource} | known
        if isinstance(event.setdefault("tags", {}), dict):
            event["tags"] = {key: str(value)[:_MAX_TAG] for key, value in tags.items()} | event["tags"]
        request = current.get()
        if request is not None:
            _add_request(event, request)

    def _resource(self) -> dict[str, Any]:
        """Read each time: a forked child has its own."""
        resource = getattr(self._context.tracer_provider, "resource", None)
        return dict(resource.attributes) if resource is not None else {"service.name": self._settings.service_name}

    # --- before it is sent --------------------------------------------------------------------------------------------

    def before_send(self, users: BeforeSend | None) -> BeforeSend:
        """The application's own `before_send` first, then ours; what cannot be cleaned does not leave."""

        def before_send(event: Event, hint: Hint) -> Event | None:
            self._thread.pending = None
            kept = event if users is None else users(event, hint)
            return None if kept is None else self._redacted(kept, hint)

        return before_send

    def _redacted(self, event: Event, hint: Hint) -> Event | None:
        with guard("cleaning a Sentry event"):
            cleaned = privacy.redact_event(event, self._redactor)
            self._thread.pending = _Pending(str(event.get("event_id")), error_of(hint), hint.get("log_record"))
            return cleaned
        return None

    # --- when Sentry has taken it -------------------------------------------------------------------------------------

    def accepted(self, event: Mapping[str, Any]) -> None:
        """Write its id where it will be looked for: the span, the log record, and the exception."""
        event_id = str(event["event_id"])
        pending, self._thread.pending = self._thread.pending, None
        if pending is None or pending.event_id != event_id:
            pending = _Pending(event_id, None, None)
        span = linked_span(event)
        notes = self.event_attributes(event_id)
        if pending.error is not None:
            failure = remember(pending.error, span)
            if failure is not None:
                failure.event_id = event_id
        self._put_on_spans(notes, span)
        if pending.record is not None:
            pending.record.__dict__.update(notes)
        else:
            self._log(event, notes, span)

    def event_attributes(self, event_id: str) -> dict[str, str]:
        """The attributes that lead to an event."""
        url = self._settings.sentry_event_url
        notes = {semconv.SENTRY_EVENT_ID: event_id}
        return notes | {semconv.SENTRY_EVENT_URL: url.format(event_id=event_id)} if url else notes

    def _put_on_spans(self, notes: Mapping[str, str], linked: SpanContext) -> None:
        """The request's span, that one of it that is current now, and the one that will be written when it fails."""
        here = trace.get_current_span()
        if here.is_recording() and here.get_span_context().trace_id == linked.trace_id:
            here.set_attributes(notes)
        request = current.get()
        if request is not None and not request.finished:
            request.notes = {**(request.notes or {}), **notes}

    def _log(self, event: Mapping[str, Any], notes: Mapping[str, str], span: SpanContext) -> None:
        """A record for an event that no log record led to."""
        context = trace.set_span_in_context(NonRecordingSpan(span)) if span.is_valid else None
        self._logger.emit(
            timestamp=int(datetime.now(timezone.utc).timestamp() * 1e9),
            context=context,
            severity_number=SeverityNumber.INFO,
            severity_text="INFO",
            body=f"Sentry event {event['event_id']}: {_title(event)}",
            attributes={**bound(), **notes},
            event_name="sentry.event",
        )


# --- where it belongs -------------------------------------------------------------------------------------------------


def span_of_event(event: Mapping[str, Any], hint: Hint) -> _EventSpan | None:
    """The span that failed: the innermost one that the exception ended, else the one at hand."""
    error = error_of(hint)
    failure = first_failure_of(error) if error is not None else None
    given: SpanContext | None = hint.get(SPAN_HINT)
    here = given if given is not None and given.is_valid else trace.get_current_span().get_span_context()
    if failure is not None and failure.span_context.is_valid:
        there = failure.span_context
        if not here.is_valid or (there.trace_flags.sampled and there.trace_id == here.trace_id):
            return _EventSpan(there, there.trace_flags.sampled)
    if not here.is_valid:
        here = threads.starting_span(has_failed=_is_unhandled(event)) or here
    if not here.is_valid:
        return None
    return _EventSpan(_written(here) if given is None else here, here.trace_flags.sampled)


def _written(here: SpanContext) -> SpanContext:
    """Of a trace that is not sampled only the request's span may be written; those inside it do not exist."""
    request = current.get()
    if here.trace_flags.sampled or request is None:
        return here
    span = request.span.get_span_context()
    return span if span.trace_id == here.trace_id else here


def known_event(error: BaseException | None, trace_id: int | None = None) -> str | None:
    """The event that Sentry has of an exception in this trace; empty when it was decided that there is none."""
    if error is None:
        return None
    here = trace.get_current_span().get_span_context().trace_id if trace_id is None else trace_id
    for one in (error, alone(error)):  # requests tell of the only exception in a group, servers of the group
        failure = failure_of(one)
        if failure is not None and failure.event_id is not None:
            then = failure.span_context.trace_id
            if not here or not then or here == then:
                return failure.event_id
    return None


def _is_known(event: Mapping[str, Any], hint: Hint) -> bool:
    """Whether one that somebody else captured is an error that is settled; who captures it by hand means it."""
    record = hint.get("log_record")
    if record is not None and PROCESSED in record.__dict__:
        return True
    known = known_event(error_of(hint))
    return bool(known) or (known == NO_EVENT and _mechanism(event).get("type") != "generic")


def error_of(hint: Hint) -> BaseException | None:
    """The exception that an event is about."""
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
    """What an event is linked to, as it was written into it; nothing for one that Sentry gave a trace of its own."""
    if "sampled" not in event.get("contexts", {}).get("otel", {}):
        return INVALID_SPAN_CONTEXT
    ids = event["contexts"]["trace"]
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if event["contexts"]["otel"]["sampled"] else 0)
    return SpanContext(int(ids["trace_id"], 16), int(ids["span_id"], 16), is_remote=False, trace_flags=flags)


# --- what it says -----------------------------------------------------------------------------------------------------


def _add_request(event: Event, request: Request) -> None:
    """The route, not the path: what stands in a path may be nobody's business. The span has it, redacted."""
    route = request.template or request.find_template()
    event.setdefault("transaction", f"{request.method} {route}" if route else request.method)
    event.setdefault("transaction_info", {"source": "route"})
    said = event.setdefault("request", {})
    said.setdefault("method", request.method)
    if route:
        said.setdefault("url", route)


def _add_breadcrumbs(event: Event, crumbs: list[dict[str, Any]]) -> None:
    """Among those that the application left with Sentry, by time; Sentry's own integration may have left the same."""
    present = event.setdefault("breadcrumbs", {})
    if not crumbs or not isinstance(present, dict):
        return
    left = list(present.get("values", ()))
    known = {_time(crumb) for crumb in left if crumb.get("type") == "log"}
    present["values"] = sorted([*left, *(crumb for crumb in crumbs if _time(crumb) not in known)], key=_time)


def _time(crumb: Mapping[str, Any]) -> float:
    when = crumb.get("timestamp")
    return when.timestamp() if isinstance(when, datetime) else 0.0


def _title(event: Mapping[str, Any]) -> str:
    values = (event.get("exception") or {}).get("values")
    if values:
        return f"{values[-1].get('type')}: {values[-1].get('value')}"
    said = event.get("logentry") or {}
    return str(event.get("message") or said.get("formatted") or said.get("message") or "")
