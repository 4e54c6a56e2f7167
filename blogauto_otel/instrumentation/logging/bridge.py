"""What happens to one log record: it is exported and printed; records of telemetry itself up to a limit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple, TypeAlias

from opentelemetry.context import Context as OtelContext
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context

from blogauto_otel import _process
from blogauto_otel._guard import log_once, swallow
from blogauto_otel._otel import current_context, span_in
from blogauto_otel._suppression import has_no_suppression, is_suppressed
from blogauto_otel.api import failures
from blogauto_otel.api.context import bound
from blogauto_otel.instrumentation import Context
from blogauto_otel.instrumentation.logging.console import Console, ConsoleRecord
from blogauto_otel.instrumentation.logging.export import OPENTELEMETRY, OWN, TELEMETRY, Exporter
from blogauto_otel.instrumentation.logging.levels import DEFAULT_LEVEL, is_hidden
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.otlp.spans import SpanData
from blogauto_otel.sdk.unsampled_span import UnsampledSpan

# Records of telemetry itself are rate limited, and those that exporting causes are not exported.
EXPORTERS: Final = "the exporters"
LINES_A_MINUTE: Final = 10

RecordCallback: TypeAlias = Callable[[logging.LogRecord], "SpanContext | None"]
Condition: TypeAlias = Callable[[], object]


class _Watcher(NamedTuple):
    """A function that gets records from `level` on, while `when` returns something else than None."""

    callback: RecordCallback
    level: int
    when: Condition | None


class _State:
    """The functions that get records."""

    watchers: tuple[_Watcher, ...] = ()


_state: Final = _process.register(_State())


class _Throttle:
    """Allows a number of lines a minute, and logs afterwards how many it suppressed."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._began = 0.0
        self._lines = 0

    def allows(self) -> bool:
        now = time.monotonic()
        if not self._began or now - self._began >= 60:
            suppressed, self._began, self._lines = self._lines - LINES_A_MINUTE, now, 0
            if suppressed > 0:
                log_once(f"throttled {self._source}", "%d log lines of %s were suppressed", suppressed, self._source)
        self._lines += 1
        return self._lines <= LINES_A_MINUTE


class CurrentRecord:
    """What a record that is being handled needs besides its export, and what to undo afterwards."""

    __slots__ = ("failure_context", "for_console", "reaches_handlers")

    def __init__(self, *, reaches_handlers: bool = True) -> None:
        self.failure_context: AbstractContextManager[None] | None = None
        self.for_console: ConsoleRecord | None = None
        self.reaches_handlers = reaches_handlers


class Bridge:
    """Exports and prints each record."""

    def __init__(self, context: Context, *, level: int, exports: bool) -> None:
        settings = context.settings
        self.exporter = Exporter(context, level) if exports else None
        self._scopes = self.exporter.direct.scopes if self.exporter is not None else {}
        self.console = Console(settings, level=level, redact=context.redactor) if settings.console != "off" else None
        self.reset_limits()

    def reset_limits(self) -> None:
        """Count lines from zero."""
        self._throttles = {name: _Throttle(name) for name in (OWN, OPENTELEMETRY, EXPORTERS)}

    def begin(self, logger: logging.Logger, record: logging.LogRecord) -> CurrentRecord | None:
        """Export the record and prepare its line; after an error of ours the handlers still get the record.

        Returns:
            None when the application's handlers get the record and nothing is to be done afterwards.
        """
        current: CurrentRecord | None = None
        try:
            context = current_context()
            scope = self._scopes.get(record.name)
            source = None
            if scope is None or not has_no_suppression(context):
                source = _source(record, is_suppressed(context))
                if source is not None and not self._throttles[source].allows():
                    return self._begin_throttled(logger, record, source)
            if getattr(record, "exc_info", None):
                current = _enter_failure(record)
                context = current_context()
            # Both tests are those of `is_hidden`: nearly every record fails one of them.
            if record.levelno < DEFAULT_LEVEL == logger.root.level and is_hidden(logger, record):
                current = current or CurrentRecord()
                current.reaches_handlers = False
            self._export(record, context, scope, source)
        except BaseException as caught:  # a record that was built by hand may lack any attribute
            if not swallow("handling a log record", caught):
                if current is not None:
                    self.end(current, record)
                raise
        return current if self.console is None else self._begin_line(self.console, current, logger, record)

    def _begin_throttled(self, logger: logging.Logger, record: logging.LogRecord, source: str) -> CurrentRecord | None:
        """A record above the limit is neither exported nor printed by us."""
        reaches_handlers = source != OWN and not is_hidden(logger, record)  # the others are the application's to print
        if self.console is not None and not logger.hasHandlers():
            reaches_handlers = False  # nobody's line but ours: `logging.lastResort` would print it raw
        return None if reaches_handlers else CurrentRecord(reaches_handlers=False)

    def _begin_line(
        self, console: Console, current: CurrentRecord | None, logger: logging.Logger, record: logging.LogRecord
    ) -> CurrentRecord:
        current = current or CurrentRecord()
        current.for_console = console.begin(logger, record, is_hidden=not current.reaches_handlers)
        return current

    def end(self, current: CurrentRecord, record: logging.LogRecord) -> None:
        """Print the record's line where no handler of the application did."""
        if current.for_console is not None and self.console is not None:
            self.console.end(current.for_console, record)
        if current.failure_context is not None:
            current.failure_context.__exit__(None, None, None)

    def _export(self, record: logging.LogRecord, context: OtelContext, scope: bytes | None, source: str | None) -> None:
        """Call the watchers and export the record: a plain one of a known logger in one pass."""
        found = _call_watchers(record) if source is None else None
        exporter = self.exporter
        if exporter is None or (source is not None and is_suppressed(context)):
            return
        if scope is not None:
            severity = exporter.severities.get((record.levelno, record.levelname))
            if severity is not None:
                direct = exporter.direct
                try:
                    span: Any = found
                    if span is None:
                        span = span_in(context)
                        # Ours know their ids without making a span context.
                        if span is not None and type(span) is not UnsampledSpan and not isinstance(span, SpanData):
                            span = span.get_span_context()
                    item = direct.encoder.standard_record(record, severity, span, bound())
                except Exception:  # noqa: BLE001 - a record with anything in it: the other way reports it
                    item = None
                if item is not None:
                    direct.enqueue(Signal.LOGS, scope, item)
                    return
        exporter.export(record, context if found is None else set_span_in_context(NonRecordingSpan(found), context))


def _source(record: logging.LogRecord, suppressed: bool) -> str | None:
    """Whose lines are limited: those of telemetry itself, or those of what exports it; None for the application's."""
    top = (record.name or "").partition(".")[0]
    return top if top in TELEMETRY else EXPORTERS if suppressed else None


def _enter_failure(record: logging.LogRecord) -> CurrentRecord | None:
    """Make the span current that the record's exception ended."""
    info: object = record.exc_info
    error = info[1] if isinstance(info, tuple) and len(info) == 3 else None
    if error is None:
        return None
    current = CurrentRecord()
    failure_context = failures.failure_context(error)
    failure_context.__enter__()
    current.failure_context = failure_context
    return current


# --- functions that get every record ---------------------------------------------------------------------------------


def _call_watchers(record: logging.LogRecord) -> SpanContext | None:
    """Call each function for the record; returns the first span that one of them returns."""
    found: SpanContext | None = None
    for callback, level, when in _state.watchers:
        if record.levelno < level or (when is not None and when() is None):
            continue
        try:
            span = callback(record)
        except BaseException as error:
            if not swallow("calling back with a log record", error):
                raise
        else:
            found = found or span
    return found


def on_record(callback: RecordCallback, *, level: int = 0, when: Condition | None = None) -> None:
    """Call `callback` with every record of the application, before it is exported, printed or handled.

    What it adds to the record's `__dict__` is exported with it. When it returns a span, the record belongs to that
    span.

    Args:
        callback: gets the record.
        level: of the lowest records that it gets.
        when: it gets records only while this returns something else than None; called for each, so it must be fast.
    """
    added = _Watcher(callback, level, when)
    if added not in _state.watchers:
        _state.watchers += (added,)


def unwatch_records(callback: RecordCallback) -> None:
    """Stop calling `callback`."""
    _state.watchers = tuple(watcher for watcher in _state.watchers if watcher.callback != callback)
