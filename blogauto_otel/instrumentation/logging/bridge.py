"""The hook in `Logger.callHandlers`: each record is shown, exported, printed, and handled as the application has it.

A handler on the root logger would be lost to `dictConfig`, `fileConfig`, `basicConfig(force=True)` or
`handlers.clear()`, would see nothing of the loggers of uvicorn and gunicorn, which do not propagate, and would keep the
application's own `basicConfig` from working.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final, TypeAlias

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_current
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context

from blogauto_otel._guard import guard, log_once, swallow
from blogauto_otel.api.failures import failure_context
from blogauto_otel.instrumentation import Context
from blogauto_otel.instrumentation.frames import count_as_logging
from blogauto_otel.instrumentation.logging.console import Console, Line
from blogauto_otel.instrumentation.logging.export import Exporter
from blogauto_otel.instrumentation.logging.levels import is_hidden

# What telemetry logs about itself must neither flood our output nor feed itself.
OWN: Final = "blogauto_otel"
OPENTELEMETRY: Final = "opentelemetry"
EXPORTERS: Final = "the exporters"
LINES_A_MINUTE: Final = 10
_SUPPRESS_BY_NAME: Final = "suppress_instrumentation"  # the older of the two keys, still in use

Watch: TypeAlias = Callable[[logging.LogRecord], "SpanContext | None"]
CallHandlers: TypeAlias = Callable[[logging.Logger, logging.LogRecord], None]


class _Thread(threading.local):
    """The record that this thread handles."""

    record: logging.LogRecord | None = None


_thread: Final = _Thread()
_watching: Final[list[Watch]] = []


class _Throttle:
    """Lets some lines a minute through, and logs afterwards how many it withheld."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = 0.0
        self._lines = 0

    def allows(self) -> bool:
        now = time.monotonic()
        if not self._began or now - self._began >= 60:
            withheld, self._began, self._lines = self._lines - LINES_A_MINUTE, now, 0
            if withheld > 0:
                log_once(f"throttled {self._what}", "%d lines of %s were withheld", withheld, self._what)
        self._lines += 1
        return self._lines <= LINES_A_MINUTE


class _Handling:
    """One record on its way through its handlers, and what to undo when it has passed them."""

    __slots__ = ("bridge", "line", "outer", "place", "reaches_handlers")

    def __init__(self, bridge: Bridge, outer: logging.LogRecord | None) -> None:
        self.bridge = bridge
        self.outer = outer
        self.place: AbstractContextManager[None] | None = None
        self.line: Line | None = None
        self.reaches_handlers = True


class Bridge:
    """What is done with each record: exported and printed, up to a limit where it is telemetry's own."""

    def __init__(self, context: Context, *, level: int, exports: bool) -> None:
        settings = context.settings
        self.exporter = Exporter(context, level) if exports else None
        self.console = Console(settings, level=level, redact=context.redactor) if settings.console != "off" else None
        self.renew_limits()

    def renew_limits(self) -> None:
        """Begin to count lines anew."""
        self._throttles = {name: _Throttle(name) for name in (OWN, OPENTELEMETRY, EXPORTERS)}

    def begin(self, handling: _Handling, logger: logging.Logger, record: logging.LogRecord) -> None:
        """Show and export the record, and prepare its line; an error of ours costs no handler its record."""
        is_withheld = False
        try:
            info = getattr(record, "exc_info", None)
            error = info[1] if isinstance(info, tuple) and len(info) == 3 else None
            if error is not None:
                place = failure_context(error)
                place.__enter__()
                handling.place = place
            handling.reaches_handlers = not is_hidden(logger, record)
            is_withheld = self._export(record, handling)
        except BaseException as caught:  # a record that somebody put together by hand may lack anything
            if not swallow("passing on a log record", caught):
                raise
        if self.console is not None and not is_withheld:
            handling.line = self.console.begin(logger, record, is_hidden=not handling.reaches_handlers)

    def end(self, handling: _Handling, record: logging.LogRecord) -> None:
        """Print the record's line where no handler of the application did, and leave what was entered."""
        if handling.line is not None and self.console is not None:
            self.console.end(handling.line, record)
        if handling.place is not None:
            handling.place.__exit__(None, None, None)

    def _export(self, record: logging.LogRecord, handling: _Handling) -> bool:
        """Export the record; True when it is one too many of telemetry's own."""
        context = get_current()
        suppressed = context and (context.get(_SUPPRESS_INSTRUMENTATION_KEY) or context.get(_SUPPRESS_BY_NAME))
        top = (record.name or "").partition(".")[0]
        own = top in {OWN, OPENTELEMETRY}
        throttled_as = top if own else EXPORTERS if suppressed else None
        if throttled_as is not None and not self._throttles[throttled_as].allows():
            if throttled_as == OWN:  # the others are the application's to print
                handling.reaches_handlers = False
            return True
        if not own and not suppressed:
            context = _shown(record, context)
        if self.exporter is not None and not suppressed:
            self.exporter.export(record, context)
        return False


def _shown(record: logging.LogRecord, context: Any) -> Any:
    """Show the record to those who watch; the context to export it with: the first that one of them names."""
    shown = context
    for watch in _watching:
        with guard("showing a log record"):
            place = watch(record)
            if place is not None and shown is context:
                shown = set_span_in_context(NonRecordingSpan(place), context)
    return shown


# --- the hook --------------------------------------------------------------------------------------------------------

_active: Bridge | None = None
_hook: CallHandlers | None = None
_stock: CallHandlers = logging.Logger.callHandlers


def _begin(logger: logging.Logger, record: logging.LogRecord) -> _Handling | None:
    bridge, outer = _active, _thread.record
    # The same record again is one that a handler passed on: it has been seen.
    if bridge is None or record is outer:
        return None
    handling = _Handling(bridge, outer)
    _thread.record = record
    try:
        bridge.begin(handling, logger, record)
    except BaseException:
        _end(handling, record)
        raise
    return handling


def _end(handling: _Handling, record: logging.LogRecord) -> None:
    _thread.record = handling.outer
    with guard("finishing a log record"):
        handling.bridge.end(handling, record)


def _make_hook(stock: CallHandlers) -> CallHandlers:
    begin, end = _begin, _end

    def callHandlers(self: logging.Logger, record: logging.LogRecord) -> None:  # noqa: N802 - its name
        handling = None
        try:
            handling = begin(self, record)
            if handling is None or handling.reaches_handlers:
                stock(self, record)
        finally:
            if handling is not None:
                end(handling, record)

    return count_as_logging(callHandlers)


def hook_in(bridge: Bridge) -> None:
    """Let every record pass `bridge`."""
    global _active, _hook, _stock
    _active = bridge
    if _hook is None or logging.Logger.callHandlers is not _hook:
        _stock = logging.Logger.callHandlers
        _hook = _make_hook(_stock)
        logging.Logger.callHandlers = _hook  # type: ignore[method-assign,assignment]


def unhook() -> None:
    """Give the method back, unless somebody has wrapped ours: then ours only passes records on."""
    global _active
    bridge, _active = _active, None
    if bridge is not None and bridge.console is not None:
        bridge.console.give_back()
    if _hook is not None and logging.Logger.callHandlers is _hook:
        logging.Logger.callHandlers = _stock  # type: ignore[method-assign,assignment]


def is_active() -> bool:
    """Whether records pass a bridge."""
    return _active is not None


def is_handling() -> bool:
    """Whether this thread is handling a record."""
    return _thread.record is not None


def server_runs() -> None:
    """A server has started an application in this process."""
    if _active is not None and _active.console is not None:
        _active.console.server_runs = True


def after_fork_in_child() -> None:
    """The child has a limit of lines of its own."""
    if _active is not None:
        _active.renew_limits()


def watch_records(context: Context, watch: Watch) -> None:
    """Call `watch` with every record that is not telemetry's own, before it is exported, printed or handled.

    What it puts into the record's `__dict__` is exported with it, and the span that it returns, if it does, is the one
    that the record belongs to. It is called where nothing is exported as well.
    """
    on_record(watch)
    if _active is None:
        silent = replace(context, settings=replace(context.settings, console="off"))
        hook_in(Bridge(silent, level=logging.NOTSET, exports=False))


def on_record(watch: Watch) -> None:
    """The same, where records are exported or printed by us; elsewhere it is not called."""
    if watch not in _watching:
        _watching.append(watch)


def unwatch_records(watch: Watch) -> None:
    """Call it no longer."""
    if watch in _watching:
        _watching.remove(watch)
