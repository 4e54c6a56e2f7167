"""What both demos compute from telemetry: quantiles, and spans as lines of a tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from examples.terminal import Node


class Span(Protocol):
    """The common fields of the receiver's and Jaeger's spans."""

    @property
    def name(self) -> str: ...
    @property
    def span_id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def attributes(self) -> Mapping[str, Any]: ...


def node(span: Span, *, parent_id: str) -> Node:
    """A span as a line of a tree: operation and result."""
    failed = span.status.upper() == "ERROR"
    status = span.attributes.get("http.response.status_code", "")
    error = span.attributes.get("error.type", "") if failed else ""
    ending = " ".join(str(word) for word in dict.fromkeys((str(status), str(error))) if word)
    label = f"{_asked(span)}  → {ending}" if ending else _asked(span)
    return Node(span.span_id, parent_id, label, span.start, span.end, failed)


def _asked(span: Span) -> str:
    statement = span.attributes.get("db.query.text")
    if statement:
        return "SQL " + " ".join(str(statement).split())
    if span.kind.upper() == "CLIENT" and "url.full" in span.attributes:
        return f"HTTP {span.attributes.get('http.request.method', '')} {span.attributes['url.full']}"
    return span.name


def quantile(share: float, bounds: Sequence[float], counts: Sequence[int]) -> float:
    """The quantile of a histogram as Prometheus estimates it: linear within the bucket, the last bound beyond it."""
    rank, below = share * sum(counts), 0
    for index, count in enumerate(counts):
        if below + count >= rank and count:
            if index >= len(bounds):
                break
            lower = bounds[index - 1] if index else 0.0
            return lower + (bounds[index] - lower) * (rank - below) / count
        below += count
    return bounds[-1]
