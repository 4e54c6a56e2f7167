"""What is exposed: the collected points by their names in Prometheus, each family once, each series once."""

from __future__ import annotations

import json
import math
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
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

from blogauto_otel._guard import log_once, swallow
from blogauto_otel.prometheus_names import label_name, metric_name

# Resource attributes that every series carries, as behind the Collector: `resource_constant_labels` in
# collector/export-prometheus-pull.yaml. What names the process is `job` and `instance`; a scrape adds them itself.
CONSTANT: Final = ("service.name", "service.version", "deployment.environment.name")
IDENTIFYING: Final = frozenset({"service.name", "service.namespace", "service.instance.id"})

# Points between two chances for the other threads to run: half a millisecond of work.
BREATH: Final = 128


@dataclass
class Number:
    """A series that is one value."""

    value: float
    exemplar: Exemplar | None = None


@dataclass
class Buckets:
    """A series that is a histogram: counts up to each bound, the last bound being infinity."""

    bounds: tuple[float, ...]
    counts: list[int]
    sum: float
    exemplars: dict[int, Exemplar] = field(default_factory=dict)


Series = Number | Buckets


@dataclass
class Family:
    """All series of one name, by their labels as text."""

    name: str
    kind: str
    help: str
    adds_up: bool
    series: dict[str, Series] = field(default_factory=dict)

    def take(self, labels: str, one: Series) -> None:
        """Add a series; two of the same labels, from two scopes, become one as far as they can."""
        known = self.series.get(labels)
        if known is None or not self.adds_up:
            self.series[labels] = one
        elif isinstance(known, Number) and isinstance(one, Number):
            known.value += one.value
        elif isinstance(known, Buckets) and isinstance(one, Buckets) and known.bounds == one.bounds:
            known.counts = [first + second for first, second in zip(known.counts, one.counts, strict=True)]
            known.sum += one.sum


def families_of(data: MetricsData | None) -> list[Family]:
    """The families of a collection, by name. A metric that cannot be shown is counted and told, and costs no other."""
    found: dict[str, Family] = {}
    breath = CooperativeYield()
    for resource_metrics in data.resource_metrics if data is not None else ():
        attributes = resource_metrics.resource.attributes
        _take_target(found, attributes)
        constant = {key: attributes[key] for key in CONSTANT if key in attributes}
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                try:
                    _take(found, metric, constant, breath)
                except BaseException as error:
                    if not swallow("showing a metric to Prometheus", error):
                        raise
    return sorted(found.values(), key=lambda family: family.name)


class CooperativeYield:
    """Lets other threads run now and then: ten thousand series would keep an event loop waiting."""

    def __init__(self) -> None:
        self._left = BREATH

    def draw(self) -> None:
        """Once per point."""
        self._left -= 1
        if self._left <= 0:
            self._left = BREATH
            time.sleep(0)


def _take_target(found: dict[str, Family], attributes: Mapping[str, Any]) -> None:
    family = found.setdefault("target_info", Family("target_info", "gauge", "Target metadata", adds_up=False))
    shown = {key: value for key, value in attributes.items() if key not in IDENTIFYING}
    family.take(labels_text(shown), Number(1.0))


def _take(found: dict[str, Family], metric: Metric, constant: Mapping[str, Any], breath: CooperativeYield) -> None:
    kind, read = _reading(metric.data)
    name = metric_name(metric.name, metric.unit or "", kind, is_ratio=isinstance(metric.data, Gauge))
    if not name:
        raise ValueError(f"no letter of the name {metric.name!r} can be shown")
    family = found.get(name)
    if family is None:
        adds_up = not isinstance(metric.data, Gauge)
        family = found[name] = Family(name, kind, metric.description or "", adds_up)
    if family.kind != kind:  # the Collector keeps the first as well
        log_once(f"kind of {name}", "%s is a %s and a %s; /metrics shows the first", name, family.kind, kind)
        return
    labels = _Labels(constant, is_histogram=kind == "histogram")
    for point in metric.data.data_points:
        family.take(labels.of(point.attributes or {}), read(point))
        breath.draw()


def _reading(data: object) -> tuple[str, Any]:
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
    """The labels of the points of one metric: their attributes, then what all series carry."""

    def __init__(self, constant: Mapping[str, Any], *, is_histogram: bool) -> None:
        self._constant = {label_name(key): value for key, value in constant.items()}
        self._text = labels_text(self._constant)
        self._is_histogram = is_histogram

    def of(self, attributes: Mapping[str, Any]) -> str:
        if self._is_histogram and "le" in attributes:  # taken by the bounds of the buckets
            attributes = {"exported_le" if key == "le" else key: value for key, value in attributes.items()}
        own, rest = labels_text(attributes), self._text
        if not self._constant.keys().isdisjoint(map(label_name, attributes)):  # the point knows better
            taken = set(map(label_name, attributes))
            rest = labels_text({key: value for key, value in self._constant.items() if key not in taken})
        return f"{own},{rest}" if own and rest else own or rest


def labels_text(attributes: Mapping[str, Any]) -> str:
    """Labels as they stand between braces, sorted; attributes that become one label are joined by a semicolon."""
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
    """A label's value, escaped; the parsers of Prometheus take NUL for the end of everything."""
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
    """An exponential histogram, which no text format can hold, at powers of two: bounds that its every scale has."""
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
