"""Breadcrumbs: the latest log records of the process, of which an event shows those of its trace.

Sentry's SDK builds a dictionary for each record that might precede an error, 15 µs a record. Here a record is stored as
a tuple of text and numbers, which the garbage collector does not track, and converted when an event needs it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from datetime import datetime, timezone
from typing import Any, Final, TypeAlias

from opentelemetry.trace import get_current_span

from blogauto_otel._guard import is_foreign
from blogauto_otel.api.text import safe_text

MAX_RECORDS: Final = 1_000  # of the process; at most 300 kB
MAX_TEXT: Final = 300  # characters of one message
MAX_BREADCRUMBS: Final = 50  # of one event
_ACCESS_LOGGERS: Final = frozenset({"uvicorn.access", "gunicorn.access"})  # one record for each request: no context

# Trace id; without one the thread's id; time; level; logger; text. The collector untracks a plain tuple of these.
_Record: TypeAlias = tuple[int, int, float, int, str, str]


class BreadcrumbBuffer:
    """Stores the latest records until `unlink`."""

    def __init__(self) -> None:
        self._records: deque[_Record] = deque(maxlen=MAX_RECORDS)

    def add(self, record: logging.LogRecord) -> None:
        """Store a record of level INFO or above."""
        if record.levelno < logging.INFO or record.name in _ACCESS_LOGGERS:
            return
        trace_id = get_current_span().get_span_context().trace_id
        thread_id = 0 if trace_id else threading.get_ident()
        self._records.append((trace_id, thread_id, record.created, record.levelno, record.name, _text(record)))

    def of_trace(self, trace_id: int, *, exclude: logging.LogRecord | None) -> list[dict[str, Any]]:
        """The records of a trace, or of this thread outside any trace; without the record that is the event itself."""
        key = (trace_id, 0 if trace_id else threading.get_ident())
        excluded = None if exclude is None else (exclude.created, exclude.name)
        found = [one for one in self._records.copy() if one[:2] == key and (one[2], one[4]) != excluded]
        return [_breadcrumb(one) for one in found[-MAX_BREADCRUMBS:]]


def _text(record: logging.LogRecord) -> str:
    message = _formatted(record) if record.args else record.msg
    return message[:MAX_TEXT] if type(message) is str else safe_text(message, MAX_TEXT)


def _formatted(record: logging.LogRecord) -> object:
    try:
        return record.getMessage()
    except BaseException as error:  # arguments that do not fit the message; the handler that prints it reports them
        if not is_foreign(error):
            raise
        return record.msg


def _breadcrumb(record: _Record) -> dict[str, Any]:
    """https://develop.sentry.dev/sdk/data-model/event-payloads/breadcrumbs/."""
    _, _, created, level, logger, text = record
    return {
        "type": "log",
        "category": logger,
        "level": level_name(level),
        "message": text,
        "timestamp": datetime.fromtimestamp(created, timezone.utc),
    }


def level_name(level: int) -> str:
    """Sentry's name for a level of logging."""
    for lowest, name in _LEVEL_NAMES:
        if level >= lowest:
            return name
    return "debug"


_LEVEL_NAMES: Final = (
    (logging.CRITICAL, "fatal"),
    (logging.ERROR, "error"),
    (logging.WARNING, "warning"),
    (logging.INFO, "info"),
)
