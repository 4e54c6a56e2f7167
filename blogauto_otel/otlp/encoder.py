"""Encodes spans, log records and metrics as OTLP bytes, without protobuf (docs/decisions/0002).

Field numbers: https://github.com/open-telemetry/opentelemetry-proto, v1. An item is encoded as a field of its scope's
message (`spans`, `log_records` and `metrics` share one number), so a request is a concatenation of bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import StatusCode

from blogauto_otel import semconv
from blogauto_otel._guard import swallow
from blogauto_otel.otlp.data_points import PointEncoder
from blogauto_otel.otlp.log_records import LogRecordEncoder
from blogauto_otel.otlp.protobuf import FIXED64, LENGTH, U64, VARINT, message, tag, varint
from blogauto_otel.otlp.values import (
    ITEM,
    MAX_NAME,
    NO_REDACTION,
    AttributeEncoder,
    NameEncoder,
    TextLimits,
    ValueRedactor,
    append_count,
    copied,
    key_text,
    nanoseconds,
    utf8,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, Status, TraceState

# ScopeSpans, ScopeLogs and ScopeMetrics: scope = 1, the items = 2, schema_url = 3. The Resource* messages likewise.
_HEAD: Final = tag(1, LENGTH)
_SCHEMA_URL: Final = tag(3, LENGTH)

# SpanFlags: whether it is known if the parent is remote, and whether it is.
_HAS_IS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200

# trace_id, span_id, start, end, flags with their tags: the fixed part of a span in one call.
_SPAN_HEAD: Final = struct.Struct("<H16sH8sBQBQHI").pack
_LINK_HEAD: Final = struct.Struct("<H16sH8sBI").pack
_TRACE_ID: Final = 0x100A
_SPAN_ID: Final = 0x0812

_TRACE_STATE: Final = tag(3, LENGTH)
_PARENT_ID: Final = b"\x22\x08"
_NAME: Final = tag(5, LENGTH)
_KINDS: Final = tuple(b"\x30" + bytes((number,)) for number in range(1, 6))  # SpanKind.INTERNAL.value is 0, OTLP's is 1
_DROPPED_ATTRIBUTES: Final = tag(10, VARINT)
_EVENT: Final = tag(11, LENGTH)
_DROPPED_EVENTS: Final = tag(12, VARINT)
_LINK: Final = tag(13, LENGTH)
_DROPPED_LINKS: Final = tag(14, VARINT)
_STATUS: Final = tag(15, LENGTH)

_EVENT_HEAD: Final = tag(1, FIXED64)
_EVENT_NAME: Final = tag(2, LENGTH)
_EVENT_DROPPED: Final = tag(4, VARINT)
_LINK_DROPPED: Final = tag(5, VARINT)
_STATUS_MESSAGE: Final = tag(2, LENGTH)
_STATUS_CODE: Final = tag(3, VARINT)


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


class Encoder(LogRecordEncoder):
    """Encodes with one redactor and one set of limits; its cache of frequent values is bounded and shared."""

    def __init__(
        self,
        redactor: ValueRedactor,
        limits: TextLimits | None = None,
        *,
        part_of_span: Callable[[Any, str], Any] = getattr,
    ) -> None:
        limits = limits or TextLimits()
        super().__init__(redactor, limits)
        self._part_of_span = part_of_span  # `attributes`, `events` or `links`, without the copies of the properties
        self._span_name = NameEncoder(_NAME, redactor)
        self._event_name = NameEncoder(_EVENT_NAME, redactor)
        self._span_attributes = AttributeEncoder(9, redactor, limits)
        self._event_attributes = AttributeEncoder(3, redactor, limits)
        self._link_attributes = AttributeEncoder(4, redactor, limits)
        self._span_cut = self._span_attributes.flag(semconv.TRUNCATED)
        self._points = PointEncoder(redactor, limits)

    # -- spans

    def span(self, span: ReadableSpan) -> bytes:
        """A span, as a field of ScopeSpans.

        Raises:
            ValueError: it has no span context.
        """
        context, parent = span.context, span.parent
        if context is None:
            raise ValueError("a span without a context")
        parts = [_span_head(span, context, parent), self._span_name(span.name), _kind(span)]
        if parent is not None:
            parts.append(_PARENT_ID + parent.span_id.to_bytes(8, "big"))
        if context.trace_state:
            parts.append(self._trace_state(context.trace_state))
        cut = self._attributes(parts, span)
        cut |= self._all(parts, span, "events", self._event, _DROPPED_EVENTS)
        cut |= self._all(parts, span, "links", self._link, _DROPPED_LINKS)
        cut |= self._status(parts, span.status)
        if cut:
            parts.append(self._span_cut)
        return message(ITEM, b"".join(parts))

    def _trace_state(self, state: TraceState) -> bytes:
        return message(_TRACE_STATE, utf8(self._redactor.text(state.to_header())))

    def _attributes(self, parts: list[bytes], span: ReadableSpan) -> bool:
        attributes = self._part_of_span(span, "attributes")
        append_count(parts, _DROPPED_ATTRIBUTES, _dropped(span, "attributes", attributes))
        return self._span_attributes.append(parts, copied(attributes))

    def _all(
        self,
        parts: list[bytes],
        span: ReadableSpan,
        field: str,
        encode: Callable[[list[bytes], Any], bool],
        tag_: bytes,
    ) -> bool:
        """Events or links; a broken one is skipped, and the span is kept."""
        items = self._part_of_span(span, field)
        append_count(parts, tag_, _dropped(span, field, items))
        if not items:
            return False
        return sum([self._each(parts, field, encode, item) for item in items]) > 0

    def _each(self, parts: list[bytes], field: str, encode: Callable[[list[bytes], Any], bool], item: object) -> bool:
        try:
            return encode(parts, item)
        except BaseException as error:
            if not swallow(f"encoding one of the {field} of a span", error):
                raise
            return False

    def _event(self, parts: list[bytes], event: Event) -> bool:
        inner = [_EVENT_HEAD + U64(nanoseconds(event.timestamp)), self._event_name(event.name)]
        cut = self._event_attributes.append(inner, copied(event.attributes))
        append_count(inner, _EVENT_DROPPED, event.dropped_attributes)
        parts.append(message(_EVENT, b"".join(inner)))
        return cut

    def _link(self, parts: list[bytes], link: Link) -> bool:
        context = link.context
        trace_id, span_id = context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")
        inner = [_LINK_HEAD(_TRACE_ID, trace_id, _SPAN_ID, span_id, 0x35, _flags(context, context))]
        if context.trace_state:
            inner.append(self._trace_state(context.trace_state))
        cut = self._link_attributes.append(inner, copied(link.attributes))
        append_count(inner, _LINK_DROPPED, link.dropped_attributes)
        parts.append(message(_LINK, b"".join(inner)))
        return cut

    def _status(self, parts: list[bytes], status: Status) -> bool:
        code, description = status.status_code, status.description
        if code is StatusCode.UNSET and not description:
            return False
        inner = _STATUS_CODE + varint(code.value)
        cut = False
        if description:
            text, cut = self._text(description)
            inner += message(_STATUS_MESSAGE, text)
        parts.append(message(_STATUS, inner))
        return cut

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


def _dropped(span: ReadableSpan, field: str, items: object) -> int:
    """How many the limits dropped: the SDK's collections know it, and the copies that its properties return do not."""
    dropped = getattr(items, "dropped", None)
    return int(getattr(span, f"dropped_{field}", 0) if dropped is None else dropped)


def _span_head(span: ReadableSpan, context: SpanContext, parent: SpanContext | None) -> bytes:
    trace_id, span_id = context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")
    start, end, flags = span.start_time, span.end_time, _flags(context, parent)
    try:
        return _SPAN_HEAD(_TRACE_ID, trace_id, _SPAN_ID, span_id, 0x39, start, 0x41, end, 0x0185, flags)
    except struct.error:
        start = nanoseconds(start)
        end = nanoseconds(end) or start
        return _SPAN_HEAD(_TRACE_ID, trace_id, _SPAN_ID, span_id, 0x39, start, 0x41, end, 0x0185, flags)


def _flags(context: SpanContext, other: SpanContext | None) -> int:
    """The context's own trace flags, and whether `other` (the parent, or the target of a link) is remote."""
    flags = context.trace_flags & 0xFF | _HAS_IS_REMOTE
    return flags | _IS_REMOTE if other is not None and other.is_remote else flags


def _kind(span: ReadableSpan) -> bytes:
    try:
        return _KINDS[span.kind._value_]  # of an Enum, `value` is a Python function
    except (AttributeError, IndexError, TypeError):
        return _KINDS[0]
