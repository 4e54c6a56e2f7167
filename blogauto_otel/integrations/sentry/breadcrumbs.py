"""The last log lines of the process: those of a trace are an event's breadcrumbs.

Sentry's own way makes a dictionary of each line that might precede an error, 15 µs a line. These are tuples of text and
numbers, which the garbage collector forgets about, and they become breadcrumbs when an error needs them.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from datetime import datetime, timezone
from typing import Any, Final, TypeAlias

from opentelemetry.trace import get_current_span

from blogauto_otel._guard import is_foreign
from blogauto_otel.signals.text import safe_text

MAX_LINES: Final = 1_000  # of the process; 300 kB when all are as long as may be
MAX_TEXT: Final = 300
MAX_BREADCRUMBS: Final = 50  # of one event
_QUIET: Final = frozenset({"uvicorn.access", "gunicorn.access"})  # they say of a request that it was


# Trace id; without one the thread's; when; level; logger; text. Of a plain tuple the collector loses sight.
_Line: TypeAlias = tuple[int, int, float, int, str, str]


class BreadcrumbBuffer:
    """Lives as long as the link."""

    def __init__(self) -> None:
        self._lines: deque[_Line] = deque(maxlen=MAX_LINES)

    def add(self, record: logging.LogRecord) -> None:
        """Keep what a record says."""
        if record.levelno < logging.INFO or record.name in _QUIET:
            return
        trace_id = get_current_span().get_span_context().trace_id
        thread_id = 0 if trace_id else threading.get_ident()
        self._lines.append((trace_id, thread_id, record.created, record.levelno, record.name, _text(record)))

    def of_trace(self, trace_id: int, *, exclude: logging.LogRecord | None) -> list[dict[str, Any]]:
        """What was said in this trace, or outside any by this thread; without the record that is the event itself."""
        place = (trace_id, 0 if trace_id else threading.get_ident())
        last = None if exclude is None else (exclude.created, exclude.name)
        lines = [line for line in self._lines.copy() if line[:2] == place and (line[2], line[4]) != last]
        return [_breadcrumb(line) for line in lines[-MAX_BREADCRUMBS:]]


def _text(record: logging.LogRecord) -> str:
    message = _formatted(record) if record.args else record.msg
    return message[:MAX_TEXT] if type(message) is str else safe_text(message, MAX_TEXT)


def _formatted(record: logging.LogRecord) -> object:
    try:
        return record.getMessage()
    except BaseException as error:  # arguments that do not fit; whoever prints the record says so
        if not is_foreign(error):
            raise
        return record.msg


def _breadcrumb(line: _Line) -> dict[str, Any]:
    """https://develop.sentry.dev/sdk/data-model/event-payloads/breadcrumbs/."""
    _, _, created, level, logger, text = line
    return {
        "type": "log",
        "category": logger,
        "level": level_name(level),
        "message": text,
        "timestamp": datetime.fromtimestamp(created, timezone.utc),
    }


def level_name(level: int) -> str:
    """Sentry's word for a level of logging."""
    for least, word in _WORDS:
        if level >= least:
            return word
    return "debug"


_WORDS: Final = (
    (logging.CRITICAL, "fatal"),
    (logging.ERROR, "error"),
    (logging.WARNING, "warning"),
    (logging.INFO, "info"),
)
