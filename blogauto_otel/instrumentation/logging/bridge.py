"""The hook in `Logger.callHandlers`: each record is exported and printed, then passed to the application's handlers.

A handler on the root logger would be removed by `dictConfig`, `fileConfig`, `basicConfig(force=True)` and
`handlers.clear()`, would get no records of uvicorn's and gunicorn's loggers, which do not propagate, and would make the
application's own `basicConfig` do nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final, TypeAlias

from opentelemetry.context import get_current
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context

from blogauto_otel import _process
from blogauto_otel._guard import guard, log_once, swallow
from blogauto_otel._suppression import is_suppressed
from blogauto_otel.api import failures
from blogauto_otel.instrumentation import Context
from blogauto_otel.instrumentation.logging.console import Console, ConsoleRecord
from blogauto_otel.instrumentation.logging.export import Exporter
from blogauto_otel.instrumentation.logging.levels import is_hidden
from blogauto_otel.instrumentation.patching import count_as_logging

# The records of telemetry itself are rate limited, and those that exporting causes are not exported.
OWN: Final = "blogauto_otel"
OPENTELEMETRY: Final = "opentelemetry"
EXPORTERS: Final = "the exporters"
LINES_A_MINUTE: Final = 10

RecordCallback: TypeAlias = Callable[[logging.LogRecord], "SpanContext | None"]
CallHandlers: TypeAlias = Callable[[logging.Logger, logging.LogRecord], None]


class _ThreadState(threading.local):
    """The record that this thread handles."""

    record: logging.LogRecord | None = None


_thread: Final = _ThreadState()


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


class _CurrentRecord:
    """One record that is being handled, and what to undo afterwards."""

    __slots__ = ("bridge", "failure_context", "for_console", "outer", "reaches_handlers")

    def __init__(self, bridge: Bridge, outer: logging.LogRecord | None) -> None:
        self.bridge = bridge
        self.outer = outer
        self.failure_context: AbstractContextManager[None] | None = None
        self.for_console: ConsoleRecord | None = None
        self.reaches_handlers = True


class Bridge:
    """Exports and prints each record; those of telemetry itself up to a limit."""

    def __init__(self, context: Context, *, level: int, exports: bool) -> None:
        settings = context.settings
        self.exporter = Exporter(context, level) if exports else None
        self.console = Console(settings, level=level, redact=context.redactor) if settings.console != "off" else None
        self.reset_limits()

    def reset_limits(self) -> None:
        """Count lines from zero."""
        self._throttles = {name: _Throttle(name) for name in (OWN, OPENTELEMETRY, EXPORTERS)}

    def begin(self, current: _CurrentRecord, logger: logging.Logger, record: logging.LogRecord) -> None:
        """Export the record and prepare its line; after an error of ours the handlers still get the record."""
        is_throttled = False
        try:
            info = getattr(record, "exc_info", None)
            error = info[1] if isinstance(info, tuple) and len(info) == 3 else None
            if error is not None:
                failure_context = failures.failure_context(error)
                failure_context.__enter__()
                current.failure_context = failure_context
            current.reaches_handlers = not is_hidden(logger, record)
            is_throttled = self._export(record, current)
            if is_throttled and self.console is not None and not logger.hasHandlers():
                current.reaches_handlers = False  # nobody's line but ours: `logging.lastResort` would print it raw
        except BaseException as caught:  # a record that was built by hand may lack any attribute
            if not swallow("handling a log record", caught):
                raise
        if self.console is not None and not is_throttled:
            current.for_console = self.console.begin(logger, record, is_hidden=not current.reaches_handlers)

    def end(self, current: _CurrentRecord, record: logging.LogRecord) -> None:
        """Print the record's line where no handler of the application did."""
        if current.for_console is not None and self.console is not None:
            self.console.end(current.for_console, record)
        if current.failure_context is not None:
            current.failure_context.__exit__(None, None, None)

    def _export(self, record: logging.LogRecord, current: _CurrentRecord) -> bool:
        """Export the record; True when it is one of telemetry itself and above the limit."""
        context = get_current()
        suppressed = is_suppressed(context)
        top = (record.name or "").partition(".")[0]
        own = top in {OWN, OPENTELEMETRY}
        throttled_as = top if own else EXPORTERS if suppressed else None
        if throttled_as is not None and not self._throttles[throttled_as].allows():
            if throttled_as == OWN:  # the others are the application's to print
                current.reaches_handlers = False
            return True
        if not own and not suppressed:
            context = _call_callbacks(record, context)
        if self.exporter is not None and not suppressed:
            self.exporter.export(record, context)
        return False


def _call_callbacks(record: logging.LogRecord, context: Any) -> Any:
    """Call every callback; the context to export the record with has the first span that one of them returns."""
    found = context
    for callback in _state.callbacks:
        with guard("calling back with a log record"):
            span = callback(record)
            if span is not None and found is context:
                found = set_span_in_context(NonRecordingSpan(span), context)
    return found


# --- the hook --------------------------------------------------------------------------------------------------------


class _State:
    """The bridge that records pass, the hook, and the functions that get every record."""

    def __init__(self) -> None:
        self.bridge: Bridge | None = None
        self.hook: CallHandlers | None = None
        self.original: CallHandlers = logging.Logger.callHandlers
        self.callbacks: list[RecordCallback] = []

    def after_fork_in_child(self) -> None:
        """The child has a limit of lines of its own."""
        if self.bridge is not None:
            self.bridge.reset_limits()


_state: Final = _process.register(_State())


def _begin(logger: logging.Logger, record: logging.LogRecord) -> _CurrentRecord | None:
    bridge, outer = _state.bridge, _thread.record
    if bridge is None or record is outer:  # a handler has passed the record to another logger
        return None
    current = _CurrentRecord(bridge, outer)
    _thread.record = record
    try:
        bridge.begin(current, logger, record)
    except BaseException:
        _end(current, record)
        raise
    return current


def _end(current: _CurrentRecord, record: logging.LogRecord) -> None:
    _thread.record = current.outer
    with guard("finishing a log record"):
        current.bridge.end(current, record)


def _make_hook(original: CallHandlers) -> CallHandlers:
    begin, end = _begin, _end

    def callHandlers(self: logging.Logger, record: logging.LogRecord) -> None:  # noqa: N802 - its name
        current = None
        try:
            current = begin(self, record)
            if current is None or current.reaches_handlers:
                original(self, record)
        finally:
            if current is not None:
                end(current, record)

    return count_as_logging(callHandlers)


def install(bridge: Bridge) -> None:
    """Pass every record through `bridge`."""
    _state.bridge = bridge
    if _state.hook is None or logging.Logger.callHandlers is not _state.hook:
        _state.original = logging.Logger.callHandlers
        _state.hook = _make_hook(_state.original)
        logging.Logger.callHandlers = _state.hook  # type: ignore[method-assign,assignment]


def uninstall() -> None:
    """Restore the method; under another library's wrapper ours stays and only calls the original."""
    bridge, _state.bridge = _state.bridge, None
    if bridge is not None and bridge.console is not None:
        bridge.console.restore_handlers()
    if _state.hook is not None and logging.Logger.callHandlers is _state.hook:
        logging.Logger.callHandlers = _state.original  # type: ignore[method-assign,assignment]


def is_active() -> bool:
    """Whether records pass a bridge."""
    return _state.bridge is not None


def is_handling() -> bool:
    """Whether this thread is handling a record."""
    return _thread.record is not None


def on_server_start() -> None:
    """Print as a server does: it has started an application in this process."""
    if _state.bridge is not None and _state.bridge.console is not None:
        _state.bridge.console.is_server = True


def watch_records(context: Context, callback: RecordCallback) -> None:
    """Call `callback` with every record of the application, before it is exported, printed or handled.

    What it adds to the record's `__dict__` is exported with it. When it returns a span, the record belongs to that
    span. It is called where nothing is exported, too.
    """
    on_record(callback)
    if _state.bridge is None:
        silent = replace(context, settings=replace(context.settings, console="off"))
        install(Bridge(silent, level=logging.NOTSET, exports=False))


def on_record(callback: RecordCallback) -> None:
    """The same, but only while records are exported or printed by us."""
    if callback not in _state.callbacks:
        _state.callbacks.append(callback)


def unwatch_records(callback: RecordCallback) -> None:
    """Stop calling `callback`."""
    if callback in _state.callbacks:
        _state.callbacks.remove(callback)
