"""Rows of the store in the shapes of the API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from blogauto_otel.inspector import values
from blogauto_otel.inspector.values import milliseconds

KINDS: Final = ("internal", "internal", "server", "client", "producer", "consumer")
STATUSES: Final = ("unset", "ok", "error")
SEVERITIES: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")

REQUEST_COLUMNS: Final = (
    "trace_id, span_id, service, kind, method, route, name, path, start, duration, status, is_error, error_type,"
    " statements, repeated, logs, spans, client_calls"
)


def request(row: Any) -> dict[str, Any]:
    """A row of `REQUEST_COLUMNS`."""
    names = [name.strip() for name in REQUEST_COLUMNS.split(",")]
    found = dict(zip(names, row, strict=True))
    found["trace_id"] = found["trace_id"].hex()
    found["span_id"] = found["span_id"].hex()
    found["start"] = milliseconds(found["start"])
    found["duration"] = milliseconds(found["duration"])
    found["error"] = bool(found.pop("is_error"))
    return found


def span(payload: bytes, *, service: str, resource: str, scope: str) -> dict[str, Any]:
    """A span with its events and links; `sql` is added by the query that knows the other statements."""
    message = Span.FromString(payload)
    events: list[dict[str, Any]] = [
        {
            "time": milliseconds(event.time_unix_nano),
            "name": event.name,
            "attributes": values.attributes(event.attributes),
        }
        for event in message.events
    ]
    return {
        "span_id": message.span_id.hex(),
        "parent_id": message.parent_span_id.hex() or None,
        "service": service,
        "scope": scope,
        "name": message.name,
        "kind": KINDS[message.kind] if message.kind < len(KINDS) else "internal",
        "start": milliseconds(message.start_time_unix_nano),
        "duration": milliseconds(max(0, message.end_time_unix_nano - message.start_time_unix_nano)),
        "status": STATUSES[message.status.code] if message.status.code < len(STATUSES) else "unset",
        "status_message": message.status.message,
        "attributes": values.attributes(message.attributes),
        "resource": json.loads(resource),
        "events": events,
        "links": [
            {
                "trace_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "attributes": values.attributes(link.attributes),
            }
            for link in message.links
        ],
        "sql": None,
        "exception": next((exception(event["attributes"]) for event in events if event["name"] == "exception"), None),
    }


def log(row: int, payload: bytes, *, service: str, scope: str) -> dict[str, Any]:
    """A log record, and the number of its row as id."""
    record = LogRecord.FromString(payload)
    found = values.attributes(record.attributes)
    return {
        "id": str(row),
        "time": milliseconds(record.time_unix_nano or record.observed_time_unix_nano),
        "severity": record.severity_text or severity(record.severity_number),
        "severity_number": record.severity_number,
        "body": values.text(values.value(record.body)),
        "service": service,
        "logger": scope,
        "trace_id": record.trace_id.hex() or None,
        "span_id": record.span_id.hex() or None,
        "attributes": found,
        "exception": exception(found),
    }


def severity(number: int) -> str:
    """The name of a SeverityNumber."""
    return SEVERITIES[min((number - 1) // 4, len(SEVERITIES) - 1)] if number > 0 else "UNSET"


def exception(found: Mapping[str, Any]) -> dict[str, str] | None:
    """The exception that attributes describe, by the conventions."""
    if "exception.type" not in found and "exception.message" not in found:
        return None
    return {name: values.text(found.get(f"exception.{name}") or "") for name in ("type", "message", "stacktrace")}
