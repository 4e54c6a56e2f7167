"""Metric families: the collected data points by their names in Prometheus, without duplicates."""

from __future__ import annotations

import json
import math
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any, Final

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    Sum,
)

from blogauto_otel._dataclass import dataclass
from blogauto_otel._guard import log_once, swallow
from blogauto_otel.prometheus_names import label_name, metric_name

# Resource attributes that every series carries, as behind the Collector: `resource_constant_labels` in
# collector/export-prometheus-pull.yaml. What names the process is `job` and `instance`; a scrape adds them itself.
CONSTANT: Final = ("service.name", "service.version", "deployment.environment.name")
IDENTIFYING: Final = frozenset({"service.name", "service.namespace", "service.instance.id"})

# Data points between two yields to other threads: half a millisecond of work.
POINTS_PER_YIELD: Final = 128


@dataclass
class Number:
    """A time series of a counter or gauge."""

    value: float
    exemplar: Exemplar | None = None


@dataclass
class Buckets:
    """A time series of a histogram: cumulative counts by upper bound; the last bound is infinity."""

    bounds: tuple[float, ...]
    counts: list[int]
    sum: float
    exemplars: dict[int, Exemplar] = field(default_factory=dict)


Series = Number | Buckets


@dataclass
class Family:
    """All time series of one name, by their labels as text."""

    name: str
    kind: str
    help: str
    is_additive: bool
    series: dict[str, Series] = field(default_factory=dict)

    def add(self, labels: str, one: Series) -> None:
        """Add a time series; two with the same labels, from two scopes, are added up if they can be."""
        known = self.series.get(labels)
        if known is None or not self.is_additive:
            self.series[labels] = one
        elif isinstance(known, Number) and isinstance(one, Number):
            known.value += one.value
        elif isinstance(known, Buckets) and isinstance(one, Buckets) and known.bounds == one.bounds:
            known.counts = [first + second for first, second in zip(known.counts, one.counts, strict=True)]
            known.sum += one.sum


def families_of(data: MetricsData | None) -> list[Family]:
    """The families of a collection, by name. A metric that cannot be converted is counted and left out."""
    found: dict[str, Family] = {}
    pause = CooperativeYield()
    for resource_metrics in data.resource_metrics if data is not None else ():
        attributes = resource_metrics.resource.attributes
        _add_target_info(found, attributes)
        constant = {key: attributes[key] for key in CONSTANT if key in attributes}
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                try:
                    _add(found, metric, constant, pause)
                except BaseException as error:
                    if not swallow("showing a metric to Prometheus", error):
                        raise
    return sorted(found.values(), key=lambda family: family.name)


class CooperativeYield:
    """Lets other threads run at intervals, because ten thousand series would block an event loop."""

    def __init__(self) -> None:
        self._remaining = POINTS_PER_YIELD

    def count(self) -> None:
        """Count a data point; called for each."""
        self._remaining -= 1
        if self._remaining <= 0:
            self._remaining = POINTS_PER_YIELD
            time.sleep(0)


def _add_target_info(found: dict[str, Family], attributes: Mapping[str, Any]) -> None:
    family = found.setdefault("target_info", Family("target_info", "gauge", "Target metadata", is_additive=False))
    shown = {key: value for key, value in attributes.items() if key not in IDENTIFYING}
    family.add(labels_text(shown), Number(1.0))


def _add(found: dict[str, Family], metric: Metric, constant: Mapping[str, Any], pause: CooperativeYield) -> None:
    kind, convert = _converter(metric.data)
    name = metric_name(metric.name, metric.unit or "", kind, is_ratio=isinstance(metric.data, Gauge))
    if not name:
        raise ValueError(f"the name {metric.name!r} has no character that Prometheus accepts")
    family = found.get(name)
    if family is None:
        is_additive = not isinstance(metric.data, Gauge)
        family = found[name] = Family(name, kind, metric.description or "", is_additive)
    if family.kind != kind:  # the Collector exports the first as well
        log_once(f"kind of {name}", "%s is a %s and a %s; /metrics shows the first", name, family.kind, kind)
        return
    labels = _Labels(constant, is_histogram=kind == "histogram")
    for point in metric.data.data_points:
        family.add(labels.of(point.attributes or {}), convert(point))
        pause.count()


def _converter(data: object) -> tuple[str, Any]:
    if isinstance(data, Sum):
        return ("counter" if data.is_monotonic else "gauge"), _number
    if isinstance(data, Gauge):
        return "gauge", _number
    if isinstance(data, Histogram):
        return "histogram", _buckets
    if isinstance(data, ExponentialHistogram):
        return "histogram", _buckets_of_powers
    raise TypeError(f"unknown kind of data {type(data).__name__}")


# --- labels ----------------------------------------------------------------------------------------------------------


class _Labels:
    """The labels of the data points of one metric: their attributes, then the constant ones."""

    def __init__(self, constant: Mapping[str, Any], *, is_histogram: bool) -> None:
        self._constant = {label_name(key): value for key, value in constant.items()}
        self._text = labels_text(self._constant)
        self._is_histogram = is_histogram

    def of(self, attributes: Mapping[str, Any]) -> str:
        if self._is_histogram and "le" in attributes:  # reserved for the bounds of the buckets
            attributes = {"exported_le" if key == "le" else key: value for key, value in attributes.items()}
        own, constant = labels_text(attributes), self._text
        if not self._constant.keys().isdisjoint(map(label_name, attributes)):  # the attribute wins
            used = set(map(label_name, attributes))
            constant = labels_text({key: value for key, value in self._constant.items() if key not in used})
        return f"{own},{constant}" if own and constant else own or constant


def labels_text(attributes: Mapping[str, Any]) -> str:
    """The text between the braces, sorted; attributes with the same label name are joined by a semicolon."""
    if not attributes:
        return ""
    found: dict[str, str] = {}
    for key in sorted(attributes):
        name = label_name(key)
        if name:
            text = label_value(attributes[key])
            found[name] = f"{found[name]};{text}" if name in found else text
    return ",".join([f'{name}="{escaped(text)}"' for name, text in found.items()])


def label_value(value: object) -> str:
    """An attribute's value as the Collector writes it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    if isinstance(value, (list, tuple, Mapping)):
        return json.dumps(value, default=str, separators=(",", ":"), ensure_ascii=False)
    return str(value)


_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\0": "\N{REPLACEMENT CHARACTER}"})


def escaped(text: str) -> str:
    """A label's value, escaped; NUL ends the text for Prometheus' parsers."""
    if "\\" in text or '"' in text or "\n" in text or "\0" in text:
        return text.translate(_ESCAPES)
    return text


# --- points ----------------------------------------------------------------------------------------------------------


def _number(point: Any) -> Number:
    return Number(point.value, _latest(point.exemplars))


def _latest(exemplars: Iterable[Exemplar]) -> Exemplar | None:
    with_trace = [exemplar for exemplar in exemplars or () if exemplar.trace_id]
    return max(with_trace, key=lambda exemplar: exemplar.time_unix_nano) if with_trace else None


def _buckets(point: HistogramDataPoint) -> Buckets:
    bounds = (*map(float, point.explicit_bounds), math.inf)
    counts: list[int] = []
    total = 0
    for count in point.bucket_counts:
        total += count
        counts.append(total)
    return _with_exemplars(Buckets(bounds, counts or [point.count], point.sum), point.exemplars)


def _with_exemplars(buckets: Buckets, exemplars: Iterable[Exemplar]) -> Buckets:
    by_bucket: dict[int, list[Exemplar]] = {}
    for exemplar in exemplars or ():
        by_bucket.setdefault(bisect_left(buckets.bounds, exemplar.value), []).append(exemplar)
    for index, several in by_bucket.items():
        latest = _latest(several)
        if latest is not None:
            buckets.exemplars[index] = latest
    return buckets


def _buckets_of_powers(point: ExponentialHistogramDataPoint) -> Buckets:
    """An exponential histogram, which the text formats lack, by powers of two: these are bounds at every scale."""
    negative = {-bound: count for bound, count in _by_power(point.negative, point.scale, upper=0)}
    positive = dict(_by_power(point.positive, point.scale, upper=1))
    counted = {**negative, **({0.0: point.zero_count} if point.zero_count or negative else {}), **positive}
    bounds = tuple(sorted(bound for bound in counted if math.isfinite(bound)))
    counts: list[int] = []
    total = 0
    for bound in bounds:
        total += counted[bound]
        counts.append(total)
    return _with_exemplars(Buckets((*bounds, math.inf), [*counts, point.count], point.sum), point.exemplars)


def _by_power(buckets: Any, scale: int, *, upper: int) -> Iterator[tuple[float, int]]:
    found: dict[float, int] = {}
    for index, count in enumerate(buckets.bucket_counts, buckets.offset):
        if count:
            bound = _power(index, scale, upper=upper)
            found[bound] = found.get(bound, 0) + count
    return iter(found.items())


def _power(index: int, scale: int, *, upper: int) -> float:
    """The power of two at or outside one end of a bucket: `2**(index/2**scale)` to `2**((index+1)/2**scale)`."""
    edge = index + upper
    exponent = (-(-edge >> scale) if upper else edge >> scale) if scale >= 0 else edge << -scale
    try:
        return math.ldexp(1.0, exponent)
    except OverflowError:
        return math.inf
