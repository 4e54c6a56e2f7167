"""A meter provider and a tracer provider in memory, behind the instruments for one test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric

from blogauto_otel.api import instruments

Points = dict[tuple[tuple[str, Any], ...], Any]


@dataclass
class Meters:
    """What the instruments recorded, by name."""

    provider: MeterProvider
    reader: InMemoryMetricReader

    def metrics(self) -> dict[str, Metric]:
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def scopes(self) -> dict[str, str]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return {
            metric.name: scope.scope.name
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> Points:
        """Value by attributes; for a histogram, the sum."""
        metric = self.metrics().get(name)
        if metric is None:
            return {}
        return {
            tuple((point.attributes or {}).items()): getattr(point, "value", None)
            if hasattr(point, "value")
            else getattr(point, "sum", None)
            for point in metric.data.data_points
        }


@pytest.fixture
def meters() -> Iterator[Meters]:
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    instruments.attach(provider, namespace="blogauto")
    yield Meters(provider, reader)
    instruments.detach()
    provider.shutdown()


@pytest.fixture
def declarations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instruments that a test declares are removed after it."""
    monkeypatch.setattr(instruments._state, "declarations", dict(instruments._state.declarations))
