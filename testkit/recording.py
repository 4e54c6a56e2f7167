"""An instrumentation's `Context` over an in-memory SDK, and what was recorded through it."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

from opentelemetry._logs import NoOpLoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, TraceIdRatioBased

from blogauto_otel.config import Settings
from blogauto_otel.instrumentation import Context
from blogauto_otel.instrumentation.span_context import BoundContextProcessor
from blogauto_otel.sdk.tracer_provider import BlogautoTracerProvider

Labels = tuple[tuple[str, Any], ...]


def no_secrets(text: str) -> str:
    """A fake redactor: one word is secret."""
    return text.replace("hunter2", "[redacted]")


class Recording:
    """The telemetry of one tracer provider and one meter provider."""

    def __init__(
        self, *, sampler: Sampler | None = None, delivery: object = None, deferred: bool = False, **settings: Any
    ) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        sampler_ = sampler or ParentBased(TraceIdRatioBased(1.0))
        ours = BlogautoTracerProvider(sampler=sampler_) if deferred else None
        self.tracers = ours or TracerProvider(sampler=sampler_, shutdown_on_exit=False)
        if ours is not None:
            ours.add_span_processor(BoundContextProcessor())
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.tracer = self.tracers.get_tracer("tests")
        self.context = Context(
            settings=Settings(**{"sampler": sampler and sampler.get_description(), **settings}),
            redactor=cast("Any", SimpleNamespace(text=no_secrets)),
            delivery=cast("Any", delivery),
            tracer_provider=self.tracers,
            meter_provider=self.meters,
            logger_provider=NoOpLoggerProvider(),
            write_deferred_span=ours.write_deferred_span if ours else None,
        )

    @property
    def spans(self) -> list[ReadableSpan]:
        """Finished spans, without those of the test itself."""
        return [
            span
            for span in self._exporter.get_finished_spans()
            if span.instrumentation_scope and span.instrumentation_scope.name != "tests"
        ]

    @property
    def span(self) -> ReadableSpan:
        """The only span."""
        (only,) = self.spans
        return only

    @property
    def names(self) -> list[str]:
        """Names of the spans, in the order in which they ended."""
        return [span.name for span in self.spans]

    @property
    def metrics(self) -> dict[str, Metric]:
        """A collection of all metrics, by name."""
        data = self._reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> Mapping[Labels, float]:
        """Value by sorted attributes; for a histogram its count."""
        metric = self.metrics.get(name)
        points: Any = metric.data.data_points if metric else ()
        return {
            tuple(sorted((point.attributes or {}).items())): getattr(point, "value", getattr(point, "count", 0))
            for point in points
        }

    def exemplars(self, name: str) -> set[tuple[int, int]]:
        """Trace id and span id of each exemplar of a metric."""
        metric = self.metrics.get(name)
        points: Any = metric.data.data_points if metric else ()
        return {(exemplar.trace_id, exemplar.span_id) for point in points for exemplar in point.exemplars}

    def forget(self) -> None:
        """Drop the spans recorded so far."""
        self._exporter.clear()
