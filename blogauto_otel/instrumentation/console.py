"""One line on stdout per log record: the application's console handlers write ours; where there is none, we do."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TextIO

from blogauto_otel._guard import guard, swallow, tell
from blogauto_otel.config import Settings
from blogauto_otel.signals.formatting import JsonFormatter, Redact, TextFormatter

if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:
    _StreamHandler = logging.StreamHandler

# By class name: they print, or hand over to what prints, in a way that is the application's own.
PRINT_THEMSELVES: Final = frozenset({"QueueHandler", "RichHandler", "InterceptHandler"})
# Formatters that nobody chose for their looks: `auto` replaces these and leaves an application's own class alone.
STOCK_FORMATTERS: Final = ("logging", "uvicorn.logging")


class _Thread(threading.local):
    """The record whose handlers are called in this thread, and whether one has printed it."""

    record: logging.LogRecord | None = None
    printed = False


_thread: Final = _Thread()


class _StdoutHandler(_StreamHandler):
    """Writes to whatever `sys.stdout` is at the time."""

    def __init__(self, level: int, formatter: logging.Formatter) -> None:
        logging.Handler.__init__(self, level)
        self.setFormatter(formatter)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Standard output."""
        return sys.stdout

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        """Write the line to stderr."""
        _to_stderr(self.formatter, record)


class Console:
    """Calls a record's handlers in the place of the standard library, and sees to its line.

    Ours is no handler of the root logger, because `basicConfig` does nothing when that has one.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        level: int,
        redact: Redact,
        call_handlers: Callable[[logging.Logger, logging.LogRecord], None],
    ) -> None:
        self._call_handlers = call_handlers
        self.format = settings.console if settings.console != "auto" else "json" if settings.production else "text"
        self._formatter = (
            JsonFormatter(redact=redact)
            if self.format == "json"
            else TextFormatter(redact=redact, color=_shows_color(sys.stdout))
        )
        self._handler = _StdoutHandler(level, self._formatter)
        self._takes_all = settings.console != "auto"
        self._taken: list[tuple[weakref.ref[_StreamHandler], logging.Formatter | None, TextIO]] = []
        if logging.lastResort is not None:
            logging.lastResort.addFilter(_unless_printed)

    def call_handlers(self, logger: logging.Logger, record: logging.LogRecord) -> None:
        """What `Logger.callHandlers` does, and our line where no handler of the application prints one."""
        found, printer, reaches_root = self._look_at(logger)
        outer, printed = _thread.record, _thread.printed
        # Without any handler the standard library prints warnings to stderr: ours is that line already.
        _thread.record, _thread.printed = record, reaches_root and not found
        try:
            self._call_handlers(logger, record)
        finally:
            _thread.record, _thread.printed = outer, printed
            if reaches_root and not printer and self._is_shown(record.levelno):
                self._handler.handle(record)

    def _is_shown(self, level: object) -> bool:
        """Whether our line is due; a process without standard output has none, and a record without level neither."""
        return isinstance(level, int) and level >= self._handler.level and sys.stdout is not None

    def _look_at(self, logger: logging.Logger) -> tuple[bool, bool, bool]:
        """Whether the record meets a handler, one that prints, and the root logger."""
        found = printer = False
        here = logger
        try:
            while True:
                for handler in here.handlers:
                    found = True
                    printer |= self._prints(handler)
                if not here.propagate or here.parent is None:
                    return found, printer, here.parent is None
                here = here.parent
        except BaseException as error:
            if not swallow("looking for console handlers", error):
                raise
            return True, True, False

    def _prints(self, handler: logging.Handler) -> bool:
        """Whether it writes to the console; one that does, and looks stock, is made to write our line."""
        if not isinstance(handler, logging.StreamHandler):
            return type(handler).__name__ in PRINT_THEMSELVES
        formatter = handler.formatter
        if formatter is self._formatter:
            return True
        if handler.stream is not sys.stdout and handler.stream not in (sys.stderr, sys.__stdout__, sys.__stderr__):
            return False
        if self._takes_all or formatter is None or type(formatter).__module__ in STOCK_FORMATTERS:
            with guard("taking over a console handler"):
                self._take(handler)
        elif self.format == "json":
            tell(
                f"kept {type(formatter).__qualname__}",
                "console lines keep the application's %s; BLOGAUTO_OTEL_CONSOLE=json replaces it",
                type(formatter).__qualname__,
                level=logging.INFO,
            )
        return True

    def _take(self, handler: _StreamHandler) -> None:
        handler.acquire()  # against a second thread, which would remember our formatter as the handler's own
        try:
            if handler.formatter is self._formatter:
                return
            self._taken = [taken for taken in self._taken if taken[0]() not in (None, handler)]
            self._taken.append((weakref.ref(handler), handler.formatter, handler.stream))
            handler.setFormatter(self._formatter)
            if "handleError" not in vars(handler) and type(handler).handleError is logging.Handler.handleError:
                handler.handleError = partial(_to_stderr, self._formatter)  # type: ignore[method-assign]
            handler.addFilter(_once)
            _redirect(handler, sys.stdout)
        finally:
            handler.release()

    def give_back(self) -> None:
        """Let the handlers look as they did."""
        for reference, formatter, stream in self._taken:
            handler = reference()
            if handler is not None and handler.formatter is self._formatter:
                handler.setFormatter(formatter)
                if isinstance(vars(handler).get("handleError"), partial):
                    del handler.handleError
                handler.removeFilter(_once)
                _redirect(handler, stream)
        if logging.lastResort is not None:
            logging.lastResort.removeFilter(_unless_printed)


def _to_stderr(formatter: logging.Formatter | None, record: logging.LogRecord) -> None:
    """Where stdout is closed or full. The standard library would print the arguments there, secrets and all."""
    if logging.raiseExceptions and sys.stderr is not None and formatter is not None:
        with contextlib.suppress(Exception):
            sys.stderr.write(f"{formatter.format(record)}\n")


def _redirect(handler: _StreamHandler, stream: TextIO) -> None:
    """As `setStream` does, which fails when the old stream is closed."""
    handler.acquire()
    try:
        with contextlib.suppress(ValueError, OSError):
            handler.flush()
        handler.stream = stream
    finally:
        handler.release()


def _once(record: logging.LogRecord) -> bool:
    """A filter: of several console handlers on a record's way, the first prints it."""
    if record is not _thread.record:
        return True
    printed, _thread.printed = _thread.printed, True
    return not printed


def _unless_printed(record: logging.LogRecord) -> bool:
    """A filter of the last resort, which prints what met no handler."""
    return record is not _thread.record or not _thread.printed


def _shows_color(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty() and not os.environ.get("NO_COLOR")
