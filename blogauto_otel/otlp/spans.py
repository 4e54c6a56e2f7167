"""Encodes spans, each in one pass out of cached pieces: names, kinds, repeating attributes, templates.

Field numbers: https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from time import time_ns
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import DEFAULT_TRACE_STATE, SpanKind, Status, StatusCode

from blogauto_otel import semconv
from blogauto_otel._guard import swallow
from blogauto_otel.otlp.plain_values import Plain, TextLimits, ValueRedactor, shorten
from blogauto_otel.otlp.protobuf import FIXED64, LENGTH, SMALL, U64, VARINT, message, tag, varint
from blogauto_otel.otlp.values import (
    AttributeEncoder,
    NameEncoder,
    append_count,
    copied,
    nanoseconds,
    utf8,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Link, SpanContext, TraceState

UNSET: Final = Status()

# SpanFlags: whether it is known if the parent is remote, and whether it is.
_HAS_IS_REMOTE: Final = 0x100
IS_REMOTE: Final = 0x200

# trace_id, span_id, start, end, flags with their tags: the fixed part of a span in one call.
_SPAN_HEAD: Final = struct.Struct("<H16sH8sBQBQHI").pack
_LINK_HEAD: Final = struct.Struct("<H16sH8sBI").pack
_TRACE_ID: Final = 0x100A
_SPAN_ID: Final = 0x0812

_TRACE_STATE: Final = tag(3, LENGTH)
_PARENT_ID: Final = b"\x22\x08"
_NAME: Final = tag(5, LENGTH)
_KINDS: Final = tuple(b"\x30" + bytes((number,)) for number in range(1, 6))  # SpanKind.INTERNAL.value is 0, OTLP's is 1
_ATTRIBUTE: Final = 9
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

_ITEM: Final = b"\x12"  # an item of ScopeSpans
_SMALL: Final = len(SMALL)
_ITEM_HEADS: Final = tuple(_ITEM + size for size in SMALL)


class SpanEvent:
    """An event of a span; it has the properties of the SDK's `Event`."""

    __slots__ = ("attributes", "dropped_attributes", "name", "timestamp")

    def __init__(
        self,
        name: str,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        dropped_attributes: int = 0,
    ) -> None:
        self.name = name
        self.attributes = attributes
        self.timestamp = time_ns() if timestamp is None else timestamp
        self.dropped_attributes = dropped_attributes


class SpanTemplate:
    """What many spans have in common; redacted, limited and encoded once, by the first span that is encoded.

    Args:
        name: the name of the spans.
        kind: their kind.
        attributes: their common attributes, as plain values (`str`, `bool`, `int`, `float`); never change the map.
        base: the template that they are started with, whose attributes this one has too.
    """

    __slots__ = ("attributes", "base", "encoded", "encoder", "is_cut", "kind", "name", "named")

    def __init__(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        *,
        base: SpanTemplate | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.base = base
        self.attributes: Mapping[str, Any] = {} if attributes is None else attributes
        if base is not None:
            self.attributes = {**base.attributes, **self.attributes}
        self.encoder: SpanEncoder | None = None  # that made the following
        self.named = b""
        self.encoded = b""
        self.is_cut = False


class SpanData:
    """What is encoded of a span. Of its attributes, those of the template may be overridden."""

    __slots__ = (
        "__dict__", "_attributes", "end_time", "has_rare", "kind", "name", "parent", "span_id", "start_time",
        "template", "trace_flags", "trace_id", "trace_state",
    )  # fmt: skip

    # What most spans do not have is no slot, and costs nothing until it is set: `has_rare` is then True, because asking
    # for each of them takes as long as encoding an attribute.
    status: Status = UNSET
    dropped_attributes = 0
    dropped_events = 0
    dropped_links = 0
    _events: Sequence[Any] = ()
    _links: Sequence[Link] = ()

    def __init__(
        self,
        trace_id: int,
        span_id: int,
        trace_flags: int,
        trace_state: TraceState | None,
        parent: SpanContext | None,
        name: str,
        kind: SpanKind,
        start_time: int | None,
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.trace_flags = trace_flags
        self.trace_state = trace_state  # None: empty
        self.parent = parent
        self.name = name
        self.kind = kind
        self.start_time = start_time
        self.end_time: int | None = None
        self.template: SpanTemplate | None = None
        self._attributes: dict[str, Any] = {}
        self.has_rare = False

    @property
    def encoded_scope(self) -> bytes:
        """Its instrumentation scope, as `encoder.encode_scope` has it; empty where that is not known."""
        return b""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Those of the template and its own, read-only."""
        template = self.template
        if template is None or not template.attributes:
            return MappingProxyType(self._attributes)
        return MappingProxyType({**template.attributes, **self._attributes})

    @property
    def events(self) -> tuple[Any, ...]:
        """Its events (a copy)."""
        return tuple(self._events)

    @property
    def links(self) -> tuple[Link, ...]:
        """Its links (a copy)."""
        return tuple(self._links)


def span_data(span: ReadableSpan) -> SpanData:
    """What is encoded of a span of the SDK.

    Raises:
        ValueError: it has no span context.
    """
    context = span.context
    if context is None:
        raise ValueError("a span without a context")
    data = SpanData(
        context.trace_id, context.span_id, context.trace_flags, context.trace_state or None,
        span.parent, span.name, span.kind, span.start_time,
    )  # fmt: skip
    data.end_time = span.end_time
    data.status = span.status
    data._attributes = dict(copied(span.attributes) or {})
    data._events, data._links = span.events, span.links
    data.dropped_attributes = getattr(span, "dropped_attributes", 0)
    data.dropped_events = getattr(span, "dropped_events", 0)
    data.dropped_links = getattr(span, "dropped_links", 0)
    data.has_rare = True
    return data


class SpanEncoder:
    """Encodes spans with one redactor and one set of limits."""

    def __init__(self, redactor: ValueRedactor, limits: TextLimits) -> None:
        self._redactor = redactor
        self._limits = limits
        self._name = NameEncoder(_NAME, redactor)
        self._event_name = NameEncoder(_EVENT_NAME, redactor)
        self._attributes = AttributeEncoder(_ATTRIBUTE, redactor, limits)
        self._event_attributes = AttributeEncoder(3, redactor, limits)
        self._link_attributes = AttributeEncoder(4, redactor, limits)
        self._cut = self._attributes.flag(semconv.TRUNCATED)

    def encode(self, span: SpanData) -> bytes:
        """A span, as a field of ScopeSpans."""
        flags = span.trace_flags & 0xFF | _HAS_IS_REMOTE
        parent = span.parent
        if parent is not None and parent.is_remote:
            flags |= IS_REMOTE
        trace_id, span_id = span.trace_id.to_bytes(16, "big"), span.span_id.to_bytes(8, "big")
        start: Any = span.start_time
        end: Any = span.end_time
        try:
            head = _SPAN_HEAD(_TRACE_ID, trace_id, _SPAN_ID, span_id, 0x39, start, 0x41, end, 0x0185, flags)
        except struct.error:
            start = nanoseconds(start)
            end = nanoseconds(end) or start
            head = _SPAN_HEAD(_TRACE_ID, trace_id, _SPAN_ID, span_id, 0x39, start, 0x41, end, 0x0185, flags)
        template = span.template
        if template is None:
            parts, cut = [head, self._name(span.name), _kind(span.kind)], False
        else:
            if template.encoder is not self:
                self._encode_template(template)
            is_named = span.name is template.name
            named = template.named if is_named else self._name(span.name) + _kind(span.kind)
            parts, cut = [head, named, template.encoded], template.is_cut
        if parent is not None:
            parts.append(_PARENT_ID + parent.span_id.to_bytes(8, "big"))
        attributes = span._attributes
        if attributes:
            count = len(parts)
            try:
                cut |= self._attributes.append(parts, attributes)
            except RuntimeError:  # another thread has set one meanwhile
                del parts[count:]
                cut |= self._attributes.append(parts, dict(attributes))
        if span.has_rare or span.trace_state is not None:
            cut |= self._append_rare(parts, span)
        if cut:
            parts.append(self._cut)
        content = b"".join(parts)
        size = len(content)
        return (_ITEM_HEADS[size] if size < _SMALL else _ITEM + varint(size)) + content

    def encode_finished(
        self,
        template: SpanTemplate,
        trace_id: int,
        parent_id: int,
        span_id: int,
        flags: int,
        start: int,
        end: int,
        attributes: Mapping[str, Any] | None,
    ) -> bytes:
        """A span without events, links, status and trace state, as a field of ScopeSpans: no object is made of it.

        Args:
            template: its name, its kind and most of its attributes.
            trace_id: its trace.
            parent_id: the id of its parent.
            span_id: its id.
            flags: its trace flags, and `IS_REMOTE` where its parent is of another process.
            start: nanoseconds.
            end: nanoseconds.
            attributes: further ones; none of them is among those of the template.
        """
        if template.encoder is not self:
            self._encode_template(template)
        parts = [
            _SPAN_HEAD(
                _TRACE_ID, trace_id.to_bytes(16, "big"), _SPAN_ID, span_id.to_bytes(8, "big"), 0x39, start, 0x41, end,
                0x0185, flags | _HAS_IS_REMOTE,
            ),
            _PARENT_ID,
            parent_id.to_bytes(8, "big"),
            template.named,
            template.encoded,
        ]  # fmt: skip
        cut = template.is_cut
        if attributes:
            cut |= self._attributes.append(parts, attributes)
        if cut:
            parts.append(self._cut)
        content = b"".join(parts)
        size = len(content)
        return (_ITEM_HEADS[size] if size < _SMALL else _ITEM + varint(size)) + content

    def _encode_template(self, template: SpanTemplate) -> None:
        parts: list[bytes] = []
        template.is_cut = self._attributes.append(parts, template.attributes)
        template.encoded = b"".join(parts)
        template.named = self._name(template.name) + _kind(template.kind)
        template.encoder = self  # last, because another thread may be asking

    def _append_rare(self, parts: list[bytes], span: SpanData) -> bool:
        """What most spans do not have; True when something was cut."""
        state = span.trace_state
        if state is not None and state is not DEFAULT_TRACE_STATE and state:
            parts.append(self._trace_state(state))
        append_count(parts, _DROPPED_ATTRIBUTES, span.dropped_attributes)
        append_count(parts, _DROPPED_EVENTS, span.dropped_events)
        append_count(parts, _DROPPED_LINKS, span.dropped_links)
        cut = self._each(parts, "events", self._event, tuple(span._events))
        cut |= self._each(parts, "links", self._link, tuple(span._links))
        return self._status(parts, span.status) or cut

    def _trace_state(self, state: TraceState) -> bytes:
        return message(_TRACE_STATE, utf8(self._redactor.text(state.to_header())))

    def _each(
        self, parts: list[bytes], field: str, encode: Callable[[list[bytes], Any], bool], items: Sequence[object]
    ) -> bool:
        """Events or links; a broken one is skipped, and the span is kept."""
        cut = False
        for item in items:
            try:
                cut |= encode(parts, item)
            except BaseException as error:
                if not swallow(f"encoding one of the {field} of a span", error):
                    raise
        return cut

    def _event(self, parts: list[bytes], event: Any) -> bool:
        inner = [_EVENT_HEAD + U64(nanoseconds(event.timestamp)), self._event_name(event.name)]
        cut = self._event_attributes.append(inner, copied(event.attributes))
        append_count(inner, _EVENT_DROPPED, event.dropped_attributes)
        parts.append(message(_EVENT, b"".join(inner)))
        return cut

    def _link(self, parts: list[bytes], link: Link) -> bool:
        context = link.context
        trace_id, span_id = context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")
        flags = context.trace_flags & 0xFF | _HAS_IS_REMOTE
        if context.is_remote:
            flags |= IS_REMOTE
        inner = [_LINK_HEAD(_TRACE_ID, trace_id, _SPAN_ID, span_id, 0x35, flags)]
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
            plain = Plain(self._redactor, self._limits.text)
            text = self._redactor.text(str(plain.convert(description)))
            inner += message(_STATUS_MESSAGE, utf8(shorten(text, self._limits.text)))
            cut = plain.cut
        parts.append(message(_STATUS, inner))
        return cut


def _kind(kind: SpanKind) -> bytes:
    try:
        return _KINDS[kind._value_]  # of an Enum, `value` is a Python function
    except (AttributeError, IndexError, TypeError):
        return _KINDS[0]
