"""Exports log records of any content: body, attributes, severity and scope."""

from __future__ import annotations

import logging
import threading
from typing import Any, Final, TypeAlias

from opentelemetry.context import Context as OtelContext
from opentelemetry.semconv.attributes import code_attributes
from opentelemetry.trace import get_current_span

from blogauto_otel._guard import swallow
from blogauto_otel._memo import BoundedMemo
from blogauto_otel._otel import Logger, SeverityNumber
from blogauto_otel.api.records import read
from blogauto_otel.api.text import bounded
from blogauto_otel.instrumentation import Context
from blogauto_otel.otlp.drop_reasons import NESTED
from blogauto_otel.otlp.log_records import EVENT_NAMES
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.sdk.direct_logs import DirectExport

# The loggers of telemetry itself.
OWN: Final = "blogauto_otel"
OPENTELEMETRY: Final = "opentelemetry"
TELEMETRY: Final = frozenset((OWN, OPENTELEMETRY))

MAX_LOGGERS: Final = 1_000
MAX_LOGGER_NAME: Final = 256
# A record that is logged while another is exported is exported too. Below that depth only a record of another line is,
# because a record processor that logs for each record would never end.
FREE_NESTING: Final = 2
MAX_NESTING: Final = 10
MAX_LEVELS: Final = 2048  # whose severity is remembered
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
    """Exports records through the logger provider, or directly; a record that cannot be exported is counted.

    Attributes:
        direct: how records are exported without the SDK's objects; it knows no logger where that is not possible.
        severities: the encoded severity by number and name of a level, of levels that are exported.
    """

    def __init__(self, context: Context, level: int) -> None:
        self._context = context
        self._level = level
        self._loggers: dict[str, Logger] = {}
        self.direct: DirectExport = getattr(context.logger_provider, "direct", None) or DirectExport()
        self.severities: BoundedMemo[tuple[int, str], bytes] = BoundedMemo(MAX_LEVELS)

    def export(self, record: logging.LogRecord, context: OtelContext) -> None:
        """Export the record as one of the span in `context`, unless it is below the level."""
        outer = _thread.lines
        try:
            if record.levelno < self._level or self.direct.discards:
                return
            line = (getattr(record, "pathname", None), getattr(record, "lineno", None))
            if len(outer) >= FREE_NESTING and (line in outer or len(outer) >= MAX_NESTING):
                self._context.delivery.lost(Signal.LOGS, NESTED)
                return
            _thread.lines = (*outer, line)
            self._export(record, context)
        except BaseException as error:
            self._context.delivery.lost(Signal.LOGS, "translation")
            # At the end of the stack there is no room to log it either.
            if not isinstance(error, RecursionError) and not swallow("exporting a log record", error):
                raise
        finally:
            _thread.lines = outer

    def _export(self, record: logging.LogRecord, context: OtelContext) -> None:
        body, attributes = read(record)
        attributes[code_attributes.CODE_FILE_PATH] = record.pathname
        attributes[code_attributes.CODE_FUNCTION_NAME] = record.funcName
        attributes[code_attributes.CODE_LINE_NUMBER] = record.lineno
        events = [attributes.pop(name, None) for name in EVENT_NAMES]
        event = next((str(event) for event in events if event), None)
        time, number, name = int(record.created * 1e9), severity_of(record.levelno), _severity_text(record)
        logger = self._logger(record.name, attributes)
        scope = self.direct.scopes.get(record.name)
        if scope is not None and self.direct.takes(attributes):
            severity = self._severity(record, number, name)
            span = get_current_span(context).get_span_context()
            self.direct.export(scope, time, severity, (span[0], span[1], span[3]), body, attributes, event_name=event)
            return
        logger.emit(
            timestamp=time,
            context=context,
            severity_number=number,
            severity_text=name,
            body=body,
            attributes=attributes,
            event_name=event,
        )

    def _severity(self, record: logging.LogRecord, number: SeverityNumber, name: str) -> bytes:
        if type(record.levelno) is not int or type(record.levelname) is not str:
            return self.direct.encoder.encoded_severity(number.value, name)
        key = (record.levelno, record.levelname)
        known = self.severities.get(key)
        if known is None:
            known = self.severities.remember(key, self.direct.encoder.encoded_severity(number.value, name))
        return known

    def _logger(self, name: str, attributes: dict[str, Any]) -> Logger:
        """The scope is the logger's name; above a limit loggers share one scope, because the SDK keeps every scope."""
        found = self._loggers.get(name)
        if found is not None:
            if name not in self.direct.scopes:
                self._learn(name, found)
            return found
        name = bounded(name, MAX_LOGGER_NAME) if isinstance(name, str) else name
        if len(self._loggers) < MAX_LOGGERS:
            return self._loggers.setdefault(name, self._context.logger_provider.get_logger(name))
        attributes[_LOGGER_NAME] = name
        return self._context.logger_provider.get_logger(_OTHER_SCOPE)

    def _learn(self, name: str, logger: Logger) -> None:
        """Export later records of this logger directly."""
        if type(name) is str and name.partition(".")[0] not in TELEMETRY:
            self.direct.learn(name, logger)


def _severity_text(record: logging.LogRecord) -> str:
    return _SEVERITY_TEXTS.get(record.levelname, record.levelname)


def severity_of(level: int) -> SeverityNumber:
    """`DEBUG` 5, `INFO` 9, `WARNING` 13, `ERROR` 17, `CRITICAL` 21; levels between them are up to three steps more."""
    if level < logging.DEBUG:
        return SeverityNumber.TRACE if level > 0 else SeverityNumber.UNSPECIFIED
    return _SEVERITIES[min(4 * (level // 10) + 1 + min(level % 10, 3), len(_SEVERITIES) - 1)]
