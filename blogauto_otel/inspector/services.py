"""The map of services: who emitted, and who called whom."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from blogauto_otel.inspector.queries import percentile
from blogauto_otel.inspector.store import Store
from blogauto_otel.inspector.values import milliseconds

# Spans that enter a service from another one, and client spans whose other end does not emit; services by the ids of
# their resources. Durations are an array of JSON, because other threads may take the interpreter at each row.
_CALLS: Final = """
WITH calls (caller, called, kind, duration, is_error) AS (
SELECT parent.resource, spans.resource, CASE WHEN spans.kind = 5 THEN 'messaging' ELSE 'http' END,
    parent.duration, parent.is_error
FROM spans JOIN spans AS parent ON parent.trace = spans.trace AND parent.span_id = spans.parent_id
WHERE spans.kind IN (2, 5) AND parent.resource <> spans.resource AND spans.id >= ?1 AND spans.id < ?2
UNION ALL
SELECT spans.resource, spans.peer, spans.peer_kind, spans.duration, spans.is_error FROM spans
WHERE spans.peer IS NOT NULL AND spans.id >= ?1 AND spans.id < ?2 AND (spans.peer_kind = 'database' OR NOT EXISTS (
    SELECT 1 FROM spans AS child WHERE child.trace = spans.trace AND child.parent_id = spans.span_id
    AND child.kind IN (2, 5))))
SELECT caller, called, kind, SUM(is_error), json_group_array(duration) FROM calls GROUP BY caller, called, kind
"""
_SPANS: Final = """
SELECT resource, COUNT(*), MIN(start), MAX(start) FROM spans WHERE spans.id >= ? AND spans.id < ? GROUP BY resource
"""


def services(store: Store) -> dict[str, Any]:
    """Services with their figures, and the calls between them, to databases and to other hosts."""
    calls = list(store.read_spans(_CALLS))
    spans: dict[int, list[Any]] = defaultdict(list)
    for resource, *facts in store.read_spans(_SPANS):
        spans[resource].append(facts)
    with store.reading():
        resources = store.read("SELECT id, service, instance, version, language FROM resources ORDER BY service, id")
        requests = {row[0]: row[1:] for row in store.read(
            "SELECT service, COUNT(*), SUM(is_error) FROM requests GROUP BY service"
        )}  # fmt: skip
    by_service: dict[str, list[Any]] = defaultdict(list)
    for row in resources:
        by_service[row[1]].append(row)
    found = [_service(name, rows, spans, requests.get(name, (0, 0))) for name, rows in by_service.items()]
    return {"services": found, "edges": _edges(calls, {row[0]: row[1] for row in resources})}


def _service(name: str, resources: list[Any], spans: dict[int, list[Any]], requests: tuple[int, int]) -> dict[str, Any]:
    parts = [part for row in resources for part in spans.get(row[0], ())]
    return {
        "name": name, "version": _listed(row[3] for row in resources), "language": _listed(row[4] for row in resources),
        "instances": len({row[2] for row in resources}), "requests": requests[0], "errors": requests[1],
        "spans": sum(part[0] for part in parts), "first": milliseconds(min((part[1] for part in parts), default=0)),
        "last": milliseconds(max((part[2] for part in parts), default=0)),
    }  # fmt: skip


def _listed(found: Iterable[str | None]) -> str | None:
    return ",".join(dict.fromkeys(filter(None, found))) or None


def _edges(calls: list[Any], names: Mapping[int, str]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str, str], list[Any]] = defaultdict(list)
    for resource, other, kind, errors, packed in calls:
        caller, called = names.get(resource), names.get(other) if isinstance(other, int) else other
        if caller and called and caller != called:
            groups[caller, called, kind].append((errors, json.loads(packed)))
    edges = []
    for (caller, called, kind), parts in sorted(groups.items()):
        durations = sorted(duration for _, part in parts for duration in part)
        edges.append(
            {
                "from": caller, "to": called, "kind": kind, "count": len(durations),
                "errors": sum(errors for errors, _ in parts), "p95": percentile(durations, 0.95),
            }
        )  # fmt: skip
    return edges
