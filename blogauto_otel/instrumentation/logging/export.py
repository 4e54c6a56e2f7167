"""Exports log records through the logger provider: body, attributes, severity and scope."""

from __future__ import annotations

import logging
import threading
from typing import Any, Final, TypeAlias

from opentelemetry.semconv.attributes import code_attributes

from blogauto_otel._guard import swallow
from blogauto_otel._otel import Logger, SeverityNumber
from blogauto_otel.api.records import EVENT_NAME, read
from blogauto_otel.api.text import bounded
from blogauto_otel.instrumentation import Context
from blogauto_otel.otlp.drop_reasons import NESTED
from blogauto_otel.otlp.signal import Signal

MAX_LOGGERS: Final = 1_000
MAX_LOGGER_NAME: Final = 256
# A record that is logged while another is exported is exported too. Below that depth only a record of another line is,
# because a record processor that logs for each record would never end.
FREE_NESTING: Final = 2
MAX_NESTING: Final = 10
_OTHER_SCOPE: Final = "_OTHER"
_LOGGER_NAME: Final = "logger.name"
_SEVERITY_TEXTS: Final = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_SEVERITIES: Final = tuple(SeverityNumber)

Line: TypeAlias = "tuple[object, object]"


class _ThreadState(threading.local):
    """The lines of source whose records this thread is exporting, outermost first."""

    lines: tuple[Line, ...] = ()


_thread: Final = _ThreadState()


class Exporter:
    """Emits records through the logger provider; a record that cannot be emitted is counted."""

    def __init__(self, context: Context, level: int) -> None:
        self._context = context
        self._level = level
        self._loggers: dict[str, Logger] = {}

    def export(self, record: logging.LogRecord, context: Any) -> None:
        """Emit the record in `context`, unless it is below the level."""
        outer = _thread.lines
        try:
            if record.levelno < self._level:
                return
            line = (getattr(record, "pathname", None), getattr(record, "lineno", None))
            if len(outer) >= FREE_NESTING and (line in outer or len(outer) >= MAX_NESTING):
                self._context.delivery.lost(Signal.LOGS, NESTED)
                return
            _thread.lines = (*outer, line)
            self._emit(record, context)
        except BaseException as error:
            self._context.delivery.lost(Signal.LOGS, "translation")
            # At the end of the stack there is no room to log it either.
            if not isinstance(error, RecursionError) and not swallow("exporting a log record", error):
                raise
        finally:
            _thread.lines = outer

    def _emit(self, record: logging.LogRecord, context: Any) -> None:
        body, attributes = read(record)
        attributes[code_attributes.CODE_FILE_PATH] = record.pathname
        attributes[code_attributes.CODE_FUNCTION_NAME] = record.funcName
        attributes[code_attributes.CODE_LINE_NUMBER] = record.lineno
        event = attributes.pop(EVENT_NAME, None) or attributes.pop("otel.event.name", None)
        self._logger(record.name, attributes).emit(
            timestamp=int(record.created * 1e9),
            context=context,
            severity_number=severity_of(record.levelno),
            severity_text=_SEVERITY_TEXTS.get(record.levelname, record.levelname),
            body=body,
            attributes=attributes,
            event_name=None if event is None else str(event),
        )

    def _logger(self, name: str, attributes: dict[str, Any]) -> Logger:
        """The scope is the logger's name; above a limit loggers share one scope, because the SDK keeps every scope."""
        found = self._loggers.get(name)
        if found is not None:
            return found
        name = bounded(name, MAX_LOGGER_NAME) if isinstance(name, str) else name
        if len(self._loggers) < MAX_LOGGERS:
            return self._loggers.setdefault(name, self._context.logger_provider.get_logger(name))
        attributes[_LOGGER_NAME] = name
        return self._context.logger_provider.get_logger(_OTHER_SCOPE)


def severity_of(level: int) -> SeverityNumber:
    """`DEBUG` 5, `INFO` 9, `WARNING` 13, `ERROR` 17, `CRITICAL` 21; levels between them are up to three steps more."""
    if level < logging.DEBUG:
        return SeverityNumber.TRACE if level > 0 else SeverityNumber.UNSPECIFIED
    return _SEVERITIES[min(4 * (level // 10) + 1 + min(level % 10, 3), len(_SEVERITIES) - 1)]
