"""What was measured between two collections of cumulative metrics."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Metric

    from blogauto_otel.telemetry import Telemetry


def collected(handle: Telemetry) -> tuple[Metric, ...]:
    """Every metric of a handle, as it stands now."""
    metering = handle._parts.metering if handle._parts else None
    data = metering.reader.collect_now() if metering else None
    if data is None:
        return ()
    return tuple(
        metric
        for resource_metrics in data.resource_metrics
        for scope_metrics in resource_metrics.scope_metrics
        for metric in scope_metrics.metrics
    )


def baseline(handle: Telemetry) -> tuple[Metric, ...]:
    """What a test starts from: the totals of `collected`, without the metrics about our own delivery.

    Each test pays for it (`python -m benchmarks fixture`), so nothing is measured that `since` would not subtract.
    """
    from blogauto_otel.sdk.instruments import for_baseline

    with for_baseline():
        return collected(handle)


def since(before: Sequence[Metric], after: Sequence[Metric]) -> tuple[Metric, ...]:
    """The metrics of `after`, less what `before` had counted; gauges as they are."""
    if not before:
        return tuple(after)
    former = {(metric.name, _key(point)): point for metric in before for point in metric.data.data_points}
    found = (_since(metric, former) for metric in after)
    return tuple(metric for metric in found if metric.data.data_points)


def _since(metric: Metric, former: dict[tuple[str, Hashable], Any]) -> Metric:
    data: Any = metric.data
    if not getattr(data, "is_monotonic", True) or not hasattr(data, "aggregation_temporality"):
        return metric
    pairs = ((point, former.get((metric.name, _key(point)))) for point in data.data_points)
    points = [point if old is None else _less(point, old) for point, old in pairs]
    return replace(metric, data=replace(data, data_points=list(filter(_has_measurements, points))))


def _less(point: Any, old: Any) -> Any:
    if hasattr(point, "value"):
        return replace(point, value=point.value - old.value)
    counts = {
        name: tuple(now - then for now, then in zip(getattr(point, name), getattr(old, name), strict=True))
        for name in ("bucket_counts",)
        if hasattr(point, name)
    }
    return replace(point, count=point.count - old.count, sum=point.sum - old.sum, **counts)


def _has_measurements(point: Any) -> bool:
    return bool(point.value if hasattr(point, "value") else point.count)


def _key(point: Any) -> Hashable:
    attributes: Iterable[tuple[str, Any]] = (point.attributes or {}).items()
    return frozenset((name, tuple(value) if isinstance(value, list) else value) for name, value in attributes)
