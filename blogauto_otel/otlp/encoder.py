"""Encodes spans, log records and metrics as OTLP bytes, without protobuf (docs/decisions/0002).

Field numbers: https://github.com/open-telemetry/opentelemetry-proto, v1. An item is encoded as a field of its scope's
message (`spans`, `log_records` and `metrics` share one number), so a request is a concatenation of bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from blogauto_otel._guard import swallow
from blogauto_otel.otlp.data_points import PointEncoder
from blogauto_otel.otlp.log_records import LogRecordEncoder
from blogauto_otel.otlp.plain_values import NO_REDACTION, TextLimits, ValueRedactor, key_text
from blogauto_otel.otlp.protobuf import LENGTH, message, tag
from blogauto_otel.otlp.spans import SpanEncoder, span_data
from blogauto_otel.otlp.values import ITEM, MAX_NAME, AttributeEncoder, utf8

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from blogauto_otel._otel import LogRecord

# ScopeSpans, ScopeLogs and ScopeMetrics: scope = 1, the items = 2, schema_url = 3. The Resource* messages likewise.
_HEAD: Final = tag(1, LENGTH)
_SCHEMA_URL: Final = tag(3, LENGTH)


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
        self.spans = SpanEncoder(redactor, limits)
        self.logs = LogRecordEncoder(redactor, limits)
        self._points = PointEncoder(redactor, limits)

    def span(self, span: ReadableSpan) -> bytes:
        """A span of the SDK, as a field of ScopeSpans; `spans` encodes those of our own tracer.

        Raises:
            ValueError: it has no span context.
        """
        return self.spans.encode(span_data(span))

    def log_record(self, record: LogRecord, *, dropped_attributes: int = 0) -> bytes:
        """A log record of the API, as a field of ScopeLogs; `logs` encodes those of the standard library."""
        return self.logs.log_record(record, dropped_attributes=dropped_attributes)

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
