"""OTLP export requests: from the bytes of a request to rows, and the answer to it."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from blogauto_otel.errors import BadRequestError
from blogauto_otel.inspector import points, rows
from blogauto_otel.inspector.store import Store

MAX_REQUEST: Final = 64 * 2**20  # bytes of a request, uncompressed
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"

REQUESTS: Final[Mapping[str, type[Any]]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
RESPONSES: Final[Mapping[str, Callable[[], Message]]] = {
    "traces": ExportTraceServiceResponse,
    "metrics": ExportMetricsServiceResponse,
    "logs": ExportLogsServiceResponse,
}


def decode(signal: str, body: bytes, *, media_type: str, encoding: str) -> Message:
    """The message of a request.

    Args:
        signal: `traces`, `metrics` or `logs`.
        body: as received.
        media_type: `application/x-protobuf` or `application/json`.
        encoding: `Content-Encoding`: empty, `identity`, `gzip` or `deflate`.

    Raises:
        BadRequestError: the body cannot be read, or is larger than `MAX_REQUEST`.
    """
    plain = _uncompressed(body, encoding)
    try:
        message: Message = REQUESTS[signal]()
        if media_type == JSON:
            ParseDict(_with_base64_ids(json.loads(plain)), message, ignore_unknown_fields=True)
        else:
            message.ParseFromString(plain)
    except (DecodeError, ParseError, ValueError, TypeError, RecursionError) as error:
        raise BadRequestError(f"not an OTLP request for {signal}: {error}") from error
    return message


def answer(signal: str, media_type: str) -> bytes:
    """The body of a successful answer."""
    return b"{}" if media_type == JSON else RESPONSES[signal]().SerializeToString()


def store(target: Store, signal: str, message: Any) -> None:
    """Add what a request holds."""
    if signal == "traces":
        target.add_spans(rows.spans(message))
    elif signal == "logs":
        target.add_logs(rows.logs(message))
    else:
        target.add_points(points.points(message, service_of=rows.resource))


def items(signal: str, message: Any) -> int:
    """How many items a request holds, data points as metrics; 1 for what is no request."""
    groups, scopes, names = _PARTS[signal]
    found = getattr(message, groups, ())
    return sum(len(getattr(scoped, names)) for group in found for scoped in getattr(group, scopes)) or 1


_PARTS: Final = {
    "traces": ("resource_spans", "scope_spans", "spans"),
    "logs": ("resource_logs", "scope_logs", "log_records"),
    "metrics": ("resource_metrics", "scope_metrics", "metrics"),
}


def _uncompressed(body: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        plain = body
    elif encoding in ("gzip", "deflate"):
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # either header
        try:
            plain = unpacker.decompress(body, MAX_REQUEST + 1)
        except zlib.error as error:
            raise BadRequestError(f"the body is not {encoding}: {error}") from error
    else:
        raise BadRequestError(f"Content-Encoding {encoding!r}: expected gzip, deflate or identity")
    if len(plain) > MAX_REQUEST:
        raise BadRequestError(f"the request is larger than {MAX_REQUEST} bytes")
    return plain


_IDS: Final = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})


def _with_base64_ids(item: Any) -> Any:
    """OTLP's JSON has ids in hexadecimal, where protobuf's own JSON has base64."""
    if isinstance(item, dict):
        return dict(_members(item))
    return [_with_base64_ids(one) for one in item] if isinstance(item, list) else item


def _members(item: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in item.items():
        if name in _IDS and isinstance(value, str):
            yield name, base64.b64encode(bytes.fromhex(value)).decode()
        else:
            yield name, _with_base64_ids(value)
