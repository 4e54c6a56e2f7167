"""Responses of the programs as values: spans and log records of OTLP JSON, Prometheus samples and exemplars."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sample:
    """One series of a Prometheus response: labels (`__name__` included) and value at `time` (Unix seconds)."""

    labels: Mapping[str, str]
    value: float
    time: float


@dataclass(frozen=True)
class Exemplar:
    """One exemplar of a series."""

    series: Mapping[str, str]
    labels: Mapping[str, str]
    value: float

    @property
    def trace_id(self) -> str:
        """The trace id, or "" without one."""
        return self.labels.get("trace_id", "")


@dataclass(frozen=True)
class Event:
    """One event of a span."""

    name: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Span:
    """A span as OTLP has it; ids in hex, times in Unix nanoseconds."""

    name: str
    trace_id: str
    span_id: str
    parent_span_id: str
    kind: str
    start: int
    end: int
    status: str
    status_message: str
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    scope: str
    events: tuple[Event, ...] = field(default=())


@dataclass(frozen=True)
class LogRecord:
    """A log record as OTLP has it; ids in hex, "" without a span."""

    body: Any
    severity_text: str
    severity_number: int
    trace_id: str
    span_id: str
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    scope: str


SPAN_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES = ("unset", "ok", "error")


def _value(value: Mapping[str, Any]) -> Any:
    for kind, content in value.items():
        return VALUES[kind](content) if kind in VALUES else content
    return None


def _attributes(pairs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {pair["key"]: _value(pair.get("value", {})) for pair in pairs}


VALUES: Mapping[str, Callable[[Any], Any]] = {
    "intValue": int,  # text in JSON
    "arrayValue": lambda content: [_value(item) for item in content.get("values", [])],
    "kvlistValue": lambda content: _attributes(content.get("values", [])),
}


def _walk(
    document: Mapping[str, Any], signal_name: str, items: str
) -> Iterator[tuple[dict[str, Any], str, Mapping[str, Any]]]:
    for resource in document.get(f"resource{signal_name}", []):
        of_resource = _attributes(resource.get("resource", {}).get("attributes", []))
        for scope in resource.get(f"scope{signal_name}", []):
            name = scope.get("scope", {}).get("name", "")
            # A store that removed repeats can leave a scope without the key.
            for item in scope.get(items, []):
                yield of_resource, name, item


def spans_of(document: Mapping[str, Any]) -> list[Span]:
    """The spans of an OTLP JSON document."""
    return [_span(*found) for found in _walk(document, "Spans", "spans")]


def _span(resource: Mapping[str, Any], scope: str, item: Mapping[str, Any]) -> Span:
    status = item.get("status", {})
    return Span(
        name=item.get("name", ""),
        trace_id=item["traceId"],
        span_id=item["spanId"],
        parent_span_id=item.get("parentSpanId", ""),
        kind=SPAN_KINDS[int(item.get("kind", 0))],
        start=int(item.get("startTimeUnixNano", 0)),
        end=int(item.get("endTimeUnixNano", 0)),
        status=STATUSES[int(status.get("code", 0))],
        status_message=status.get("message", ""),
        attributes=_attributes(item.get("attributes", [])),
        resource=resource,
        scope=scope,
        events=tuple(
            Event(event.get("name", ""), _attributes(event.get("attributes", []))) for event in item.get("events", [])
        ),
    )


def logs_of(document: Mapping[str, Any]) -> list[LogRecord]:
    """The log records of an OTLP JSON document."""
    return [_log_record(*found) for found in _walk(document, "Logs", "logRecords")]


def _log_record(resource: Mapping[str, Any], scope: str, item: Mapping[str, Any]) -> LogRecord:
    return LogRecord(
        body=_value(item.get("body", {})),
        severity_text=item.get("severityText", ""),
        severity_number=int(item.get("severityNumber", 0)),
        trace_id=item.get("traceId", ""),
        span_id=item.get("spanId", ""),
        attributes=_attributes(item.get("attributes", [])),
        resource=resource,
        scope=scope,
    )


_EXPOSED = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)")
_LABEL = re.compile(r'([\w.]+)="((?:[^"\\]|\\.)*)"')


def read_exposition(text: str) -> list[Sample]:
    """Samples of a Prometheus text page, without times."""
    matches = (_EXPOSED.match(line) for line in text.splitlines() if not line.startswith("#"))
    return [
        Sample({"__name__": match[1], **dict(_LABEL.findall(match[2] or ""))}, float(match[3]), 0.0)
        for match in matches
        if match
    ]


def total(samples: Iterable[Sample], name: str, **labels: str) -> float:
    """The sum over the samples of that name and those labels; 0 without any."""
    wanted = {"__name__": name, **labels}.items()
    return sum(sample.value for sample in samples if wanted <= sample.labels.items())
