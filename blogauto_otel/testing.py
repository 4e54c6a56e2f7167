"""Captures the spans, metrics and log records of a block, for tests.

    def test_a_wrong_password_is_one_refused_attempt(client):
        with capture_telemetry() as telemetry:
            client.post("/login", json=WRONG_PASSWORD)
        assert telemetry.points("blogauto.security.events") == {(("type", "auth_failure"),): 1}

Nothing is exported, and the process is as before afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from blogauto_otel import _configure
from blogauto_otel.telemetry import Telemetry

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Metric
    from opentelemetry.sdk.trace import ReadableSpan
    from typing_extensions import Unpack

    from blogauto_otel.arguments import SettingsArguments
    from blogauto_otel.sdk.unstable import ReadableLogRecord

Labels = tuple[tuple[str, Any], ...]


class Captured:
    """The telemetry of one block, as the OpenTelemetry SDK represents it."""

    def __init__(self, handle: Telemetry, spans: Any, records: Any) -> None:
        self.handle = handle
        self._spans = spans
        self._records = records
        self._metrics: tuple[Metric, ...] | None = None

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """Finished spans, in the order in which they ended."""
        return tuple(self._spans.get_finished_spans())

    @property
    def logs(self) -> tuple[ReadableLogRecord, ...]:
        """Log records, in the order in which they were emitted."""
        return tuple(self._records.get_finished_logs())

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Every metric with its data points, collected now; after the block, as at its end."""
        return self._collect() if self._metrics is None else self._metrics

    def span(self, name: str) -> ReadableSpan:
        """The one span of that name.

        Raises:
            LookupError: there is none, or more than one; the message lists all names.
        """
        found = [span for span in self.spans if span.name == name]
        if len(found) != 1:
            raise LookupError(f"{len(found)} spans named {name!r} among {[span.name for span in self.spans]}")
        return found[0]

    def points(self, name: str) -> Mapping[Labels, float]:
        """The value by sorted attributes of a counter or gauge; for a histogram, the number of measurements."""
        return {
            tuple(sorted((point.attributes or {}).items())): _value(point)
            for metric in self.metrics
            if metric.name == name
            for point in metric.data.data_points
        }

    def _collect(self) -> tuple[Metric, ...]:
        metering = self.handle._parts.metering if self.handle._parts else None
        data = metering.reader.collect_now() if metering else None
        if data is None:
            return ()
        return tuple(
            metric
            for resource_metrics in data.resource_metrics
            for scope_metrics in resource_metrics.scope_metrics
            for metric in scope_metrics.metrics
        )

    def _close(self) -> None:
        self._metrics = self._collect()


def _value(point: Any) -> float:
    value: float = point.value if hasattr(point, "value") else point.count
    return value


@contextmanager
def capture_telemetry(**settings: Unpack[SettingsArguments]) -> Iterator[Captured]:
    """Configure telemetry into memory for the block; a former handle is shut down.

    Args:
        settings: fields of `Settings`, as for `configure`; by default everything is sampled and nothing is printed.

    Yields:
        What the block emits.
    """
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from blogauto_otel.sdk.unstable import in_memory_log_exporter

    spans = InMemorySpanExporter()
    records, record_processor = in_memory_log_exporter()
    quiet: SettingsArguments = {
        "traces_exporter": "none",
        "metrics_exporter": "none",
        "logs_exporter": "none",
        "console": "off",
        "sample_rate": 1.0,
    }
    quiet.update(settings)
    _configure.reset()
    handle = _configure.configure(
        span_processors=[SimpleSpanProcessor(spans)],
        log_processors=[record_processor],
        **quiet,
    )
    records.clear()  # the line that telemetry logs at its start
    captured = Captured(handle, spans, records)
    try:
        yield captured
    finally:
        captured._close()
        _configure.reset()
