"""Captures events: failed requests, background tasks and threads, and log records of level ERROR or above.

An application that calls `sentry_sdk.init` itself gets the events that its own integrations capture, and no others.
Some of them are captured here all the same, as the integration would but earlier, while the span is open and before the
log record is exported, so that these get the id of the event.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import sentry_sdk
from opentelemetry.trace import Span, SpanContext, get_current_span
from sentry_sdk import utils
from sentry_sdk.integrations.logging import EventHandler

from blogauto_otel._class_names import class_name
from blogauto_otel._guard import guard, guarded, is_foreign, log_once
from blogauto_otel.api.context import bound
from blogauto_otel.api.failures import record_failure
from blogauto_otel.api.records import read
from blogauto_otel.api.text import safe_text
from blogauto_otel.instrumentation.server import reported
from blogauto_otel.instrumentation.server.request import current
from blogauto_otel.integrations.sentry import threads
from blogauto_otel.integrations.sentry.breadcrumbs import BreadcrumbBuffer, level_name
from blogauto_otel.integrations.sentry.clients import LinkedClients
from blogauto_otel.integrations.sentry.events import (
    CAPTURED_BY_US,
    NO_EVENT,
    PROCESSED,
    SPAN_HINT,
    EventProcessor,
    known_event,
)
from blogauto_otel.integrations.sentry.rate_limiter import RateLimiter
from blogauto_otel.integrations.sentry.transport_stats import TransportStats
from blogauto_otel.otlp import drop_reasons

MECHANISM: Final = "blogauto_otel"
# The integration of an application's client that captures what a request lets pass; also the mechanism of its events.
STARLETTE: Final = "starlette"


class Capture:
    """Captures events until `unlink`."""

    def __init__(
        self,
        events: EventProcessor,
        breadcrumbs: BreadcrumbBuffer,
        rate_limiter: RateLimiter,
        transport_stats: TransportStats,
        clients: LinkedClients,
    ) -> None:
        self._events = events
        self._breadcrumbs = breadcrumbs
        self._rate_limiter = rate_limiter
        self._transport_stats = transport_stats
        self._clients = clients
        self._is_not_ignored: Callable[[logging.LogRecord], bool] = getattr(EventHandler(), "_can_record", bool)

    @guarded("capturing a failed request", None)
    def request_error(self, error: BaseException, span: Span) -> None:
        """An exception ended a request or background task, or a handler of the application answered it with 5xx."""
        request = current()
        is_handled = request is not None and request.handled is error and request.error is not error
        context = span.get_span_context()
        event_id = known_event(error, context.trace_id)
        if event_id is None:
            client = sentry_sdk.get_client()
            mechanism = MECHANISM if self._clients.is_own(client) else STARLETTE
            # In old releases the client of an SDK that was not started has no integrations.
            integrations = getattr(client, "integrations", ())
            if mechanism == MECHANISM or (STARLETTE in integrations and not is_handled):
                event_id = self._capture(error, {SPAN_HINT: context}, handled=is_handled, mechanism=mechanism)
        if event_id:
            span.set_attributes(self._events.event_attributes(event_id))

    @guarded("capturing a failed thread", None)
    def thread_error(self, error: BaseException) -> None:
        """An exception ended a thread; an application's own client has an integration for that."""
        if known_event(error) is None and self._clients.is_own(sentry_sdk.get_client()):
            self._capture(error, {}, handled=False, mechanism="threading")

    def log_record(self, record: logging.LogRecord) -> SpanContext | None:
        """Capture a log record before it is exported, so that it gets the id of its event.

        Returns:
            The span it belongs to, when none is current and its thread was started in one.
        """
        with guard("capturing a log record"):
            client = sentry_sdk.get_client()
            handler = self._clients.event_handler(client)
            if handler is not None:
                self._let_handle(handler, record)
            elif self._clients.is_own(client):
                self._breadcrumbs.add(record)
                if record.levelno >= logging.ERROR and self._is_not_ignored(record):
                    self._capture_record(record)
            if record.levelno >= logging.ERROR and not get_current_span().get_span_context().is_valid:
                started_in = threads.starting_span(has_failed=False)
                return None if started_in is None else reported.server_span(started_in) or started_in
        return None

    def _let_handle(self, handler: logging.Handler, record: logging.LogRecord) -> None:
        """Let the logging integration of an application's client capture a record; its second attempt is dropped."""
        if record.levelno < handler.level:
            return
        event_id = known_event(_error_of(record))
        if event_id:
            record.__dict__.update(self._events.event_attributes(event_id))
        else:
            cached = record.exc_text
            handler.handle(record)
            record.exc_text = cached  # set by the handler's formatter; the application's formatters have their own
        record.__dict__[PROCESSED] = True

    def _capture_record(self, record: logging.LogRecord) -> None:
        error = _error_of(record)
        event_id = known_event(error)
        if event_id:
            record.__dict__.update(self._events.event_attributes(event_id))
        elif event_id is None:
            self._capture_new_record(record, error)
        record.__dict__[PROCESSED] = True

    def _capture_new_record(self, record: logging.LogRecord, error: BaseException | None) -> None:
        fields = {"level": level_name(record.levelno), "logger": record.name, **_message_fields(record)}
        hint = {"log_record": record}
        if error is not None:
            self._capture(error, hint, handled=True, mechanism="logging", fields=fields)
        elif self._is_allowed(("log", record.pathname, record.lineno)):
            self._send(fields, {**hint, CAPTURED_BY_US: True})

    def _capture(
        self,
        error: BaseException,
        hint: Mapping[str, Any],
        *,
        handled: bool,
        mechanism: str,
        fields: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Build the event of an exception, however often it is reported; its id when the transport queued it."""
        client = sentry_sdk.get_client()
        if not client.is_active():
            return None
        span = hint.get(SPAN_HINT)
        failure = record_failure(error, get_current_span().get_span_context() if span is None else span)
        if failure is not None:
            failure.event_id = NO_EVENT
        if self._clients.is_own(client) and not self._is_allowed(_raise_location(error)):
            return None
        built = _build_event(client, error, handled=handled, mechanism=mechanism)
        if built is None:
            sentry_sdk.capture_exception(error)
        else:
            self._send({**built[0], **(fields or {})}, {**built[1], **hint, CAPTURED_BY_US: True})
        return failure.event_id if failure is not None else None

    def _send(self, event: dict[str, Any], hint: dict[str, Any]) -> None:
        sentry_sdk.capture_event(event, hint=hint)  # type: ignore[arg-type]  # a TypedDict of theirs

    def _is_allowed(self, key: tuple[Any, ...]) -> bool:
        if self._rate_limiter.allow(key):
            return True
        self._transport_stats.drop(drop_reasons.WITHHELD)
        log_once(
            "sentry rate limit",
            "Sentry events are rate limited: some errors are in the log and in traces only. To send more, set "
            "BLOGAUTO_OTEL_SENTRY_EVENTS_PER_MINUTE.",
        )
        return False


def _error_of(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if isinstance(record.exc_info, tuple) else None


def _build_event(client: Any, error: BaseException, *, handled: bool, mechanism: str) -> tuple[Any, Any] | None:
    """The event of an exception and its hint, as Sentry's integrations build them; None in an unknown version."""
    build = getattr(utils, "event_from_exception", None)
    if build is None:
        return None
    kind = {"type": mechanism, "handled": handled}
    try:
        built: tuple[Any, Any] = build(error, client_options=client.options, mechanism=kind)
    except BaseException as unreadable:  # Sentry expects an `Exception` at most of a `__str__` or `__repr__`
        if not is_foreign(unreadable):
            raise
        value = {"type": class_name(type(error)), "value": safe_text(error), "mechanism": kind}
        return {"level": "error", "exception": {"values": [value]}}, {"exc_info": (type(error), error, None)}
    return built


def _message_fields(record: logging.LogRecord) -> dict[str, Any]:
    """The message; Sentry groups by its template. The formatted message has the arguments, so `params` is left out."""
    body, attributes = read(record)
    known = bound()
    extra = {key: value for key, value in attributes.items() if key not in known and not key.startswith("exception.")}
    body = safe_text(body)
    template = safe_text(record.msg) if record.args else body
    return {"logentry": {"message": template, "formatted": body}, "extra": extra}


def _raise_location(error: BaseException) -> tuple[Any, ...]:
    """The class, and the line that raised it."""
    step = error.__traceback__
    if step is None:
        return (type(error),)
    while step.tb_next is not None:
        step = step.tb_next
    return (type(error), step.tb_frame.f_code.co_filename, step.tb_lineno)
