"""The console: one line per log record, by the application's console handlers, or by ours where there is none."""

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

# By class name: they print, or hand records over to what prints, in a way that is the application's own.
RICH: Final = "RichHandler"
HAND_OVER: Final = frozenset({"QueueHandler", "InterceptHandler"})
# Formatters that nobody chose for their looks: `auto` replaces these and keeps an application's own class.
STOCK_FORMATTERS: Final = ("logging", "uvicorn.logging")
SERVERS: Final = frozenset({"uvicorn", "gunicorn", "hypercorn", "granian", "daphne"})
STDOUT, STDERR = "stdout", "stderr"


class _Thread(threading.local):
    """The record whose handlers are called in this thread, and where it has been printed."""

    record: logging.LogRecord | None = None
    printed: tuple[str, ...] = ()
    is_ours = False  # no handler of the application gets it: the line is ours, and not the last resort's


_thread: Final = _Thread()


class Line:
    """What `Console.begin` found out about one record."""

    __slots__ = ("is_due", "outer")

    def __init__(self, *, is_due: bool) -> None:
        self.is_due = is_due
        self.outer = (_thread.record, _thread.printed, _thread.is_ours)


class _Handler(_StreamHandler):
    """Writes to the console's stream, whatever that is at the time."""

    def __init__(self, level: int, console: Console) -> None:
        logging.Handler.__init__(self, level)
        self._console = console

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Standard output or standard error."""
        return sys.stdout if self._console.prints_to == STDOUT else sys.stderr

    def format(self, record: logging.LogRecord) -> str:
        """The line, as it suits the stream."""
        return self._console.formatters[self._console.prints_to].format(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        """Write the line to stderr."""
        _to_stderr(self._console.formatters[STDERR], record)


class Console:
    """Sees to the line of each record; ours is no handler of the root logger, or `basicConfig` would do nothing."""

    def __init__(self, settings: Settings, *, level: int, redact: Redact) -> None:
        self.format = settings.console if settings.console != "auto" else "json" if settings.production else "text"
        self.server_runs = _is_started_by_server()
        self.formatters: dict[str, logging.Formatter] = {
            STDOUT: self._formatter(redact, sys.stdout),
            STDERR: self._formatter(redact, sys.stderr),
        }
        self._stream = settings.console_stream
        self._production = settings.production
        self._redact = redact
        self._redacts = settings.redact
        self._handler = _Handler(level, self)
        self._takes_all = settings.console != "auto"
        self._taken: list[tuple[weakref.ref[_StreamHandler], logging.Formatter | None, _OncePerStream]] = []
        self._attached: weakref.WeakSet[logging.Handler] = weakref.WeakSet()
        self._named: set[str] = set()
        if logging.lastResort is not None:
            logging.lastResort.addFilter(_unless_ours)

    def _formatter(self, redact: Redact, stream: TextIO | None) -> logging.Formatter:
        ascii_only = is_ascii_only(stream)
        if self.format == "json":
            return JsonFormatter(redact=redact, ascii_only=ascii_only)
        return TextFormatter(redact=redact, ascii_only=ascii_only, color=_shows_color(stream))

    @property
    def prints_to(self) -> str:
        """Where our own lines go: stdout belongs to the application, unless it is a server in production."""
        if self._stream != "auto":
            return self._stream
        return STDOUT if self.server_runs and self._production else STDERR

    def describe(self) -> str:
        """The format, and which handlers print or hand over what is not redacted."""
        for handler in _handlers():
            self._look_for_secrets(handler)
        unredacted = f", not redacted: {', '.join(sorted(self._named))}" if self._named else ""
        return f"console {self.format}{unredacted}"

    def begin(self, logger: logging.Logger, record: logging.LogRecord, *, is_hidden: bool) -> Line:
        """Look at the handlers that the record is about to meet, or would meet if it were not hidden from them."""
        if not self.server_runs and type(record.name) is str and record.name.partition(".")[0] in SERVERS:
            self.server_runs = True
        found, printer, reaches_root = self._look_at(logger)
        line = Line(is_due=reaches_root and not printer and self._is_shown(record.levelno))
        if not is_hidden:
            # Without any handler the standard library prints warnings to stderr: ours is that line already.
            _thread.record, _thread.printed, _thread.is_ours = record, (), reaches_root and not found
        return line

    def end(self, line: Line, record: logging.LogRecord) -> None:
        """Print our line if it is due."""
        _thread.record, _thread.printed, _thread.is_ours = line.outer
        if line.is_due:
            self._handler.handle(record)

    def _is_shown(self, level: object) -> bool:
        """Whether our line is due; a process without the stream has none, and a record without level neither."""
        return isinstance(level, int) and level >= self._handler.level and self._handler.stream is not None

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
        """Whether it writes to the console; one that does prints our line if it looks stock, else its own, redacted."""
        if not isinstance(handler, logging.StreamHandler):
            kind = type(handler).__name__
            if kind != RICH and kind not in HAND_OVER:
                return False
            self._look_for_secrets(handler)
            return True
        formatter = handler.formatter
        if formatter in self.formatters.values():
            return True
        stream = _name_of(handler.stream)
        if stream is None:
            return False
        if self._takes_all or formatter is None or type(formatter).__module__ in STOCK_FORMATTERS:
            with guard("taking over a console handler"):
                self._take(handler, stream)
            return True
        self._look_for_secrets(handler)
        if self.format == "json":
            log_once(
                f"kept {type(formatter).__qualname__}",
                "console lines keep the application's %s; BLOGAUTO_OTEL_CONSOLE=json replaces it",
                type(formatter).__qualname__,
                level=logging.INFO,
            )
        return True

    def _take(self, handler: _StreamHandler, stream: str) -> None:
        handler.acquire()  # against a second thread, which would remember our formatter as the handler's own
        try:
            if handler.formatter in self.formatters.values():
                return
            once = _OncePerStream(stream)
            self._taken = [taken for taken in self._taken if taken[0]() not in (None, handler)]
            self._taken.append((weakref.ref(handler), handler.formatter, once))
            handler.setFormatter(self.formatters[stream])
            if "handleError" not in vars(handler) and type(handler).handleError is logging.Handler.handleError:
                handler.handleError = partial(_to_stderr, self.formatters[STDERR])  # type: ignore[method-assign]
            handler.addFilter(once)
        finally:
            handler.release()

    # --- what the application formats itself -------------------------------------------------------------------------

    def _look_for_secrets(self, handler: logging.Handler) -> None:
        """Let a console handler with a formatter of its own redact; name one that cannot."""
        if not self._redacts or handler in self._attached:
            return
        reason = self._unredacted(handler)
        if reason and reason not in self._named:
            self._named.add(reason)
            log_once(f"unredacted {reason}", "console lines are not redacted: %s", reason)

    def _unredacted(self, handler: logging.Handler) -> str:
        """Why this handler cannot redact; empty where it can, or prints nothing."""
        kind = type(handler).__name__
        if kind in HAND_OVER:
            return f"{kind} hands records over"
        is_rich = kind == RICH
        if not is_rich and not (isinstance(handler, logging.StreamHandler) and self._is_foreign(handler)):
            return ""
        try:
            redacting.attach(handler, self._redact)
            self._attached.add(handler)
        except Exception as error:  # noqa: BLE001 - a handler that takes no attributes: it is named
            return f"{kind} does not let us ({type(error).__name__})"
        return f"{kind} prints local variables" if getattr(handler, "tracebacks_show_locals", False) is True else ""

    def _is_foreign(self, handler: _StreamHandler) -> bool:
        formatter = handler.formatter
        if self._takes_all or formatter is None or formatter in self.formatters.values():
            return False
        return type(formatter).__module__ not in STOCK_FORMATTERS and _name_of(handler.stream) is not None

    def give_back(self) -> None:
        """Let the handlers look as they did."""
        for reference, formatter, once in self._taken:
            handler = reference()
            if handler is not None and handler.formatter in self.formatters.values():
                handler.setFormatter(formatter)
                if isinstance(vars(handler).get("handleError"), partial):
                    del handler.handleError
                handler.removeFilter(once)
        for attached in list(self._attached):
            with guard("giving a handler its methods back"):
                redacting.detach(attached)
        if logging.lastResort is not None:
            logging.lastResort.removeFilter(_unless_ours)


class _OncePerStream:
    """A filter: of several console handlers of one stream on a record's way, the first prints it."""

    def __init__(self, stream: str) -> None:
        self._stream = stream

    def __call__(self, record: logging.LogRecord) -> bool:
        if record is not _thread.record:
            return True
        if self._stream in _thread.printed:
            return False
        _thread.printed = (*_thread.printed, self._stream)
        return True


def _unless_ours(record: logging.LogRecord) -> bool:
    """A filter of the last resort, which prints what met no handler."""
    return record is not _thread.record or not _thread.is_ours


def _to_stderr(formatter: logging.Formatter, record: logging.LogRecord) -> None:
    """Where stdout is closed or full. The standard library would print the arguments there, secrets and all."""
    if logging.raiseExceptions and sys.stderr is not None:
        with contextlib.suppress(Exception):
            sys.stderr.write(f"{formatter.format(record)}\n")


def _name_of(stream: object) -> str | None:
    """Which of the two standard streams it is."""
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
    """Whether this process was started by a server's command, or by one of its modules."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    program = PurePath(sys.argv[0]).stem if getattr(sys, "argv", None) else ""
    return program in SERVERS or (getattr(spec, "name", None) or "").partition(".")[0] in SERVERS


def _shows_color(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty() and not os.environ.get("NO_COLOR")
    except ValueError:  # closed
        return False
