"""The histograms of a meter provider: which of them we record, and what of them a reader collects.

A histogram that a view of the application matches is recorded by the SDK.
"""

from __future__ import annotations

import functools
import operator
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any, Final

from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics.export import Metric, MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource

from blogauto_otel.sdk import private, self_test
from blogauto_otel.sdk.histogram import OURS, ExplicitBucketHistogram
from blogauto_otel.sdk.series import SeriesLimit

# Of the SDK, for a histogram without boundaries of its own (specification: metrics/sdk, "Explicit Bucket Histogram").
DEFAULT_BOUNDARIES: Final = (
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10000.0,
)  # fmt: skip


class Histograms:
    """The histograms of a meter provider: those that are recorded here, and the names of those that the SDK records."""

    def __init__(self, views: Sequence[Any], exemplars: str, *, sdk_only: str = "") -> None:
        self._views = views
        self._exemplars = exemplars
        self._sdk_only = sdk_only  # why the SDK has to record every histogram
        self._all: list[ExplicitBucketHistogram] = []
        self._hide: Callable[[Any], None] | None = None
        self.left_to_sdk: dict[str, str] = {}  # by name: why

    def adopt(self, instrument: Any, boundaries: Any, rules: SeriesLimit) -> bool:
        """Record for this instrument of the SDK from now on; False when the SDK has to."""
        if hasattr(instrument, OURS):
            return True
        if not isinstance(instrument, SdkHistogram):  # its name was refused
            return False
        edges = _edges(boundaries)
        reason = self._sdk_only or self._view_of(instrument) or ("" if edges is not None else "its boundaries")
        if edges is None or reason:
            self.left_to_sdk[instrument.name] = reason
            return False
        ours = ExplicitBucketHistogram(instrument, edges, rules, self._exemplars)
        self._all.append(ours)
        if self._hide is not None:
            self._forward(ours)
        instrument.record = ours.record  # type: ignore[method-assign]
        setattr(instrument, OURS, ours)
        return True

    def _view_of(self, instrument: SdkHistogram) -> str:
        if not self._views:
            return ""
        if not self_test.works("views"):
            return "there are views"
        return "a view matches" if any(private.view_matches(view, instrument) for view in self._views) else ""

    def forward(self, hide: Callable[[Any], None]) -> None:
        """Let the SDK record each measurement too, for a reader that is not ours.

        `hide` makes an instrument invisible to the readers that are.
        """
        self._hide = hide
        for one in tuple(self._all):
            self._forward(one)

    def _forward(self, histogram: ExplicitBucketHistogram) -> None:
        assert self._hide is not None
        self._hide(histogram.instrument)
        histogram.forward = functools.partial(type(histogram.instrument).record, histogram.instrument)

    def add_to(self, data: MetricsData | None, resource: Resource, *, delta: bool) -> MetricsData | None:
        """What a reader has collected, with these histograms."""
        now = time.time_ns()
        added: dict[Any, list[Metric]] = {}
        for one in tuple(self._all):
            metric = one.collect(now, delta=delta)
            if metric is not None:
                added.setdefault(one.instrument.instrumentation_scope, []).append(metric)
        if not added:
            return data
        [given] = data.resource_metrics if data is not None else [ResourceMetrics(resource, [], resource.schema_url)]
        scopes = [
            replace(scope, metrics=[*scope.metrics, *added.pop(scope.scope, ())]) for scope in given.scope_metrics
        ]
        scopes += [ScopeMetrics(scope, metrics, scope.schema_url) for scope, metrics in added.items()]
        return MetricsData([replace(given, scope_metrics=scopes)])

    def after_fork_in_child(self) -> None:
        """Begin at zero."""
        for one in self._all:
            one.after_fork_in_child()
            if self._hide is not None:
                self._hide(one.instrument)


def _edges(boundaries: Any) -> tuple[float, ...] | None:
    """The boundaries, or the default ones; None when the SDK refuses them."""
    try:
        edges = tuple(boundaries) if boundaries is not None else DEFAULT_BOUNDARIES
        if not all(isinstance(edge, (int, float)) for edge in edges):
            return DEFAULT_BOUNDARIES
        is_increasing = all(map(operator.lt, edges, edges[1:]))
        return edges if is_increasing and all(map(isfinite, edges)) else None
    except (TypeError, OverflowError):
        return DEFAULT_BOUNDARIES
