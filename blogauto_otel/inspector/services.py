"""The map of services: who emitted, and who called whom."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from blogauto_otel.inspector.queries import percentile
from blogauto_otel.inspector.store import Store
from blogauto_otel.inspector.values import milliseconds

# Spans that enter a service from another one, and client spans whose other end does not emit.
_CALLS = """
SELECT caller.service, called.service, CASE WHEN span.kind = 5 THEN 'messaging' ELSE 'http' END,
    parent.duration, parent.is_error
FROM spans AS span JOIN spans AS parent ON parent.trace = span.trace AND parent.span_id = span.parent_id
JOIN resources AS called ON called.id = span.resource JOIN resources AS caller ON caller.id = parent.resource
WHERE span.kind IN (2, 5) AND called.service <> caller.service
UNION ALL
SELECT caller.service, span.peer, CASE WHEN span.statement IS NOT NULL THEN 'database' WHEN span.kind = 4
    THEN 'messaging' ELSE 'http' END, span.duration, span.is_error
FROM spans AS span JOIN resources AS caller ON caller.id = span.resource
WHERE span.peer IS NOT NULL AND (span.statement IS NOT NULL OR NOT EXISTS (
    SELECT 1 FROM spans AS child WHERE child.trace = span.trace AND child.parent_id = span.span_id
    AND child.kind IN (2, 5)))
"""


def services(store: Store) -> dict[str, Any]:
    """Services with their figures, and the calls between them, to databases and to other hosts."""
    with store.reading():
        found = [_service(store, *row) for row in _resources(store)]
        calls = store.read(_CALLS)
    return {"services": sorted(found, key=lambda one: str(one["name"])), "edges": _edges(calls)}


def _resources(store: Store) -> list[Any]:
    return store.read(
        "SELECT service, GROUP_CONCAT(DISTINCT version), GROUP_CONCAT(DISTINCT language), COUNT(DISTINCT instance)"
        " FROM resources GROUP BY service"
    )


def _service(store: Store, name: str, version: str | None, language: str | None, instances: int) -> dict[str, Any]:
    requests, errors = store.read(
        "SELECT COUNT(*), COALESCE(SUM(is_error), 0) FROM requests WHERE service = ?", (name,)
    )[0]
    spans, first, last = store.read(
        "SELECT COUNT(*), COALESCE(MIN(start), 0), COALESCE(MAX(start), 0) FROM spans WHERE resource IN"
        " (SELECT id FROM resources WHERE service = ?)",
        (name,),
    )[0]
    return {
        "name": name, "version": version, "language": language, "instances": instances, "requests": requests,
        "errors": errors, "spans": spans, "first": milliseconds(first), "last": milliseconds(last),
    }  # fmt: skip


def _edges(calls: list[Any]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    for caller, called, kind, duration, is_error in calls:
        groups[caller, called, kind].append((duration, is_error))
    return [
        {
            "from": caller, "to": called, "kind": kind, "count": len(group),
            "errors": sum(is_error for _, is_error in group),
            "p95": percentile(sorted(duration for duration, _ in group), 0.95),
        }
        for (caller, called, kind), group in sorted(groups.items())
    ]  # fmt: skip
