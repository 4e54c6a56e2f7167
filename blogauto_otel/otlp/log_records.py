"""Encodes log records as OTLP bytes: those of the API, and those of the standard library in one pass."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from itertools import islice
from logging import LogRecord as StandardRecord
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.semconv.attributes import code_attributes

from blogauto_otel import semconv
from blogauto_otel._memo import BoundedMemo
from blogauto_otel.otlp.plain_values import Plain, TextLimits, ValueRedactor, shorten
from blogauto_otel.otlp.protobuf import LENGTH, SMALL, VARINT, message, tag, varint
from blogauto_otel.otlp.values import ITEM, AttributeEncoder, any_value, append_count, copied, nanoseconds, utf8

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from blogauto_otel._otel import LogRecord
    from blogauto_otel.otlp.spans import SpanData

_LOG_HEAD: Final = struct.Struct("<BQBQ").pack  # time, observed time
_LOG_IDS: Final = struct.Struct("<BIH16sH8s").pack  # flags, trace_id, span_id
_SEVERITY_NUMBER: Final = tag(2, VARINT)
_SEVERITY_TEXT: Final = tag(3, LENGTH)
_BODY: Final = tag(5, LENGTH)
_STRING: Final = tag(1, LENGTH)  # in an AnyValue
_LOG_DROPPED: Final = tag(7, VARINT)
_LOG_EVENT_NAME: Final = tag(12, LENGTH)

_CACHED_SEVERITIES: Final = 2048
_CACHED_SITES: Final = 4096
_CACHED_BODIES: Final = 1024
_CACHED_LENGTH: Final = 256  # characters of a body

_SMALL: Final = len(SMALL)

# The fields that a record is made with, in their order; extras come behind them.
FIELDS: Final = tuple(vars(StandardRecord("", 0, "", 0, "", (), None)))
_FIELDS: Final = len(FIELDS)
_LAST_FIELD: Final = FIELDS[-1]
# What formatters, uvicorn and OpenTelemetry's own instrumentation leave on a record.
NOT_EXTRA: Final = frozenset((*FIELDS, "message", "asctime", "taskName", "color_message"))
NOT_EXTRA_PREFIXES: Final = ("_", "otelSpanID", "otelTraceID", "otelTraceSampled", "otelServiceName")

# Classes of values that are read without code of the application.
_PLAIN: Final = frozenset((str, int, float, bool, type(None)))
_INT64: Final = 2**63
_MAX_EXTRAS: Final = 32
_MAX_EXTRA_LENGTH: Final = 4096

# Where a record was logged: attributes that repeat together.
SITE: Final = (
    code_attributes.CODE_FILE_PATH,
    code_attributes.CODE_FUNCTION_NAME,
    code_attributes.CODE_LINE_NUMBER,
)
# Further names of an event among the attributes of a record, which becomes its event name.
EVENT_NAMES: Final = ("event.name", "otel.event.name")
_SPECIAL: Final = frozenset(("", *SITE, *EVENT_NAMES))


class LogRecordEncoder:
    """Encodes with one redactor and one set of limits; its caches of what repeats are bounded."""

    def __init__(self, redactor: ValueRedactor, limits: TextLimits) -> None:
        self._redactor = redactor
        self._limits = limits
        self._longest_text = limits.text
        self._log_attributes = AttributeEncoder(6, redactor, limits)
        self._log_cut = self._log_attributes.flag(semconv.TRUNCATED)
        self._severities: BoundedMemo[tuple[int, str | None], bytes] = BoundedMemo(_CACHED_SEVERITIES)
        self._sites: BoundedMemo[tuple[str, str, int], bytes] = BoundedMemo(_CACHED_SITES)
        self._bodies: BoundedMemo[str, bytes] = BoundedMemo(_CACHED_BODIES)
        # Apart from those without arguments, because most of them never come again, and evict what does.
        self._formatted: BoundedMemo[str, bytes] = BoundedMemo(_CACHED_BODIES)
        self._body_heads: BoundedMemo[int, bytes] = BoundedMemo(_CACHED_BODIES)

    # -- records of the API

    def log_record(self, record: LogRecord, *, dropped_attributes: int = 0) -> bytes:
        """A log record, as a field of ScopeLogs."""
        return self.encode(
            record.timestamp,
            self._severity(record),
            (record.trace_id, record.span_id, record.trace_flags),
            record.body,
            copied(record.attributes),
            event_name=record.event_name,
            observed=record.observed_timestamp,
            dropped=dropped_attributes,
        )

    def encode(
        self,
        time: int | None,
        severity: bytes,
        ids: tuple[int | None, int | None, int | None],
        body: object,
        attributes: Mapping[str, Any] | None,
        *,
        event_name: object = None,
        observed: int | None = None,
        dropped: int = 0,
    ) -> bytes:
        """A log record of any content, as a field of ScopeLogs.

        Args:
            time: of the event, in nanoseconds since 1970.
            severity: from `encoded_severity`.
            ids: of trace and span, and the trace flags; without ids, the record belongs to no span.
            body: any value; what cannot be read is replaced.
            attributes: with any values.
            event_name: None for a record that is no event.
            observed: when the record was seen; None for now.
            dropped: how many attributes are missing.
        """
        trace_id, span_id, flags = ids
        parts = [
            _LOG_HEAD(0x09, nanoseconds(time), 0x59, time_ns() if observed is None else nanoseconds(observed)),
            severity,
        ]
        if trace_id and span_id:
            parts.append(_ids(trace_id, span_id, int(flags or 0)))
        cut = self._body(parts, body)
        cut |= self._log_attributes.append(parts, attributes)
        if event_name is not None:
            parts.append(message(_LOG_EVENT_NAME, self._text(event_name)[0]))
        append_count(parts, _LOG_DROPPED, dropped)
        if cut:
            parts.append(self._log_cut)
        return message(ITEM, b"".join(parts))

    def _severity(self, record: LogRecord) -> bytes:
        number: Any = getattr(record.severity_number, "value", 0)
        text = record.severity_text
        if type(number) is not int or (text is not None and type(text) is not str):
            return self.encoded_severity(0, text)
        cached = self._severities.get((number, text))
        if cached is None:
            cached = self._severities.remember((number, text), self.encoded_severity(number, text))
        return cached

    def encoded_severity(self, number: int, text: object) -> bytes:
        """The severity's number and text, as fields of a log record; 0 and None are left out."""
        encoded = _SEVERITY_NUMBER + varint(number) if number else b""
        return encoded + message(_SEVERITY_TEXT, self._text(text)[0]) if text is not None else encoded

    def _text(self, value: object) -> tuple[bytes, bool]:
        limit = self._limits.text
        plain = Plain(self._redactor, limit)
        text = self._redactor.text(str(plain.convert(value)))
        return utf8(shorten(text, limit)), plain.cut

    def _body(self, parts: list[bytes], body: object) -> bool:
        if body is None:
            return False
        if type(body) is str and len(body) <= self._longest_text:  # nearly every record
            parts.append(self._text_body(body))
            return False
        plain = Plain(self._redactor, self._limits.text)
        original = plain.convert(body)
        redacted = self._redactor.text(original) if isinstance(original, str) else self._redactor.value("", original)
        parts.append(message(_BODY, any_value(redacted, self._limits.text)))
        return plain.cut

    def _text_body(self, text: str) -> bytes:
        """A text that is not too long, as the body."""
        redacted = self._redactor.text(text)
        return self._body_of(redacted if redacted is text else shorten(redacted, self._longest_text))

    def _body_of(self, redacted: str) -> bytes:
        try:
            data = redacted.encode()
        except UnicodeEncodeError:
            data = utf8(redacted)
        size = len(data)
        head = self._body_heads.get(size)
        if head is None:
            head = self._body_heads.remember(size, _body_head(size))
        return head + data

    # -- records of the standard library

    def standard_record(
        self, record: StandardRecord, severity: bytes, span: SpanContext | SpanData | None, bound: Mapping[str, Any]
    ) -> bytes | None:
        """A record of the standard library in one pass, as a field of ScopeLogs.

        Args:
            record: it belongs to this thread, or nobody changes it.
            severity: from `encoded_severity`.
            span: the span that it belongs to, or its context: what has its ids.
            bound: further attributes, of plain values.

        Returns:
            None for a record that `encode` has to encode: with an exception, or with values that run code of the
            application when they are read.
        """
        body = self._plain_body(record)
        site = self._sites.get((record.pathname, record.funcName, record.lineno)) or self._new_site(record)
        attributes = bound if len(record.__dict__) == _FIELDS else _with_extras(record, bound)
        if body is None or site is None or attributes is None or (attributes and not _SPECIAL.isdisjoint(attributes)):
            return None
        parts = [_LOG_HEAD(0x09, int(record.created * 1e9), 0x59, time_ns()), severity]
        if span is not None and span.trace_id and span.span_id:
            parts.append(_ids(span.trace_id, span.span_id, span.trace_flags))
        parts.append(body)
        cut = attributes and self._log_attributes.append(parts, attributes)
        parts.append(site)
        if cut:
            parts.append(self._log_cut)
        content = b"".join(parts)
        size = len(content)
        return ITEM + (SMALL[size] if size < _SMALL else varint(size)) + content

    def _plain_body(self, record: StandardRecord) -> bytes | None:
        """The body of a record that is a text, with arguments whose classes are Python's, and without an exception."""
        if type(record) is not StandardRecord or record.exc_info or record.exc_text or record.stack_info:
            return None
        text, args = record.msg, record.args
        if type(text) is not str:
            return None
        if not args:
            return self._bodies.get(text) or self._new_body(text, self._bodies)
        if type(args) is not tuple or not _PLAIN.issuperset(map(type, args)):
            return None
        text = text % args
        found = self._formatted.get(text) if len(text) <= _CACHED_LENGTH else None
        return found or self._new_body(text, self._formatted)

    def _new_body(self, text: str, known: BoundedMemo[str, bytes]) -> bytes | None:
        if len(text) > self._longest_text:
            return None
        redacted = self._redactor.text(text)
        if redacted is not text:  # not remembered, because the key would be the secret
            return self._body_of(shorten(redacted, self._longest_text))
        body = self._body_of(text)
        if len(text) <= _CACHED_LENGTH:
            known.remember(text, body)
        return body

    def _new_site(self, record: StandardRecord) -> bytes | None:
        """The attributes of the place in the source; None when they are not as usual."""
        site = (record.pathname, record.funcName, record.lineno)
        if tuple(map(type, site)) != (str, str, int):
            return None
        parts: list[bytes] = []
        cut = self._log_attributes.append(parts, dict(zip(SITE, site, strict=True)))
        return None if cut else self._sites.remember(site, b"".join(parts))


def _with_extras(record: StandardRecord, bound: Mapping[str, Any]) -> dict[str, Any] | None:
    """The bound values and the extras; None when an extra has to be converted, or a field is missing."""
    fields = record.__dict__
    if not _FIELDS < len(fields) <= _FIELDS + _MAX_EXTRAS or next(islice(fields, _FIELDS - 1, None)) != _LAST_FIELD:
        return None
    found = dict(bound)
    for key, value in islice(fields.items(), _FIELDS, None):
        kind = type(value)
        if kind is str:
            if len(value) > _MAX_EXTRA_LENGTH:
                return None
        elif kind not in _PLAIN or (kind is int and not -_INT64 <= value < _INT64):
            return None
        if type(key) is not str:
            return None
        if key not in NOT_EXTRA and not key.startswith(NOT_EXTRA_PREFIXES):
            found[key] = value
    return found


def _ids(trace_id: int, span_id: int, flags: int) -> bytes:
    return _LOG_IDS(0x45, flags & 0xFF, 0x104A, trace_id.to_bytes(16, "big"), 0x0852, span_id.to_bytes(8, "big"))


def _body_head(size: int) -> bytes:
    """What stands before a text of `size` bytes that is the body."""
    text = _STRING + varint(size)
    return _BODY + varint(len(text) + size) + text
