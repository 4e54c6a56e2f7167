"""Encodes spans, log records and metrics as OTLP bytes, without protobuf (docs/decisions/0002).

Field numbers: https://github.com/open-telemetry/opentelemetry-proto, v1. An item is encoded as a field of its scope's
message (`spans`, `log_records` and `metrics` share one number), so a request is a concatenation of bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from blogauto_otel import semconv
from blogauto_otel._guard import swallow
from blogauto_otel._memo import BoundedMemo
from blogauto_otel.otlp.data_points import PointEncoder
from blogauto_otel.otlp.protobuf import LENGTH, VARINT, message, tag, varint
from blogauto_otel.otlp.spans import SpanEncoder, span_data
from blogauto_otel.otlp.values import (
    ITEM,
    MAX_NAME,
    NO_REDACTION,
    AttributeEncoder,
    Plain,
    TextLimits,
    ValueRedactor,
    any_value,
    append_count,
    copied,
    key_text,
    nanoseconds,
    shorten,
    utf8,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from blogauto_otel._otel import LogRecord

# ScopeSpans, ScopeLogs and ScopeMetrics: scope = 1, the items = 2, schema_url = 3. The Resource* messages likewise.
_HEAD: Final = tag(1, LENGTH)
_SCHEMA_URL: Final = tag(3, LENGTH)

_CACHED_SEVERITIES: Final = 2048

_LOG_HEAD: Final = struct.Struct("<BQBQ").pack  # time, observed time
_LOG_IDS: Final = struct.Struct("<BIH16sH8s").pack  # flags, trace_id, span_id
_SEVERITY_NUMBER: Final = tag(2, VARINT)
_SEVERITY_TEXT: Final = tag(3, LENGTH)
_BODY: Final = tag(5, LENGTH)
_LOG_DROPPED: Final = tag(7, VARINT)
_LOG_EVENT_NAME: Final = tag(12, LENGTH)


def encode_scope(scope: InstrumentationScope | None) -> bytes:
    """The scope and schema URL of a ScopeSpans, ScopeLogs or ScopeMetrics, without its items."""
    if scope is None:
        return message(_HEAD, b"")
    parts = [message(_HEAD, utf8(key_text(scope.name or "")[:MAX_NAME]))]
    if scope.version:
        parts.append(message(ITEM, utf8(key_text(scope.version)[:MAX_NAME])))
    AttributeEncoder(3, NO_REDACTION, TextLimits()).append(parts, scope.attributes)
    return message(_HEAD, b"".join(parts)) + _schema_url(scope.schema_url)


def encode_resource(resource: Resource, redactor: ValueRedactor) -> bytes:
    """The resource and schema URL of a ResourceSpans, ResourceLogs or ResourceMetrics, without its scopes."""
    parts: list[bytes] = []
    AttributeEncoder(1, redactor, TextLimits()).append(parts, resource.attributes)
    return message(_HEAD, b"".join(parts)) + _schema_url(resource.schema_url)


def _schema_url(url: str | None) -> bytes:
    return message(_SCHEMA_URL, utf8(url)) if url else b""


class Encoder:
    """Encodes with one redactor and one set of limits; its cache of frequent values is bounded and shared."""

    def __init__(self, redactor: ValueRedactor, limits: TextLimits | None = None) -> None:
        limits = limits or TextLimits()
        self._redactor = redactor
        self._limits = limits
        self.spans = SpanEncoder(redactor, limits)
        self._log_attributes = AttributeEncoder(6, redactor, limits)
        self._log_cut = self._log_attributes.flag(semconv.TRUNCATED)
        self._severities: BoundedMemo[tuple[int, str | None], bytes] = BoundedMemo(_CACHED_SEVERITIES)
        self._points = PointEncoder(redactor, limits)

    def span(self, span: ReadableSpan) -> bytes:
        """A span of the SDK, as a field of ScopeSpans; `spans` encodes those of our own tracer.

        Raises:
            ValueError: it has no span context.
        """
        return self.spans.encode(span_data(span))

    def _text(self, value: object) -> tuple[bytes, bool]:
        limit = self._limits.text
        plain = Plain(self._redactor, limit)
        text = self._redactor.text(str(plain.convert(value)))
        return utf8(shorten(text, limit)), plain.cut

    # -- log records

    def log_record(self, record: LogRecord, *, dropped_attributes: int = 0) -> bytes:
        """A log record, as a field of ScopeLogs."""
        parts = [
            _LOG_HEAD(0x09, nanoseconds(record.timestamp), 0x59, nanoseconds(record.observed_timestamp)),
            self._severity(record),
        ]
        if record.trace_id and record.span_id:
            trace_id, span_id = record.trace_id.to_bytes(16, "big"), record.span_id.to_bytes(8, "big")
            flags = int(record.trace_flags or 0) & 0xFF
            parts.append(_LOG_IDS(0x45, flags, 0x104A, trace_id, 0x0852, span_id))
        cut = self._body(parts, record.body)
        cut |= self._log_attributes.append(parts, copied(record.attributes))
        if record.event_name is not None:
            parts.append(message(_LOG_EVENT_NAME, self._text(record.event_name)[0]))
        append_count(parts, _LOG_DROPPED, dropped_attributes)
        if cut:
            parts.append(self._log_cut)
        return message(ITEM, b"".join(parts))

    def _severity(self, record: LogRecord) -> bytes:
        number: Any = getattr(record.severity_number, "value", 0)
        text = record.severity_text
        if type(number) is not int or (text is not None and type(text) is not str):
            return self._encoded_severity(0, text)
        cached = self._severities.get((number, text))
        if cached is None:
            cached = self._severities.remember((number, text), self._encoded_severity(number, text))
        return cached

    def _encoded_severity(self, number: int, text: object) -> bytes:
        encoded = _SEVERITY_NUMBER + varint(number) if number else b""
        return encoded + message(_SEVERITY_TEXT, self._text(text)[0]) if text is not None else encoded

    def _body(self, parts: list[bytes], body: object) -> bool:
        if body is None:
            return False
        if type(body) is str and len(body) <= self._limits.text:  # nearly every record
            parts.append(message(_BODY, any_value(self._redactor.text(body), self._limits.text)))
            return False
        plain = Plain(self._redactor, self._limits.text)
        original = plain.convert(body)
        redacted = self._redactor.text(original) if isinstance(original, str) else self._redactor.value("", original)
        parts.append(message(_BODY, any_value(redacted, self._limits.text)))
        return plain.cut

    # -- metrics

    def metrics(self, data: MetricsData | None) -> list[tuple[bytes, bytes]]:
        """Each metric with its scope, as fields of ScopeMetrics; a metric that cannot be encoded is skipped."""
        encoded: list[tuple[bytes, bytes]] = []
        for resource_metrics in data.resource_metrics if data is not None else ():
            for scope_metrics in resource_metrics.scope_metrics:
                scope = encode_scope(scope_metrics.scope)
                for metric in scope_metrics.metrics:
                    try:
                        encoded.extend((scope, item) for item in self._points.metric(metric))
                    except BaseException as error:
                        if not swallow("encoding a metric", error):
                            raise
        return encoded
