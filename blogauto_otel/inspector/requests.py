"""Requests: the spans that a trace enters a service by, with what happened below each of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from blogauto_otel.inspector import values
from blogauto_otel.inspector.rows import CLIENT, CONSUMER, SERVER

OPEN_SECONDS: Final = 10.0  # a span whose parent did not arrive within this time counts as one that has none
REPEATED: Final = 10  # executions of one statement in one request, from which it counts as repeated
REPEATED_ATTRIBUTE: Final = "blogauto.db.repeated"
LONG_TRACE, LONG_SECONDS = 1_000, 1.0  # spans of a trace that is summarised at most once in so long
_TRACES: Final = 200  # summarised with one query each for their spans, log records and rows


class _Node(NamedTuple):
    """A span, as far as it matters here."""

    trace: int
    id: int
    span_id: bytes
    parent_id: bytes
    service: str
    kind: int
    start: int
    duration: int
    is_error: bool
    statement: int | None
    name: str
    scope: str


@dataclass
class _Below:
    """What happened in a request."""

    spans: int = 0
    client_calls: int = 0
    logs: int = 0
    statements: dict[int, int] = field(default_factory=dict)  # executions of each


class Requests:
    """Keeps the table of requests: a trace that changed is summarised again."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._changed: set[int] = set()
        self._open: dict[int, int] = {}  # traces without a request, and since when
        self._long: dict[int, int] = {}  # long traces, and when they were summarised

    def touch(self, trace: int) -> None:
        """Note that a trace has changed."""
        self._changed.add(trace)

    def is_dirty(self) -> bool:
        """Whether `refresh` has work."""
        return bool(self._changed or self._open)

    def forget(self) -> None:
        """All traces are deleted."""
        self._changed.clear()
        self._open.clear()
        self._long.clear()

    def forget_until(self, last: int) -> None:
        """Traces up to this one are deleted."""
        self._changed = {trace for trace in self._changed if trace > last}
        self._open = {trace: since for trace, since in self._open.items() if trace > last}
        self._long = {trace: moment for trace, moment in self._long.items() if trace > last}

    def refresh(self, now: int) -> None:
        """Summarise the traces that changed, and those whose first span does not arrive any more.

        A long trace is summarised once in `LONG_SECONDS`: to read all its spans again costs as much as it has spans.
        """
        overdue = {trace for trace, since in self._open.items() if now - since > OPEN_SECONDS * 1e9}
        chosen = sorted(self._changed | overdue)
        for first in range(0, len(chosen), _TRACES):
            self._summarise(chosen[first : first + _TRACES], overdue, now)

    def _summarise(self, traces: Iterable[int], overdue: Container[int], now: int) -> None:
        traces = list(self._due(traces, now))
        nodes = self._nodes(traces)
        logs = self._logs(traces)
        found: list[tuple[_Node, _Below]] = []
        for trace in traces:
            self._changed.discard(trace)
            spans = nodes.get(trace, [])
            below = _below(spans, _owners(spans, is_complete=trace in overdue), logs.get(trace, ()))
            found += [(node, below[node.id]) for node in spans if node.id in below]
            if below or not spans or trace in overdue:
                self._open.pop(trace, None)
            else:
                self._open.setdefault(trace, now)
        self._replace(traces, found)

    def _due(self, traces: Iterable[int], now: int) -> Iterator[int]:
        """The traces without the long ones that were summarised a moment ago."""
        long = {
            trace
            for (trace,) in self._database.execute(
                "SELECT id FROM traces WHERE id IN (SELECT value FROM json_each(?)) AND spans > ?",
                (json.dumps(traces), LONG_TRACE),
            )
        }
        for trace in traces:
            if trace in long:
                if now - self._long.get(trace, 0) < LONG_SECONDS * 1e9:
                    continue
                self._long[trace] = now
            yield trace

    def _nodes(self, traces: Sequence[int]) -> dict[int, list[_Node]]:
        found: dict[int, list[_Node]] = {}
        for row in self._database.execute(
            "SELECT trace, spans.id, span_id, parent_id, service, kind, start, duration, is_error, statement, name,"
            " scope FROM spans JOIN resources ON resources.id = spans.resource"
            " WHERE trace IN (SELECT value FROM json_each(?)) ORDER BY trace, start, spans.id",
            (json.dumps(traces),),
        ):
            found.setdefault(row[0], []).append(_Node._make(row))
        return found

    def _logs(self, traces: Sequence[int]) -> dict[int, list[tuple[bytes, int]]]:
        """By trace: spans, and the number of log records of each."""
        found: dict[int, list[tuple[bytes, int]]] = {}
        for trace, span_id, count in self._database.execute(
            "SELECT trace, span_id, COUNT(*) FROM logs WHERE trace IN (SELECT value FROM json_each(?))"
            " GROUP BY trace, span_id",
            (json.dumps(traces),),
        ):
            found.setdefault(trace, []).append((span_id or b"", count))
        return found

    def _replace(self, traces: Sequence[int], found: Sequence[tuple[_Node, _Below]]) -> None:
        """The rows of these traces by those of what was found."""
        spans = {
            row[0]: row[1:]
            for row in self._database.execute(
                "SELECT spans.id, trace_id, payload FROM spans JOIN traces ON traces.id = trace"
                " WHERE spans.id IN (SELECT value FROM json_each(?))",
                (json.dumps([node.id for node, _ in found]),),
            )
        }
        self._database.execute(
            "DELETE FROM requests WHERE trace IN (SELECT value FROM json_each(?))", (json.dumps(traces),)
        )
        self._database.executemany(
            "INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [self._row(node, below, *spans[node.id]) for node, below in found],
        )

    def _row(self, node: _Node, below: _Below, trace_id: bytes, payload: bytes) -> tuple[Any, ...]:
        found = values.attributes(Span.FromString(payload).attributes)
        status = _status(found)
        most = max(below.statements.values(), default=0)
        repeated = max(most if most >= REPEATED else 0, _whole(found.get(REPEATED_ATTRIBUTE)) or 0)
        is_error = node.is_error or (status or 0) >= 500
        return (
            node.id, node.trace, trace_id, node.span_id, node.service, kind_of(node.kind, found, node.scope),
            _text(found, "http.request.method", "http.method"), _text(found, "http.route"), node.name,
            _text(found, "url.path", "http.target"), node.start, node.duration, status, is_error,
            self._error_type(node.trace, found) if is_error else None, sum(below.statements.values()), repeated,
            below.logs, below.spans, below.client_calls,
        )  # fmt: skip

    def _error_type(self, trace: int, found: Mapping[str, Any]) -> str | None:
        """The class of the exception; `error.type` may only repeat the status code."""
        named = _text(found, "error.type")
        if named and not named.isdigit():
            return named
        row = self._database.execute("SELECT type FROM errors WHERE trace = ? ORDER BY id LIMIT 1", (trace,)).fetchone()
        return row[0] if row else named


def _below(nodes: Iterable[_Node], owners: Mapping[bytes, int], logs: Iterable[tuple[bytes, int]]) -> dict[int, _Below]:
    """By the id of a request: what happened in it."""
    below = {owner: _Below() for owner in owners.values()}
    for node in nodes:
        owner = owners.get(node.span_id)
        if owner is None:
            continue
        found = below[owner]
        found.spans += 1
        if node.statement is not None:
            found.statements[node.statement] = found.statements.get(node.statement, 0) + 1
        elif node.kind == CLIENT and node.id != owner:
            found.client_calls += 1
    first = next(iter(below), None)
    for span_id, count in logs:
        owner = owners.get(span_id, first)
        if owner is not None:
            below[owner].logs += count
    return below


def _owners(nodes: Iterable[_Node], *, is_complete: bool) -> dict[bytes, int]:
    """By span id: the request that a span belongs to, the nearest one above it."""
    by_id = {node.span_id: node for node in nodes}
    owners: dict[bytes, int] = {}
    for node in by_id.values():
        path: list[bytes] = []
        current: _Node | None = node
        seen: set[bytes] = set()
        owner: int | None = None
        while current is not None and current.span_id not in seen:
            if current.span_id in owners:
                owner = owners[current.span_id]
                break
            seen.add(current.span_id)
            path.append(current.span_id)
            parent = by_id.get(current.parent_id)
            if _is_request(current, has_parent=parent is not None, is_complete=is_complete):
                owner = current.id
                break
            current = parent
        if owner is not None:
            owners.update(dict.fromkeys(path, owner))
    return owners


def _is_request(node: _Node, *, has_parent: bool, is_complete: bool) -> bool:
    """A span of kind server or consumer, or the first of a trace."""
    if node.kind in (SERVER, CONSUMER) or not node.parent_id:
        return True
    return is_complete and not has_parent


def kind_of(kind: int, found: Mapping[str, Any], scope: str) -> str:
    """The kind of a request: `http`, `websocket`, `task`, `operation` or `other`."""
    if kind == CONSUMER or "messaging.system" in found or "celery" in scope:
        return "task"
    if kind == SERVER and (found.get("url.scheme") in ("ws", "wss") or found.get("http.scheme") in ("ws", "wss")):
        return "websocket"
    if kind == SERVER and _text(found, "http.request.method", "http.method", "url.path"):
        return "http"
    return "operation" if kind in (0, 1) else "other"


def _text(found: Mapping[str, Any], *names: str) -> str | None:
    return next((values.text(found[name]) for name in names if found.get(name) is not None), None)


def _status(found: Mapping[str, Any]) -> int | None:
    return _whole(found.get("http.response.status_code", found.get("http.status_code")))


def _whole(item: Any) -> int | None:
    return item if isinstance(item, int) and not isinstance(item, bool) else None
