"""Items as the receiver sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags

from blogauto_otel.otlp.protobuf import message
from blogauto_otel.otlp.values import ITEM
from testkit.receiver import LogRecord, Point, Span, decode_logs, decode_points, decode_spans

NO_RESOURCE = Resource({})
CONTEXT = SpanContext(0xABC, 0xDEF, False, TraceFlags(1))


def request(*items: bytes, scope: bytes = b"") -> bytes:
    """An export request with these items and an empty resource."""
    return message(b"\x0a", message(ITEM, scope + b"".join(items)))


def the_span(item: bytes) -> Span:
    [span] = decode_spans(request(item))
    return span


def the_record(item: bytes) -> LogRecord:
    [record] = decode_logs(request(item))
    return record


def the_points(pairs: Sequence[tuple[bytes, bytes]]) -> list[Point]:
    return [point for scope, item in pairs for point in decode_points(request(item, scope=scope))]


def finished(name: Any = "name", **fields: Any) -> ReadableSpan:
    """A finished span of any values; without a resource, because detecting one starts threads."""
    return ReadableSpan(name, **{"context": CONTEXT, "start_time": 1, "end_time": 2, "resource": NO_RESOURCE, **fields})
