"""Redaction of console handlers with a formatter of the application: the format stays, and secrets are replaced.

Such a handler formats a redacted copy of the record, so that secrets are found by name in any format. The formatted
line is redacted too, because the traceback is only written there.
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from blogauto_otel._guard import swallow
from blogauto_otel._lazy_pattern import lazy_pattern
from blogauto_otel.api.formatting import Redact
from blogauto_otel.api.text import stacktrace
from blogauto_otel.instrumentation.patching import count_as_logging

UNREADABLE: Final = "[redacted:unreadable]"
_REPLACED: Final = "_blogauto_otel_replaced"  # on a handler: its own `emit` and `format`
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({})))
_ANSI: Final = lazy_pattern(r"\x1b\[[0-9;:]*[A-Za-z]")


def attach(handler: logging.Handler, redact: Redact) -> bool:
    """Make the handler print without secrets; False when it does already."""
    if _REPLACED in vars(handler):
        return False
    own = {name: vars(handler)[name] for name in ("emit", "format") if name in vars(handler)}
    emit, line = _make(handler.emit, handler.format, redact)
    vars(handler).update({"emit": emit, "format": line, _REPLACED: own})
    return True


def detach(handler: logging.Handler) -> None:
    """Restore the handler's own methods."""
    own = vars(handler).pop(_REPLACED, None)
    if own is not None:
        for name in ("emit", "format"):
            vars(handler).pop(name, None)
        vars(handler).update(own)


def _make(
    original_emit: Callable[[logging.LogRecord], None],
    original_format: Callable[[logging.LogRecord], str],
    redact: Redact,
) -> tuple[Callable[[logging.LogRecord], None], Callable[[logging.LogRecord], str]]:
    clean_record, clean_line = redacted, redacted_line

    def emit(record: logging.LogRecord) -> None:
        original_emit(clean_record(record, redact))

    def format(record: logging.LogRecord) -> str:  # noqa: A001 - the standard library's name
        return clean_line(original_format(record), redact)

    return count_as_logging(emit), count_as_logging(format)


def redacted(record: logging.LogRecord, redact: Redact) -> logging.LogRecord:
    """A copy of the record without secrets; other handlers get the record itself."""
    made = copy.copy(record)
    try:
        _redact_message(made, redact)
        _redact_exception(made, redact)
        for key, value in tuple(vars(made).items()):
            if key not in _STANDARD:
                vars(made)[key] = redact.value(key, value)
    except BaseException as error:
        if not swallow("redacting a log record", error):
            raise
        made.msg, made.args, made.exc_info, made.exc_text, made.stack_info = UNREADABLE, (), None, None, None
    return made


def _redact_message(made: logging.LogRecord, redact: Redact) -> None:
    """Redact the arguments and keep their number, if that is enough: formatters of access logs need it."""
    if isinstance(made.msg, Mapping) and not made.args:  # structlog's `wrap_for_formatter`
        made.msg = redact.value("", made.msg)
        return
    if isinstance(made.args, tuple):
        made.args = tuple(redact.value("", argument) for argument in made.args)
    elif made.args:
        made.args = redact.value("", made.args)  # type: ignore[assignment]
    try:
        message = made.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit; the handler reports them, from the redacted copy
        made.msg = redact.text(str(made.msg))
        return
    clean = redact.text(message)
    if clean != message:
        made.msg, made.args = clean, ()


def _redact_exception(made: logging.LogRecord, redact: Redact) -> None:
    """A traceback that contains a secret becomes text at the end of the message, where every formatter prints it."""
    info = made.exc_info
    error = info[1] if isinstance(info, tuple) and len(info) == 3 else None
    if isinstance(info, tuple) and error is not None:
        text = stacktrace(error, info[2])
        clean = redact.text(text)
        if clean != text:
            made.exc_info = made.exc_text = None
            if isinstance(made.msg, Mapping):
                made.msg = {**made.msg, "exception": clean}
            else:
                made.msg, made.args = f"{made.getMessage()}\n{clean}", ()
    if isinstance(made.exc_text, str):
        made.exc_text = redact.text(made.exc_text)
    if isinstance(made.stack_info, str):
        made.stack_info = redact.text(made.stack_info)


def redacted_line(line: str, redact: Redact) -> str:
    """The line without secrets: unchanged if it has none; JSON stays JSON, other lines lose their colours."""
    try:
        text = _ANSI.sub("", line) if "\x1b" in line else line
        if text.startswith("{"):
            with_values = _json(text)
            if with_values is not None:
                clean = redact.value("", with_values)
                return line if clean is with_values else json.dumps(clean, ensure_ascii=False)
        cleaned = redact.text(text)
        return line if cleaned == text else cleaned
    except BaseException as error:
        if not swallow("redacting a console line", error):
            raise
        return UNREADABLE


def _json(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
