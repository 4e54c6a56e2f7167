"""The SQL statements among captured spans, and which of them repeat within one request or operation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import SpanKind

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_UNITS: Final = (SpanKind.SERVER, SpanKind.CONSUMER)


@dataclass(frozen=True)
class Query:
    """One SQL statement that was executed."""

    statement: str
    """Its text, with placeholders in place of literals."""
    summary: str
    """Operation and tables, as `SELECT articles`."""
    seconds: float
    unit: str
    """The name of the request or operation that executed it; empty outside of one."""
    unit_id: int
    """The span id of the request or operation; 0 outside of one."""
    source: str
    """File and line of the application, where they are known."""


def queries_of(spans: Iterable[ReadableSpan]) -> tuple[Query, ...]:
    """The statements among the spans, in the order in which they ended."""
    spans = tuple(spans)
    by_id = {span.context.span_id: span for span in spans if span.context is not None}
    return tuple(_query(span, by_id) for span in spans if _is_statement(span))


def repeated(queries: Iterable[Query], *, limit: int) -> Mapping[tuple[str, str], int]:
    """How often each statement was executed within one request or operation, where that is more than `limit`."""
    counts: dict[tuple[int, str], list[Query]] = defaultdict(list)
    for query in queries:
        counts[query.unit_id, query.statement].append(query)
    return {(found[0].unit, statement): len(found) for (_, statement), found in counts.items() if len(found) > limit}


def _is_statement(span: ReadableSpan) -> bool:
    attributes = span.attributes or {}
    return span.kind is SpanKind.CLIENT and "db.query.text" in attributes


def _query(span: ReadableSpan, by_id: Mapping[int, ReadableSpan]) -> Query:
    attributes: Mapping[str, Any] = span.attributes or {}
    unit = _unit(span, by_id)
    path, line = attributes.get("code.file.path"), attributes.get("code.line.number")
    return Query(
        statement=str(attributes["db.query.text"]),
        summary=str(attributes.get("db.query.summary", span.name)),
        seconds=((span.end_time or 0) - (span.start_time or 0)) / 1e9,
        unit="" if unit is None else unit.name,
        unit_id=0 if unit is None or unit.context is None else unit.context.span_id,
        source=f"{path}:{line}" if path else "",
    )


def _unit(span: ReadableSpan, by_id: Mapping[int, ReadableSpan]) -> ReadableSpan | None:
    """The request around a span; outside of one, the outermost captured span around it."""
    outermost = None
    while span.parent is not None and span.parent.span_id in by_id:
        span = outermost = by_id[span.parent.span_id]
        if span.kind in _UNITS:
            return span
    return outermost
