"""Received telemetry as plain data: requests, spans, log records, data points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Attributes = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """One export request; `payload` is the decompressed body, `answered` the status of the response."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    payload: bytes
    time: float
    answered: int


@dataclass(frozen=True)
class Event:
    """An event on a span."""

    name: str
    time: int
    attributes: Attributes


@dataclass(frozen=True)
class Link:
    """A link of a span; ids are hexadecimal."""

    trace_id: str
    span_id: str
    trace_state: str
    attributes: Attributes
    flags: int


@dataclass(frozen=True)
class Span:
    """A span; ids are hexadecimal and empty when absent, times in nanoseconds."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    trace_state: str
    kind: str
    start: int
    end: int
    attributes: Attributes
    events: tuple[Event, ...]
    links: tuple[Link, ...]
    status: str
    status_message: str
    flags: int
    dropped_attributes: int
    dropped_events: int
    dropped_links: int
    scope: str
    scope_version: str
    resource: Attributes

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return (self.end - self.start) / 1e9


@dataclass(frozen=True)
class LogRecord:
    """A log record; ids are hexadecimal and empty when absent, times in nanoseconds."""

    body: Any
    severity: str
    severity_number: int
    time: int
    observed_time: int
    event_name: str
    trace_id: str
    span_id: str
    flags: int
    attributes: Attributes
    dropped_attributes: int
    scope: str
    resource: Attributes


@dataclass(frozen=True)
class Exemplar:
    """A measurement with the trace it was made in."""

    value: float
    trace_id: str
    span_id: str
    time: int
    attributes: Attributes


@dataclass(frozen=True)
class Point:
    """One data point: `value` of a sum or gauge, or `count`, `sum`, `bounds` and `buckets` of a histogram."""

    name: str
    kind: str
    unit: str
    description: str
    attributes: Attributes
    value: float | None
    count: int | None
    sum: float | None
    bounds: tuple[float, ...]
    buckets: tuple[int, ...]
    exemplars: tuple[Exemplar, ...]
    start: int
    time: int
    monotonic: bool
    temporality: str
    scope: str
    resource: Attributes

    @property
    def instance(self) -> str:
        """The `service.instance.id` of the process that reported it."""
        return str(self.resource.get("service.instance.id", ""))
