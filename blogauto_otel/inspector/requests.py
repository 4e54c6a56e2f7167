"""Requests: the spans that a trace enters a service by, with what happened below each of them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from blogauto_otel.inspector import values
from blogauto_otel.inspector.rows import CLIENT, CONSUMER, SERVER

OPEN_SECONDS: Final = 10.0  # a span whose parent did not arrive within this time counts as one that has none
REPEATED: Final = 10  # executions of one statement in one request, from which it counts as repeated
REPEATED_ATTRIBUTE: Final = "blogauto.db.repeated"


@dataclass
class _Node:
    """A span of the trace, as far as it matters here."""

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
    statements: Counter[int] = field(default_factory=Counter)


class Requests:
    """Keeps the table of requests: a trace that changed is summarised again."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._changed: set[int] = set()
        self._open: dict[int, int] = {}  # traces without a request, and since when

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

    def forget_until(self, last: int) -> None:
        """Traces up to this one are deleted."""
        self._changed = {trace for trace in self._changed if trace > last}
        self._open = {trace: since for trace, since in self._open.items() if trace > last}

    def refresh(self, now: int) -> None:
        """Summarise the traces that changed, and those whose first span does not arrive any more."""
        changed, self._changed = self._changed, set()
        overdue = {trace for trace, since in self._open.items() if now - since > OPEN_SECONDS * 1e9}
        for trace in changed | overdue:
            has_request = self._summarise(trace, is_complete=trace in overdue)
            if has_request or trace in overdue:
                self._open.pop(trace, None)
            else:
                self._open.setdefault(trace, now)

    def _summarise(self, trace: int, *, is_complete: bool) -> bool:
        nodes = self._nodes(trace)
        owners = _owners(nodes, is_complete=is_complete)
        below = self._below(trace, nodes, owners)
        self._database.execute("DELETE FROM requests WHERE trace = ?", (trace,))
        for node in nodes:
            if node.id in below:
                self._insert(trace, node, below[node.id])
        return bool(below) or not nodes

    def _nodes(self, trace: int) -> list[_Node]:
        found = self._database.execute(
            "SELECT spans.id, span_id, parent_id, service, kind, start, duration, is_error, statement, name, scope"
            " FROM spans JOIN resources ON resources.id = spans.resource WHERE trace = ? ORDER BY start, spans.id",
            (trace,),
        )
        return [_Node(*row) for row in found]

    def _below(self, trace: int, nodes: Iterable[_Node], owners: Mapping[bytes, int]) -> dict[int, _Below]:
        below = {owner: _Below() for owner in owners.values()}
        for node in nodes:
            owner = owners.get(node.span_id)
            if owner is None:
                continue
            below[owner].spans += 1
            if node.statement is not None:
                below[owner].statements[node.statement] += 1
            elif node.kind == CLIENT and node.id != owner:
                below[owner].client_calls += 1
        first = next(iter(below), None)
        for span_id, count in self._database.execute(
            "SELECT span_id, COUNT(*) FROM logs WHERE trace = ? GROUP BY span_id", (trace,)
        ):
            owner = owners.get(span_id or b"", first)
            if owner is not None:
                below[owner].logs += count
        return below

    def _insert(self, trace: int, node: _Node, below: _Below) -> None:
        row = self._database.execute(
            "SELECT trace_id, payload FROM spans JOIN traces ON traces.id = trace WHERE spans.id = ?", (node.id,)
        ).fetchone()
        found = values.attributes(Span.FromString(row[1]).attributes)
        status = _status(found)
        most = max(below.statements.values(), default=0)
        repeated = max(most if most >= REPEATED else 0, _whole(found.get(REPEATED_ATTRIBUTE)) or 0)
        is_error = node.is_error or (status or 0) >= 500
        self._database.execute(
            "INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                node.id, trace, row[0], node.span_id, node.service, kind_of(node.kind, found, node.scope),
                _text(found, "http.request.method", "http.method"), _text(found, "http.route"), node.name,
                _text(found, "url.path", "http.target"), node.start, node.duration, status, is_error,
                self._error_type(trace, found) if is_error else None, sum(below.statements.values()), repeated,
                below.logs, below.spans, below.client_calls,
            ),
        )  # fmt: skip

    def _error_type(self, trace: int, found: Mapping[str, Any]) -> str | None:
        """The class of the exception; `error.type` may only repeat the status code."""
        named = _text(found, "error.type")
        if named and not named.isdigit():
            return named
        row = self._database.execute("SELECT type FROM errors WHERE trace = ? ORDER BY id LIMIT 1", (trace,)).fetchone()
        return row[0] if row else named


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
