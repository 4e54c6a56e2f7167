"""What a standard library log record says, in OpenTelemetry's words: one reading for OTLP and for the lines on stdout.

structlog's event dictionaries and loguru's `extra` are read too. Nothing here raises: a record that cannot be formatted
says what it was given.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.semconv.attributes import code_attributes, exception_attributes

from blogauto_otel import semconv
from blogauto_otel.signals.context import bound
from blogauto_otel.signals.text import bounded, plain, safe_text, stacktrace, type_name

MAX_BODY: Final = 32_768
EVENT_NAME: Final = "event.name"

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({})))
# What formatters, uvicorn and OpenTelemetry's own instrumentation leave on a record.
_NOT_EXTRA: Final = _STANDARD | {"message", "asctime", "taskName", "color_message"}
_NOT_EXTRA_PREFIXES: Final = ("_", "otelSpanID", "otelTraceID", "otelTraceSampled", "otelServiceName")
# Of structlog's event dictionary: what the record says already.
_STRUCTLOG_OWN: Final = frozenset({"event", "level", "logger", "timestamp", "exc_info", "stack_info", "exception"})


def read(record: logging.LogRecord) -> tuple[Any, dict[str, Any]]:
    """The body, and the attributes: bound context, extras, exception; an extra wins over what is bound."""
    attributes: dict[str, Any] = {**bound()}
    body = record.msg
    if type(body) is not str or record.args:
        body = _body(record, attributes)
    if len(body) > MAX_BODY:
        body = bounded(body, MAX_BODY)
        attributes[semconv.TRUNCATED] = True
    if len(record.__dict__) != len(_STANDARD):
        _add_extras(record, attributes)
    if record.exc_info or record.exc_text:
        _add_exception(record, attributes)
    if record.stack_info:
        attributes[code_attributes.CODE_STACKTRACE] = bounded(record.stack_info, MAX_BODY)
    return body, attributes


def _body(record: logging.LogRecord, attributes: dict[str, Any]) -> str:
    message: object = record.msg
    if isinstance(message, dict) and "event" in message and not record.args:  # structlog's wrap_for_formatter
        attributes.update((str(key), plain(value)) for key, value in message.items() if key not in _STRUCTLOG_OWN)
        return safe_text(message["event"], MAX_BODY + 1)
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit: the standard library prints them and goes on
        return f"{safe_text(message)} {safe_text(plain(record.args))}"


def _add_extras(record: logging.LogRecord, attributes: dict[str, Any]) -> None:
    for key, value in tuple(record.__dict__.items()):
        if key in _NOT_EXTRA or not isinstance(key, str) or key.startswith(_NOT_EXTRA_PREFIXES):
            continue
        if key == "extra" and isinstance(value, Mapping):  # loguru's
            attributes.update((safe_text(name, 256), plain(item)) for name, item in tuple(value.items()))
        else:
            attributes[key] = plain(value)


def _add_exception(record: logging.LogRecord, attributes: dict[str, Any]) -> None:
    info: object = record.exc_info
    error = info[1] if isinstance(info, tuple) and len(info) == 3 else info
    if isinstance(error, BaseException):
        attributes[exception_attributes.EXCEPTION_TYPE] = type_name(type(error))
        attributes[exception_attributes.EXCEPTION_MESSAGE] = safe_text(error)
        trace = info[2] if isinstance(info, tuple) else error.__traceback__
        attributes[exception_attributes.EXCEPTION_STACKTRACE] = stacktrace(error, trace)
    elif isinstance(record.exc_text, str) and record.exc_text.strip():
        attributes[exception_attributes.EXCEPTION_STACKTRACE] = bounded(record.exc_text, MAX_BODY)
