"""What becomes an event: a request, a background task or a thread that failed, and what is logged as an error."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import sentry_sdk
from opentelemetry.trace import Span, SpanContext, get_current_span
from sentry_sdk import utils
from sentry_sdk.integrations.logging import EventHandler

from blogauto_otel._guard import guard, guarded, is_foreign, tell
from blogauto_otel.delivery import reasons
from blogauto_otel.instrumentation.asgi.request import current
from blogauto_otel.integrations.sentry import threads
from blogauto_otel.integrations.sentry.breadcrumbs import BreadcrumbBuffer, level_name
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
from blogauto_otel.signals.context import bound
from blogauto_otel.signals.failures import remember
from blogauto_otel.signals.records import read
from blogauto_otel.signals.text import class_name, safe_text

MECHANISM: Final = "blogauto_otel"
# Where the log would tell of what sends it. Sentry ignores its own and urllib3's as well.
OWN_LOGGERS: Final = ("opentelemetry", "opentelemetry.*", "blogauto_otel", "blogauto_otel.*")


class Capture:
    """Lives as long as the link.

    Args:
        level_of: the least level of a log record that becomes an event of this client; None for no record at all.
    """

    def __init__(
        self,
        events: EventProcessor,
        breadcrumbs: BreadcrumbBuffer,
        rate_limiter: RateLimiter,
        transport_stats: TransportStats,
        level_of: Callable[[Any], int | None],
    ) -> None:
        self._events = events
        self._breadcrumbs = breadcrumbs
        self._rate_limiter = rate_limiter
        self._transport_stats = transport_stats
        self._level_of = level_of
        self._is_listened_to: Callable[[logging.LogRecord], bool] = getattr(EventHandler(), "_can_record", bool)

    @guarded("capturing a failed request", None)
    def request_error(self, error: BaseException, span: Span) -> None:
        """An exception ended a request or background task, or a handler of the application made a 5xx of it."""
        request = current.get()
        is_handled = request is not None and request.handled is error and request.error is not error
        context = span.get_span_context()
        event_id = known_event(error, context.trace_id)
        if event_id is None:
            event_id = self._capture(error, {SPAN_HINT: context}, handled=is_handled, mechanism=MECHANISM)
        if event_id:
            span.set_attributes(self._events.event_attributes(event_id))

    @guarded("capturing a failed thread", None)
    def thread_error(self, error: BaseException) -> None:
        """An exception ended a thread."""
        if known_event(error) is None:
            self._capture(error, {}, handled=False, mechanism="threading")

    def log_record(self, record: logging.LogRecord) -> SpanContext | None:
        """A log record passes on its way to handlers and exporters; it is given the id of its event.

        Returns:
            The span it belongs to, when none is current and its thread was started in one.
        """
        with guard("capturing a log record"):
            self._breadcrumbs.add(record)
            if record.levelno >= logging.ERROR and self._is_wanted(record):
                self._judge(record)
                if not get_current_span().get_span_context().is_valid:
                    return threads.starting_span(has_failed=False)
        return None

    def _judge(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        event_id = known_event(error)
        if event_id:
            record.__dict__.update(self._events.event_attributes(event_id))
        elif event_id is None:
            self._record(record, error)
        record.__dict__[PROCESSED] = True

    def _record(self, record: logging.LogRecord, error: BaseException | None) -> None:
        said = {"level": level_name(record.levelno), "logger": record.name, **_said(record)}
        hint = {"log_record": record}
        if error is not None:
            self._capture(error, hint, handled=True, mechanism="logging", said=said)
        elif self._may(("log", record.pathname, record.lineno)):
            self._send(said, {**hint, CAPTURED_BY_US: True})

    def _is_wanted(self, record: logging.LogRecord) -> bool:
        level = self._level_of(sentry_sdk.get_client())
        return level is not None and record.levelno >= level and self._is_listened_to(record)

    def _capture(
        self,
        error: BaseException,
        hint: Mapping[str, Any],
        *,
        handled: bool,
        mechanism: str,
        said: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Build an event of an exception, once for all who tell of it; the id when Sentry took it."""
        client = sentry_sdk.get_client()
        if not client.is_active():
            return None
        span = hint.get(SPAN_HINT)
        failure = remember(error, get_current_span().get_span_context() if span is None else span)
        if failure is not None:
            failure.event_id = NO_EVENT
        if not self._may(_place(error)):
            return None
        made = _as_event(client, error, handled=handled, mechanism=mechanism)
        if made is None:
            sentry_sdk.capture_exception(error)
        else:
            self._send({**made[0], **(said or {})}, {**made[1], **hint, CAPTURED_BY_US: True})
        return failure.event_id if failure is not None else None

    def _send(self, event: dict[str, Any], hint: dict[str, Any]) -> None:
        sentry_sdk.capture_event(event, hint=hint)  # type: ignore[arg-type]  # a TypedDict of theirs

    def _may(self, place: tuple[Any, ...]) -> bool:
        if self._rate_limiter.allow(place):
            return True
        self._transport_stats.lose(reasons.WITHHELD)
        tell("sentry budget", "more errors than Sentry is told of: some are in the log and in traces only")
        return False


def _as_event(client: Any, error: BaseException, *, handled: bool, mechanism: str) -> tuple[Any, Any] | None:
    """The event of an exception and its hint, as Sentry's own integrations make them; None where that is not known."""
    make = getattr(utils, "event_from_exception", None)
    if make is None:
        return None
    kind = {"type": mechanism, "handled": handled}
    try:
        made: tuple[Any, Any] = make(error, client_options=client.options, mechanism=kind)
    except BaseException as unreadable:  # Sentry expects an `Exception` at most of a `__str__` or `__repr__`
        if not is_foreign(unreadable):
            raise
        told = {"type": class_name(type(error)), "value": safe_text(error), "mechanism": kind}
        return {"level": "error", "exception": {"values": [told]}}, {"exc_info": (type(error), error, None)}
    return made


def _said(record: logging.LogRecord) -> dict[str, Any]:
    """The message, by whose template Sentry groups; its arguments are in it, and not sent a second time."""
    body, attributes = read(record)
    known = bound()
    extra = {key: value for key, value in attributes.items() if key not in known and not key.startswith("exception.")}
    body = safe_text(body)
    template = safe_text(record.msg) if record.args else body
    return {"logentry": {"message": template, "formatted": body}, "extra": extra}


def _place(error: BaseException) -> tuple[Any, ...]:
    """The class, and where it was raised."""
    step = error.__traceback__
    if step is None:
        return (type(error),)
    while step.tb_next is not None:
        step = step.tb_next
    return (type(error), step.tb_frame.f_code.co_filename, step.tb_lineno)
