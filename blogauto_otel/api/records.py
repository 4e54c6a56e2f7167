"""The body and attributes of a standard library log record, for OTLP and for the console alike.

structlog's event dictionaries and loguru's `extra` are read too. Nothing here raises: a record that cannot be formatted
has its message and arguments as its body.
"""

from __future__ import annotations

import logging
from itertools import islice
from typing import Any, Final

from opentelemetry.semconv.attributes import code_attributes, exception_attributes

from blogauto_otel import semconv
from blogauto_otel._class_names import type_name
from blogauto_otel._guard import is_foreign
from blogauto_otel.api.context import bound
from blogauto_otel.api.text import bounded, plain, safe_text, stacktrace
from blogauto_otel.otlp.log_records import FIELDS, NOT_EXTRA, NOT_EXTRA_PREFIXES

MAX_BODY: Final = 32_768

# Of structlog's event dictionary: what the record says already.
_STRUCTLOG_OWN: Final = frozenset({"event", "level", "logger", "timestamp", "exc_info", "stack_info", "exception"})


def read(record: logging.LogRecord) -> tuple[Any, dict[str, Any]]:
    """The body, and the attributes: bound context, extras, exception; an extra wins over what is bound.

    The body is text; of `log.info({"id": 1})` it is that map, and likewise a list.
    """
    attributes: dict[str, Any] = {**bound()}
    body: Any = record.msg
    if type(body) is not str or record.args:
        body = _body(record, attributes)
    if type(body) is str and len(body) > MAX_BODY:
        body = bounded(body, MAX_BODY)
        attributes[semconv.TRUNCATED] = True
    if len(record.__dict__) != len(FIELDS):
        _add_extras(record, attributes)
    if record.exc_info or record.exc_text:
        _add_exception(record, attributes)
    if record.stack_info:
        attributes[code_attributes.CODE_STACKTRACE] = bounded(record.stack_info, MAX_BODY)
    return body, attributes


def _body(record: logging.LogRecord, attributes: dict[str, Any]) -> Any:
    message: object = record.msg
    try:
        if not record.args and isinstance(message, (dict, list, tuple)):
            return _structure(message, attributes)
        return record.getMessage()
    except BaseException as error:  # arguments that do not fit: the standard library prints them and goes on
        if not is_foreign(error):
            raise
        return f"{safe_text(message)} {safe_text(plain(record.args))}"


def _structure(message: Any, attributes: dict[str, Any]) -> Any:
    """OTLP has maps and lists; structlog's event dictionary (`wrap_for_formatter`) is a message with attributes."""
    if isinstance(message, dict) and "event" in message:
        attributes.update(
            (safe_text(key, 256), plain(value)) for key, value in message.items() if key not in _STRUCTLOG_OWN
        )
        return safe_text(message["event"], MAX_BODY + 1)
    return plain(message)


def _add_extras(record: logging.LogRecord, attributes: dict[str, Any]) -> None:
    fields = record.__dict__
    # What a record is made with comes first; one that lacks some of it is looked through.
    first = len(FIELDS) if next(islice(fields, len(FIELDS) - 1, None), None) == FIELDS[-1] else 0
    for key, value in tuple(islice(fields.items(), first, None)):
        if key in NOT_EXTRA or not isinstance(key, str) or key.startswith(NOT_EXTRA_PREFIXES):
            continue
        readable = plain(value)
        if key == "extra" and isinstance(readable, dict):  # loguru's
            attributes.update(readable)
        else:
            attributes[key] = readable


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
