"""Log lines: JSON, one line a record, and text for people; both have the trace, the request and the user.

A value cannot forge a record or move a terminal's cursor: control characters are escaped, and the further lines of a
message in text are indented. Formatting never raises.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from abc import ABC, abstractmethod
from typing import Any, Final, Protocol

from opentelemetry import trace
from opentelemetry.semconv.attributes import code_attributes, exception_attributes
from opentelemetry.trace import format_span_id, format_trace_id

from blogauto_otel._guard import swallow
from blogauto_otel._lazy_pattern import lazy_pattern
from blogauto_otel.api.records import read
from blogauto_otel.api.text import MAX_TEXT, bounded, safe_text

# Controls, line separators, direction marks and lone surrogates: what misleads terminals or readers.
_UNSAFE: Final = lazy_pattern("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_UNSAFE_BUT_LINES: Final = lazy_pattern(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))
_NOT_ASCII: Final = lazy_pattern("[^\x00-\x7e]")

_MAX_VALUE: Final = MAX_TEXT // 2
_MAX_NAME: Final = 256
_INDENT: Final = "    "
_STACKTRACES: Final = frozenset((exception_attributes.EXCEPTION_STACKTRACE, code_attributes.CODE_STACKTRACE))

_COLORS: Final = {"DEBUG": "36", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


class Redact(Protocol):
    """What removes secrets from a line, as `Redactor` does."""

    def text(self, value: str, /) -> str:
        """Free text."""

    def value(self, key: str, value: object, /) -> object:
        """A value under its key."""


class _LineFormatter(logging.Formatter, ABC):
    """The base of both: read, redact, escape, and never raise."""

    def __init__(self, *, redact: Redact | None = None, ascii_only: bool | None = None) -> None:
        super().__init__()
        self._redact = redact
        self._ascii_only = is_ascii_only(sys.stdout) if ascii_only is None else ascii_only

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        try:
            body, attributes = read(record)
            name = bounded(str(record.name), _MAX_NAME)
            if self._redact is not None:
                clean = self._redact.value
                body = self._redact.text(body) if isinstance(body, str) else clean("", body)
                name = str(clean("", name))
                attributes = {
                    str(clean("", key)): _shortened(key, clean(key, value)) for key, value in attributes.items()
                }
            line = self._line(record, name, str(body), attributes)
            return _NOT_ASCII.sub(_escaped, line) if self._ascii_only else line
        except BaseException as error:
            if not swallow("formatting a log line", error):
                raise
            return f"{safe_text(record.levelname)} a log record of {safe_text(record.name)!a} that could not be written"

    @abstractmethod
    def _line(self, record: logging.LogRecord, name: str, body: str, attributes: dict[str, Any]) -> str:
        """The whole line, of a record that has been read and redacted."""


class JsonFormatter(_LineFormatter):
    """One JSON object a line: `timestamp`, `level`, `logger`, `message`, `trace_id`, `span_id`, and the attributes.

    The attributes have the names that they have in OTLP. Text outside ASCII stays readable.
    """

    def _line(self, record: logging.LogRecord, name: str, body: str, attributes: dict[str, Any]) -> str:
        fields: dict[str, Any] = {
            "timestamp": _utc(record.created),
            "level": record.levelname,
            "logger": name,
            "message": body,
        }
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            fields["trace_id"] = format_trace_id(context.trace_id)
            fields["span_id"] = format_span_id(context.span_id)
        for key, value in attributes.items():
            fields[f"extra.{key}" if key in fields else key] = value
        try:
            line = json.dumps(fields, ensure_ascii=False, allow_nan=False)
        except ValueError:  # NaN and the infinities have no JSON
            line = json.dumps(_finite(fields), ensure_ascii=False)
        return line if line.isascii() and "\x7f" not in line else _UNSAFE.sub(_escaped, line)


class TextFormatter(_LineFormatter):
    """A line of text: time, level, logger, message, then `key=value`; all further lines are indented."""

    def __init__(self, *, redact: Redact | None = None, ascii_only: bool | None = None, color: bool = False) -> None:
        super().__init__(redact=redact, ascii_only=ascii_only)
        self._color = color

    def _line(self, record: logging.LogRecord, name: str, body: str, attributes: dict[str, Any]) -> str:
        traceback = attributes.pop(exception_attributes.EXCEPTION_STACKTRACE, None)
        if traceback is not None:  # its last line says both
            attributes.pop(exception_attributes.EXCEPTION_TYPE, None)
            attributes.pop(exception_attributes.EXCEPTION_MESSAGE, None)
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            attributes["trace_id"] = format_trace_id(context.trace_id)
        level = _UNSAFE.sub(_escaped, f"{record.levelname!s:<8}")
        if self._color:
            level = f"\x1b[{_COLORS.get(record.levelname, '0')}m{level}\x1b[0m"
        words = "".join(f" {key}={_word(value)}" for key, value in attributes.items())
        head = f"{_local(record.created)} {level} {_UNSAFE.sub(_escaped, name)}: "
        line = f"{head}{_indented(body)}{_UNSAFE.sub(_escaped, words)}"
        return line if traceback is None else f"{line}\n{_INDENT}{_indented(str(traceback))}"


def is_ascii_only(stream: object) -> bool:
    """Whether a stream can take no more than ASCII."""
    return not (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf")


def _indented(text: str) -> str:
    """Text of several lines, of which only the first begins where a record does; tabs stay."""
    lines = text.replace("\r\n", "\n").rstrip("\n")
    return _UNSAFE_BUT_LINES.sub(_escaped, lines).replace("\n", f"\n{_INDENT}")


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"  # as JSON has it


def _shortened(key: str, value: Any) -> Any:
    """Text is redacted before it is cut: half a secret matches no pattern."""
    if type(value) is not str or len(value) <= _MAX_VALUE or key in _STACKTRACES:
        return value
    return value[:_MAX_VALUE]


def _word(value: object) -> str:
    if isinstance(value, str) and value and not re.search(r"[\s\"=]", value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in {float("inf"), float("-inf")}):
        return str(value)
    return value


def _utc(seconds: float) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds % 1 * 1e6):06d}Z"


def _local(seconds: float) -> str:
    return f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{int(seconds % 1 * 1e3):03d}"
