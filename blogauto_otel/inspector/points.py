"""Data points of OTLP as rows of the store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from blogauto_otel.inspector import values

DELTA: Final = 1  # AggregationTemporality of OTLP
MAX_EXEMPLARS: Final = 16  # of one data point


class PointRow(NamedTuple):
    """A data point, and the metric and series that it belongs to."""

    service: str
    name: str
    description: str
    unit: str
    type: str
    attributes: str
    is_delta: bool
    time: int
    value: float | None
    observations: int | None
    sum: float | None
    buckets: str | None
    exemplars: str | None


def points(message: Any, *, service_of: Any) -> Iterator[PointRow]:
    """The rows of an ExportMetricsServiceRequest."""
    for group in message.resource_metrics:
        owner = service_of(group.resource)
        for scoped in group.scope_metrics:
            for metric in scoped.metrics:
                yield from _of_metric(metric, owner)


def _of_metric(metric: Any, owner: Any) -> Iterator[PointRow]:
    kind = metric.WhichOneof("data")
    if kind is None:
        return
    data = getattr(metric, kind)
    is_delta = kind not in ("gauge", "summary") and data.aggregation_temporality == DELTA
    kind_name = _type(kind, data)
    for point in data.data_points:
        number = kind in ("gauge", "sum")
        yield PointRow(
            owner.service,
            metric.name,
            metric.description,
            metric.unit,
            kind_name,
            _series(point.attributes, owner.instance),
            is_delta,
            min(point.time_unix_nano, 2**63 - 1),
            _number(point) if number else None,
            None if number else point.count,
            None if number else point.sum,
            _buckets(kind, point),
            _exemplars(point) if kind != "summary" else None,
        )


def _type(kind: str, data: Any) -> str:
    if kind == "sum":
        return "counter" if data.is_monotonic else "updown"
    return "gauge" if kind == "gauge" else "histogram"


def _series(pairs: Any, instance: str) -> str:
    """The attributes with the instance: two workers have two series."""
    found = values.attributes(pairs)
    if instance:
        found["service.instance.id"] = instance
    return json.dumps(found, sort_keys=True, ensure_ascii=False)


def _number(point: Any) -> float | None:
    kind = point.WhichOneof("value")
    return None if kind is None else float(getattr(point, kind))


def _buckets(kind: str, point: Any) -> str | None:
    """`[upper bounds, counts]`; the last count has no bound."""
    if kind == "histogram":
        return json.dumps([list(point.explicit_bounds), list(point.bucket_counts)])
    if kind == "exponential_histogram":
        return json.dumps(_explicit(point))
    return None


def _explicit(point: Any) -> list[list[float]]:
    """An exponential histogram by the bounds of its buckets; negative values count as zero."""
    base = 2.0 ** (2.0**-point.scale)
    bounds: list[float] = [base**point.positive.offset]
    counts: list[float] = [point.zero_count + sum(point.negative.bucket_counts)]
    for index, count in enumerate(point.positive.bucket_counts):
        bounds.append(base ** (point.positive.offset + index + 1))
        counts.append(count)
    return [bounds, [*counts, 0]]


def _exemplars(point: Any) -> str | None:
    found = [
        [exemplar.time_unix_nano, _number(exemplar), exemplar.trace_id.hex(), exemplar.span_id.hex()]
        for exemplar in list(point.exemplars)[-MAX_EXEMPLARS:]
    ]
    return json.dumps(found) if found else None
