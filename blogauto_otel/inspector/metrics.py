"""The queries about metrics: the list, and the series of one with percentiles of histograms."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from blogauto_otel.inspector.store import Store
from blogauto_otel.inspector.values import milliseconds

MAX_SERIES: Final = 50
MAX_POINTS: Final = 600  # of one series, the newest
PERCENTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def metrics(store: Store) -> dict[str, Any]:
    """Every metric with the number of its series."""
    found = store.read(
        "SELECT metrics.id, name, description, unit, type, service, COUNT(series.id) FROM metrics"
        " LEFT JOIN series ON series.metric = metrics.id GROUP BY metrics.id ORDER BY name, service"
    )
    names = ("id", "name", "description", "unit", "type", "service", "series")
    return {"metrics": [{**dict(zip(names, row, strict=True)), "id": str(row[0])} for row in found]}


def metric(store: Store, metric_id: str) -> dict[str, Any] | None:
    """A metric with its series; None when there is none of this id."""
    if not metric_id.isdecimal() or len(metric_id) > 18:
        return None
    with store.reading():
        found = store.read("SELECT name, unit, type, description, service FROM metrics WHERE id = ?", (int(metric_id),))
        if not found:
            return None
        name, unit, kind, description, service = found[0]
        series = store.read("SELECT id, attributes FROM series WHERE metric = ? LIMIT ?", (int(metric_id), MAX_SERIES))
        points = [(attributes, _points(store, number)) for number, attributes in series]
    build = _histogram if kind == "histogram" else _numbers
    return {
        "id": metric_id, "name": name, "unit": unit, "type": kind, "description": description, "service": service,
        "series": [
            {"attributes": json.loads(attributes), "points": build(rows), "exemplars": _exemplars(rows)}
            for attributes, rows in points
            if rows
        ],
    }  # fmt: skip


def _points(store: Store, series: int) -> list[Any]:
    newest = store.read(
        "SELECT time, value, count, sum, buckets, exemplars FROM points WHERE series = ? ORDER BY time DESC LIMIT ?",
        (series, MAX_POINTS),
    )
    return newest[::-1]


def _numbers(rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"time": milliseconds(row[0]), "value": row[1]} for row in rows]


def _histogram(rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Count and sum as they are; percentiles of what was recorded since the point before."""
    found = []
    former: Any = None
    for moment, _, count, total, buckets, _ in rows:
        now = json.loads(buckets) if buckets else None
        point = {"time": milliseconds(moment), "count": count, "sum": total}
        for name, share in PERCENTILES.items():
            point[name] = percentile(*_since(former, now), share) if now else None
        found.append(point)
        former = now
    return found


def _since(former: Any, now: Any) -> tuple[list[float], list[float]]:
    """Bounds and counts of an interval; of all there is, where the series began again or has other buckets."""
    bounds, counts = now
    if former is None or former[0] != bounds or any(a < b for a, b in zip(counts, former[1], strict=True)):
        return bounds, counts
    return bounds, [a - b for a, b in zip(counts, former[1], strict=True)]


def percentile(bounds: Sequence[float], counts: Sequence[float], share: float) -> float | None:
    """A percentile by linear interpolation in its bucket, as Prometheus' `histogram_quantile`; None without values."""
    total = sum(counts)
    if not total or not bounds:
        return None
    rank, below = share * total, 0.0
    for index, count in enumerate(counts[: len(bounds)]):
        if count and below + count >= rank:
            lower = bounds[index - 1] if index else min(0.0, bounds[0])
            return float(lower + (bounds[index] - lower) * (rank - below) / count)
        below += count
    return float(bounds[-1])


def _exemplars(rows: Sequence[Any]) -> list[dict[str, Any]]:
    found = {
        (moment, trace_id): {"time": milliseconds(moment), "value": value, "trace_id": trace_id, "span_id": span_id}
        for row in rows
        for moment, value, trace_id, span_id in json.loads(row[5] or "[]")
        if trace_id
    }
    return list(found.values())[-100:]
