"""Metrics: one aggregation, collected by the export timer and by a scrape alike."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import metrics
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    Counter,
    ExemplarFilter,
    Histogram,
    Meter,
    MeterProvider,
    ObservableCounter,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricReader, MetricsData
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

from blogauto_otel._guard import log_once, swallow
from blogauto_otel._locks import ExclusiveLock
from blogauto_otel.config import Settings, warn_or_raise
from blogauto_otel.errors import MissingDependencyError
from blogauto_otel.export.pipeline import Delivery
from blogauto_otel.otlp.encoder import Encoder
from blogauto_otel.otlp.values import NO_REDACTION, TextLimits, ValueRedactor
from blogauto_otel.sdk import attribute_sets
from blogauto_otel.sdk.instruments import TolerantMeter
from blogauto_otel.sdk.scopes import cleaned

_PATIENCE: Final = 10.0  # seconds that a collection may take, and that another one waits for it

_EXEMPLAR_FILTERS: Final[Mapping[str, Callable[[], ExemplarFilter]]] = {
    "trace_based": TraceBasedExemplarFilter,
    "always_on": AlwaysOnExemplarFilter,
    "always_off": AlwaysOffExemplarFilter,
}


class CollectingReader(MetricReader):
    """Collects when somebody asks; cumulative, so that one asking twice disturbs nobody."""

    def __init__(self, **preferences: Any) -> None:
        super().__init__(**preferences)
        self._turn = ExclusiveLock()
        self._received = threading.local()

    def collect_now(self, timeout: float = _PATIENCE) -> MetricsData | None:
        """All metrics as they stand now. Safe to call from several threads at once.

        Args:
            timeout: seconds to wait for a collection that is under way, and for the callbacks of this one.

        Returns:
            None when there is nothing, when a callback does not come back, and in the middle of a collection of this
            thread (a signal handler, or a callback that collects).
        """
        began = time.monotonic()
        if not self._turn.acquire(timeout=timeout):
            if time.monotonic() - began < timeout:
                return None
            log_once(
                "collect stuck", "metrics cannot be collected: a metric callback has not returned for %.0f s", timeout
            )
            return None
        try:
            self._received.data = None
            self.collect(timeout_millis=timeout * 1000)
            data: MetricsData | None = self._received.data
            return data
        except BaseException as error:
            if not swallow("collecting metrics", error):
                raise
            return None
        finally:
            self._received.data = None
            self._turn.release()

    def _receive_metrics(self, metrics_data: MetricsData, *_: Any, **__: Any) -> None:
        self._received.data = metrics_data  # of this thread: `collect` calls back before it returns

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - the interface
        """Nothing waits in a reader that collects when asked."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """A last scrape after the end harms nobody."""

    def after_fork_in_child(self) -> None:
        """A fresh lock: the thread that may have held the old one does not exist here."""
        self._turn = ExclusiveLock()


class _Provider(MeterProvider):
    redactor: ValueRedactor = NO_REDACTION
    flush: Callable[[float], bool] | None = None

    def _handle_fork(self) -> None:
        """The SDK's answer to a fork overwrites the user's instance id; ours is `Metering.after_fork_in_child`."""

    def get_meter(self, *args: Any, **kwargs: Any) -> metrics.Meter:
        """See `MeterProvider`; what the meter makes takes anything."""
        args, kwargs = cleaned(self.redactor, args, kwargs)  # type: ignore[assignment]
        meter = super().get_meter(*args, **kwargs)
        if type(meter) is Meter:
            meter.__class__ = TolerantMeter
            attribute_sets.renew_locks_of(meter)
            meter.redactor = self.redactor  # type: ignore[attr-defined]
        return meter

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Send what waits, of all signals."""
        return self.flush(timeout_millis / 1000) if self.flush is not None else True


@dataclass(frozen=True)
class Metering:
    """The meter provider, and its readers: one for push and `/metrics`, unless the push wants other aggregations."""

    provider: MeterProvider
    reader: CollectingReader
    push_reader: CollectingReader

    def after_fork_in_child(self, resource: Resource) -> None:
        """All instruments, those made before the fork too, begin at zero, with fresh locks and the child's resource."""
        for reader in {self.reader, self.push_reader}:
            reader.after_fork_in_child()
        attribute_sets.reset_after_fork(self.provider, resource)


def build_metering(
    settings: Settings, resource: Resource, *, delivery: Delivery, redactor: ValueRedactor, views: Sequence[View] = ()
) -> Metering:
    """Build the meter provider; it is not installed.

    Raises:
        ConfigurationError: only when `strict` is set: an exporter needs a package that is missing.
    """
    reader = CollectingReader()
    push_reader = _push_reader(settings, reader)
    readers: list[MetricReader] = [reader] if push_reader is reader else [reader, push_reader]
    sinks: list[Callable[[MetricsData], Sequence[tuple[bytes, bytes]]]] = []
    for name in settings.metrics_exporter:
        _EXPORTERS[name](settings, redactor, readers, sinks)
    provider = _Provider(
        metric_readers=readers,
        views=views,
        resource=resource,
        exemplar_filter=_EXEMPLAR_FILTERS[settings.exemplar_filter](),
        shutdown_on_exit=False,
    )
    provider.redactor = redactor
    provider.flush = delivery.force_flush
    attribute_sets.renew_locks(provider)
    attribute_sets.bound(provider, limit=settings.series_limit, redactor=redactor, first=delivery.start)
    if sinks:
        delivery.add_metric_source(lambda: _fan_out(push_reader.collect_now(), sinks))
    return Metering(provider, reader, push_reader)


_DELTA: Final[Mapping[str, tuple[type, ...]]] = {
    "cumulative": (),
    "delta": (Counter, ObservableCounter, Histogram),
    "lowmemory": (Counter, Histogram),
}


def _push_reader(settings: Settings, reader: CollectingReader) -> CollectingReader:
    """The reader of the push: another than that of `/metrics` where the aggregations differ.

    Another reader costs 6-7 µs for each synchronous measurement, and exporters of a push get what it aggregates.
    """
    delta = _DELTA[settings.metrics_temporality]
    is_exponential = settings.histogram_aggregation == "base2_exponential_bucket_histogram"
    if "otlp" not in settings.metrics_exporter or not (delta or is_exponential):
        return reader
    return CollectingReader(
        preferred_temporality=dict.fromkeys(delta, AggregationTemporality.DELTA),
        preferred_aggregation={Histogram: ExponentialBucketHistogramAggregation()} if is_exponential else None,
    )


def _fan_out(
    data: MetricsData | None, sinks: Sequence[Callable[[MetricsData], Sequence[tuple[bytes, bytes]]]]
) -> Sequence[tuple[bytes, bytes]]:
    return [pair for sink in sinks for pair in sink(data)] if data is not None else ()


# --- exporters -------------------------------------------------------------------------------------------------------


def _otlp(settings: Settings, redactor: ValueRedactor, readers: list[MetricReader], sinks: list[Any]) -> None:  # noqa: ARG001
    sinks.append(
        Encoder(redactor, TextLimits.of_attributes(max(settings.max_attribute_length, TextLimits.attribute))).metrics
    )


def _console(settings: Settings, redactor: ValueRedactor, readers: list[MetricReader], sinks: list[Any]) -> None:  # noqa: ARG001
    from blogauto_otel.sdk.console import printer

    print_item = printer(redactor)
    sinks.append(lambda data: print_item(data) or ())


def _prometheus(settings: Settings, redactor: ValueRedactor, readers: list[MetricReader], sinks: list[Any]) -> None:  # noqa: ARG001
    """The official exporter: its own aggregation, and a server on OTEL_EXPORTER_PROMETHEUS_HOST and _PORT."""
    try:
        prometheus: Any = importlib.import_module("opentelemetry.exporter.prometheus")
    except ImportError:
        missing = MissingDependencyError(
            "OTEL_METRICS_EXPORTER=prometheus", "opentelemetry-exporter-prometheus", extra="prometheus"
        )
        return warn_or_raise(settings, str(missing))
    host, port = settings.prometheus_host, settings.prometheus_port
    try:
        prometheus.start_http_server(port=port, addr=host)
    except OSError as error:  # a second worker finds the port taken
        elsewhere = settings.metrics_path or "nothing else"
        problem = f"OTEL_METRICS_EXPORTER=prometheus cannot listen on {host}:{port}: {error}"
        return warn_or_raise(settings, f"{problem}; {elsewhere} is served in its place")
    readers.append(prometheus.PrometheusMetricReader())
    return None


_EXPORTERS: Final[Mapping[str, Callable[[Settings, ValueRedactor, list[MetricReader], list[Any]], None]]] = {
    "otlp": _otlp,
    "console": _console,
    "prometheus": _prometheus,
}
