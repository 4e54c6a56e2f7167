"""The console: one line per log record, printed by the application's console handlers, or by ours if it has none."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, TextIO

from blogauto_otel._guard import guard, log_once, swallow
from blogauto_otel.api.formatting import JsonFormatter, Redact, TextFormatter, is_ascii_only
from blogauto_otel.config import Settings
from blogauto_otel.instrumentation.logging import redacting

if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:
    _StreamHandler = logging.StreamHandler

# By class name: handlers that print in a way of their own, or forward records to what prints.
RICH: Final = "RichHandler"
FORWARDING: Final = frozenset({"QueueHandler", "InterceptHandler"})
# Modules of formatters that `auto` replaces; a class of the application stays.
DEFAULT_FORMATTERS: Final = ("logging", "uvicorn.logging")
SERVERS: Final = frozenset({"uvicorn", "gunicorn", "hypercorn", "granian", "daphne"})
STDOUT, STDERR = "stdout", "stderr"


class _ThreadState(threading.local):
    """The record whose handlers are called in this thread, and the streams on which it was printed."""

    record: logging.LogRecord | None = None
    printed: tuple[str, ...] = ()
    has_no_handler = False  # we print it in place of `logging.lastResort`


_thread: Final = _ThreadState()


class ConsoleRecord:
    """The state of one record between `Console.begin` and `Console.end`."""

    __slots__ = ("is_due", "outer")

    def __init__(self, *, is_due: bool) -> None:
        self.is_due = is_due
        self.outer = (_thread.record, _thread.printed, _thread.has_no_handler)


class _Handler(_StreamHandler):
    """Writes to the console's current stream."""

    def __init__(self, level: int, console: Console) -> None:
        logging.Handler.__init__(self, level)
        self._console = console

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Standard output or standard error."""
        return sys.stdout if self._console.stream_name == STDOUT else sys.stderr

    def format(self, record: logging.LogRecord) -> str:
        """The line for that stream."""
        return self._console.formatters[self._console.stream_name].format(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        """Write the line to stderr."""
        _to_stderr(self._console.formatters[STDERR], record)


class Console:
    """Prints the line of each record, without a handler on the root logger, which would disable `basicConfig`."""

    def __init__(self, settings: Settings, *, level: int, redact: Redact) -> None:
        self.format = settings.console if settings.console != "auto" else "json" if settings.production else "text"
        self.is_server = _is_started_by_server()
        self.formatters: dict[str, logging.Formatter] = {
            STDOUT: self._formatter(redact, sys.stdout),
            STDERR: self._formatter(redact, sys.stderr),
        }
        self._stream = settings.console_stream
        self._production = settings.production
        self._redact = redact
        self._redacts = settings.redact
        self._handler = _Handler(level, self)
        self._replaces_every_formatter = settings.console != "auto"
        self._taken_over: list[tuple[weakref.ref[_StreamHandler], logging.Formatter | None, _OncePerStream]] = []
        self._redacted_handlers: weakref.WeakSet[logging.Handler] = weakref.WeakSet()
        self._unredacted_handlers: set[str] = set()
        if logging.lastResort is not None:
            logging.lastResort.addFilter(_unless_printed_by_us)

    def _formatter(self, redact: Redact, stream: TextIO | None) -> logging.Formatter:
        ascii_only = is_ascii_only(stream)
        if self.format == "json":
            return JsonFormatter(redact=redact, ascii_only=ascii_only)
        return TextFormatter(redact=redact, ascii_only=ascii_only, color=_shows_color(stream))

    @property
    def stream_name(self) -> str:
        """The stream of our own lines: stdout is the application's, unless it is a server in production."""
        if self._stream != "auto":
            return self._stream
        return STDOUT if self.is_server and self._production else STDERR

    def describe(self) -> str:
        """The format, and the handlers whose lines are not redacted."""
        for handler in _handlers():
            self._redact_handler(handler)
        unredacted = (
            f", not redacted: {', '.join(sorted(self._unredacted_handlers))}" if self._unredacted_handlers else ""
        )
        return f"console {self.format}{unredacted}"

    def begin(self, logger: logging.Logger, record: logging.LogRecord, *, is_hidden: bool) -> ConsoleRecord:
        """Inspect the handlers that get the record, or would get it if it were not hidden from them."""
        if not self.is_server and type(record.name) is str and record.name.partition(".")[0] in SERVERS:
            self.is_server = True
        found, is_printed, reaches_root = self._inspect_handlers(logger)
        current = ConsoleRecord(is_due=reaches_root and not is_printed and self._is_printable(record.levelno))
        if not is_hidden:
            # Without a handler the standard library prints warnings to stderr; our line replaces that one.
            _thread.record, _thread.printed, _thread.has_no_handler = record, (), reaches_root and not found
        return current

    def end(self, current: ConsoleRecord, record: logging.LogRecord) -> None:
        """Print our line if it is due."""
        _thread.record, _thread.printed, _thread.has_no_handler = current.outer
        if current.is_due:
            self._handler.handle(record)

    def _is_printable(self, level: object) -> bool:
        """Whether the level is high enough and the process has the stream; a record may have any object as level."""
        return isinstance(level, int) and level >= self._handler.level and self._handler.stream is not None

    def _inspect_handlers(self, logger: logging.Logger) -> tuple[bool, bool, bool]:
        """Whether the record reaches a handler, a handler that prints, and the root logger."""
        found = is_printed = False
        here = logger
        try:
            while True:
                for handler in here.handlers:
                    found = True
                    is_printed |= self._prints(handler)
                if not here.propagate or here.parent is None:
                    return found, is_printed, here.parent is None
                here = here.parent
        except BaseException as error:
            if not swallow("inspecting console handlers", error):
                raise
            return True, True, False

    def _prints(self, handler: logging.Handler) -> bool:
        """Whether it writes to the console. With a default formatter it gets ours, else it is made to redact."""
        if not isinstance(handler, logging.StreamHandler):
            kind = type(handler).__name__
            if kind != RICH and kind not in FORWARDING:
                return False
            self._redact_handler(handler)
            return True
        formatter = handler.formatter
        if formatter in self.formatters.values():
            return True
        stream = _standard_stream_name(handler.stream)
        if stream is None:
            return False
        if self._replaces_every_formatter or formatter is None or type(formatter).__module__ in DEFAULT_FORMATTERS:
            with guard("taking over a console handler"):
                self._take_over(handler, stream)
            return True
        self._redact_handler(handler)
        if self.format == "json":
            log_once(
                f"kept {type(formatter).__qualname__}",
                "console lines keep the application's %s; BLOGAUTO_OTEL_CONSOLE=json replaces it",
                type(formatter).__qualname__,
                level=logging.INFO,
            )
        return True

    def _take_over(self, handler: _StreamHandler, stream: str) -> None:
        handler.acquire()  # a second thread would keep our formatter as the handler's own
        try:
            if handler.formatter in self.formatters.values():
                return
            once = _OncePerStream(stream)
            self._taken_over = [taken for taken in self._taken_over if taken[0]() not in (None, handler)]
            self._taken_over.append((weakref.ref(handler), handler.formatter, once))
            handler.setFormatter(self.formatters[stream])
            if "handleError" not in vars(handler) and type(handler).handleError is logging.Handler.handleError:
                handler.handleError = partial(_to_stderr, self.formatters[STDERR])  # type: ignore[method-assign]
            handler.addFilter(once)
        finally:
            handler.release()

    # --- handlers with a formatter of the application ----------------------------------------------------------------

    def _redact_handler(self, handler: logging.Handler) -> None:
        """Make a console handler with a formatter of its own redact; log one that cannot."""
        if not self._redacts or handler in self._redacted_handlers:
            return
        reason = self._redaction_problem(handler)
        if reason and reason not in self._unredacted_handlers:
            self._unredacted_handlers.add(reason)
            log_once(f"unredacted {reason}", "console lines are not redacted: %s", reason)

    def _redaction_problem(self, handler: logging.Handler) -> str:
        """Why this handler cannot redact; empty when it can, or prints nothing."""
        kind = type(handler).__name__
        if kind in FORWARDING:
            return f"{kind} forwards records"
        is_rich = kind == RICH
        if not is_rich and not (isinstance(handler, logging.StreamHandler) and self._is_foreign(handler)):
            return ""
        try:
            redacting.attach(handler, self._redact)
            self._redacted_handlers.add(handler)
        except Exception as error:  # noqa: BLE001 - a handler that accepts no attributes
            return f"{kind} cannot be changed ({type(error).__name__})"
        return f"{kind} prints local variables" if getattr(handler, "tracebacks_show_locals", False) is True else ""

    def _is_foreign(self, handler: _StreamHandler) -> bool:
        formatter = handler.formatter
        if self._replaces_every_formatter or formatter is None or formatter in self.formatters.values():
            return False
        return (
            type(formatter).__module__ not in DEFAULT_FORMATTERS and _standard_stream_name(handler.stream) is not None
        )

    def restore_handlers(self) -> None:
        """Restore the formatters and methods of the application's handlers."""
        for reference, formatter, once in self._taken_over:
            handler = reference()
            if handler is not None and handler.formatter in self.formatters.values():
                handler.setFormatter(formatter)
                if isinstance(vars(handler).get("handleError"), partial):
                    del handler.handleError
                handler.removeFilter(once)
        for attached in list(self._redacted_handlers):
            with guard("restoring a handler"):
                redacting.detach(attached)
        if logging.lastResort is not None:
            logging.lastResort.removeFilter(_unless_printed_by_us)


class _OncePerStream:
    """A filter: of several console handlers with the same stream, the first prints the record."""

    def __init__(self, stream: str) -> None:
        self._stream = stream

    def __call__(self, record: logging.LogRecord) -> bool:
        if record is not _thread.record:
            return True
        if self._stream in _thread.printed:
            return False
        _thread.printed = (*_thread.printed, self._stream)
        return True


def _unless_printed_by_us(record: logging.LogRecord) -> bool:
    """A filter of `logging.lastResort`, which prints a record that no handler got."""
    return record is not _thread.record or not _thread.has_no_handler


def _to_stderr(formatter: logging.Formatter, record: logging.LogRecord) -> None:
    """Print when stdout is closed or full. The standard library would print the arguments there, unredacted."""
    if logging.raiseExceptions and sys.stderr is not None:
        with contextlib.suppress(Exception):
            sys.stderr.write(f"{formatter.format(record)}\n")


def _standard_stream_name(stream: object) -> str | None:
    """`stdout` or `stderr`; None for another stream."""
    if stream is None:
        return None
    if stream is sys.stdout or stream is sys.__stdout__:
        return STDOUT
    return STDERR if stream is sys.stderr or stream is sys.__stderr__ else None


def _handlers() -> Iterator[logging.Handler]:
    """The handlers of all loggers."""
    root = logging.getLogger()
    loggers = [root, *(known for known in list(root.manager.loggerDict.values()) if isinstance(known, logging.Logger))]
    for logger in loggers:
        yield from tuple(logger.handlers)


def _is_started_by_server() -> bool:
    """Whether the command or the main module of this process is a server's."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    program = PurePath(sys.argv[0]).stem if getattr(sys, "argv", None) else ""
    return program in SERVERS or (getattr(spec, "name", None) or "").partition(".")[0] in SERVERS


def _shows_color(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty() and not os.environ.get("NO_COLOR")
    except ValueError:  # closed
        return False
