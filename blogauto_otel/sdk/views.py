"""Views: the SDK's objects for the views of a declarative configuration file."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from opentelemetry import metrics
from opentelemetry.sdk.metrics.view import (
    Aggregation,
    DefaultAggregation,
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    LastValueAggregation,
    SumAggregation,
    View,
)

from blogauto_otel._guard import log_once
from blogauto_otel._memo import BoundedMemo
from blogauto_otel.config.views import ViewConfig

_TYPES: Final[Mapping[str, Any]] = {
    "counter": metrics.Counter,
    "gauge": getattr(metrics, "Gauge", metrics.Instrument),
    "histogram": metrics.Histogram,
    "observable_counter": metrics.ObservableCounter,
    "observable_gauge": metrics.ObservableGauge,
    "observable_up_down_counter": metrics.ObservableUpDownCounter,
    "up_down_counter": metrics.UpDownCounter,
}
_AGGREGATIONS: Final[Mapping[str, Callable[..., Aggregation]]] = {
    "default": DefaultAggregation,
    "drop": DropAggregation,
    "explicit_bucket_histogram": ExplicitBucketHistogramAggregation,
    "base2_exponential_bucket_histogram": ExponentialBucketHistogramAggregation,
    "last_value": LastValueAggregation,
    "sum": SumAggregation,
}


def build_views(configs: Iterable[ViewConfig]) -> tuple[View, ...]:
    """The views; one that the SDK refuses is logged once and left out."""
    views = []
    for config in configs:
        try:
            views.append(_view(config))
        except Exception as error:  # noqa: BLE001 - the SDK raises Exception itself
            log_once(f"view {config.node_path}", "%s: %s; the view is left out", config.node_path, error)
    return tuple(views)


def _view(config: ViewConfig) -> View:
    criteria: dict[str, Any] = {
        "instrument_unit" if name == "unit" else name: value for name, value in config.selector.items()
    }
    if "instrument_type" in criteria:
        criteria["instrument_type"] = _TYPES[criteria["instrument_type"]]
    is_restricted = config.included is not None or config.excluded
    return View(
        **(criteria or {"instrument_name": "*"}),
        name=config.name,
        description=config.description,
        attribute_keys=AttributeKeys(config.included, config.excluded) if is_restricted else None,  # type: ignore[arg-type]
        aggregation=_AGGREGATIONS[config.aggregation](**config.options) if config.aggregation else None,
    )


class AttributeKeys:
    """The attributes that a view keeps; the SDK only asks whether a key is in it.

    Args:
        included: Patterns of the attributes that stay; None: all.
        excluded: Patterns of attributes that are removed.
    """

    def __init__(self, included: Iterable[str] | None, excluded: Iterable[str]) -> None:
        self._included = ("*",) if included is None else tuple(included)
        self._excluded = tuple(excluded)
        self._known: BoundedMemo[str, bool] = BoundedMemo(1024)

    def __contains__(self, key: str) -> bool:
        try:
            return self._known[key]
        except KeyError:
            is_kept = _matches(key, self._included) and not _matches(key, self._excluded)
            return self._known.remember(key, is_kept)


def _matches(key: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns)
