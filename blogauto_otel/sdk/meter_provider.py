"""Metrics: one aggregation, collected by the export timer and by a scrape alike."""

from __future__ import annotations

import functools
import importlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from weakref import WeakSet

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
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader, MetricReader, MetricsData
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

from blogauto_otel._guard import log_once, swallow
from blogauto_otel._threads import ExclusiveLock
from blogauto_otel.config import Settings, warn_or_raise
from blogauto_otel.errors import MissingDependencyError
from blogauto_otel.export.pipeline import Delivery
from blogauto_otel.otlp.encoder import Encoder
from blogauto_otel.otlp.plain_values import NO_REDACTION, TextLimits, ValueRedactor
from blogauto_otel.sdk import private, self_test, series
from blogauto_otel.sdk.histograms import Histograms
from blogauto_otel.sdk.instruments import MAX_INSTRUMENTS, TolerantMeter
from blogauto_otel.sdk.scopes import MAX_NAME, OTHER_SCOPE, NameLimit, redact_arguments
from blogauto_otel.sdk.series import SeriesLimit

_TIMEOUT: Final = 10.0  # seconds that a collection may take, and that another one waits for it

_EXEMPLAR_FILTERS: Final[Mapping[str, Callable[[], ExemplarFilter]]] = {
    "trace_based": TraceBasedExemplarFilter,
    "always_on": AlwaysOnExemplarFilter,
    "always_off": AlwaysOffExemplarFilter,
}


class _CollectsNow(ABC):
    """A reader that collects on request; cumulative, so that one reader does not disturb another."""

    def __init__(self, **preferences: Any) -> None:
        super().__init__(**preferences)
        temporality, aggregation = preferences.get("preferred_temporality"), preferences.get("preferred_aggregation")
        self.has_delta_histograms = (temporality or {}).get(Histogram) is AggregationTemporality.DELTA
        self.has_exponential_histograms = bool(aggregation)
        self.add_histograms: Callable[[MetricsData | None], MetricsData | None] = lambda data: data
        self._one_at_a_time = ExclusiveLock()

    def collect_now(self, timeout: float = _TIMEOUT) -> MetricsData | None:
        """All metrics as they stand now. Safe to call from several threads at once.

        Args:
            timeout: seconds to wait for a collection that is under way, and for the callbacks of this one.

        Returns:
            None when there is nothing, when a callback does not return, and in the middle of a collection of this
            thread (a signal handler, or a callback that collects).
        """
        started = time.monotonic()
        if not self._one_at_a_time.acquire(timeout=timeout):
            if time.monotonic() - started >= timeout:
                log_once("collect stuck", "metrics not collected: a metric callback takes more than %.0f s", timeout)
            return None
        try:
            return self.add_histograms(self._collected(timeout))
        except BaseException as error:
            if not swallow("collecting metrics", error):
                raise
            return None
        finally:
            self._one_at_a_time.release()

    @abstractmethod
    def _collected(self, timeout: float) -> MetricsData | None:
        """Collect within `timeout` seconds; called by one thread at a time."""

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - the interface
        """Nothing waits in a reader that collects when asked."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:  # noqa: B027 - nothing is to be stopped
        """A scrape after the end is answered."""

    def after_fork_in_child(self) -> None:
        """A fresh lock: the thread that may have held the old one does not exist here."""
        self._one_at_a_time = ExclusiveLock()


class CollectingReader(_CollectsNow, private.ReceivingReader):
    """The reader that push and `/metrics` share."""

    def __init__(self, **preferences: Any) -> None:
        super().__init__(**preferences)
        self._received = threading.local()

    def _collected(self, timeout: float) -> MetricsData | None:
        self._received.data = None
        try:
            self.collect(timeout_millis=timeout * 1000)
            data: MetricsData | None = self._received.data
            return data
        finally:
            self._received.data = None

    def received(self, data: MetricsData) -> None:
        """See `ReceivingReader`."""
        self._received.data = data  # of this thread: `collect` calls back before it returns


class InMemoryCollectingReader(_CollectsNow, InMemoryMetricReader):
    """The same over the SDK's in-memory reader, for an SDK whose readers receive metrics differently."""

    def _collected(self, timeout: float) -> MetricsData | None:  # noqa: ARG002 - the SDK's reader takes none
        return self.get_metrics_data()


Reader: TypeAlias = CollectingReader | InMemoryCollectingReader


class BlogautoMeterProvider(private.WithoutForkHandler, MeterProvider):
    """The SDK's meter provider, with tolerant instruments, limited series, and its readers.

    One reader serves push and `/metrics`, unless the push wants other aggregations.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        push_reader: Reader | None = None,
        redactor: ValueRedactor = NO_REDACTION,
        flush: Callable[[float], bool] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(shutdown_on_exit=False, **options)
        self.reader = reader
        self.push_reader = push_reader or reader
        self.series: SeriesLimit | None = None
        self.histograms: Histograms | None = None
        self._redactor = redactor
        self._flush = flush
        self._names = NameLimit("meters")
        self._instruments = NameLimit("instruments", MAX_INSTRUMENTS)
        self._given: WeakSet[Meter] = WeakSet()
        series.make_reentrant(self)

    def get_meter(self, *args: Any, **kwargs: Any) -> metrics.Meter:
        """See `MeterProvider`; the instruments of the meter accept any attributes."""
        args, kwargs = redact_arguments(self._redactor, args, kwargs, longest=MAX_NAME)  # type: ignore[assignment]
        is_admitted = self._names.admits(args, kwargs)
        meter = super().get_meter(*args, **kwargs) if is_admitted else super().get_meter(OTHER_SCOPE)
        if type(meter) is Meter:
            meter.__class__ = TolerantMeter
            private.make_reentrant(meter)
            self._given.add(meter)
        if isinstance(meter, TolerantMeter):
            meter.redactor = self._redactor
            meter.names = self._instruments
            meter.series = None if self_test.works("series") else self.series
            meter.adopt_histogram = self._adopt_histogram
        return meter

    def _adopt_histogram(self, instrument: Any, boundaries: Any) -> bool:
        if self.histograms is None or self.series is None:
            return False
        return self.histograms.adopt(instrument, boundaries, self.series)

    def use_histograms(self, histograms: Histograms, resource: Resource) -> None:
        """Record histograms in these, and add them to what the readers of this provider collect."""
        self.histograms = histograms
        for reader in {self.reader, self.push_reader}:
            reader.add_histograms = functools.partial(
                histograms.add_to, resource=resource, delta=reader.has_delta_histograms
            )

    def forward_histograms(self) -> None:
        """Let the SDK record histograms too, for readers that are not ours."""
        if self.histograms is not None:
            own = (self.reader, self.push_reader)
            self.histograms.forward(lambda instrument: private.hide_instrument(self, own, instrument))

    def add_metric_reader(self, metric_reader: MetricReader) -> None:
        """See `MeterProvider`."""
        super().add_metric_reader(metric_reader)
        if self_test.works("hidden instruments"):
            self.forward_histograms()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Send what waits, of all signals."""
        return self._flush(timeout_millis / 1000) if self._flush is not None else True

    def after_fork_in_child(self, resource: Resource) -> None:
        """All instruments, those made before the fork too, start at zero, with fresh locks and the child's resource."""
        for reader in {self.reader, self.push_reader}:
            reader.after_fork_in_child()
        private.make_reentrant(*self._given)
        series.reset_after_fork(self, resource, self.series)
        if self.histograms is not None:
            self.histograms.after_fork_in_child()
            self.use_histograms(self.histograms, resource)


def build_meter_provider(
    settings: Settings, resource: Resource, *, delivery: Delivery, redactor: ValueRedactor, views: Sequence[View] = ()
) -> BlogautoMeterProvider:
    """Build the meter provider; it is not installed.

    Raises:
        ConfigurationError: only when `strict` is set: an exporter needs a package that is missing.
    """
    reader = _reader()
    push_reader = _push_reader(settings, reader)
    readers: list[MetricReader] = [reader] if push_reader is reader else [reader, push_reader]
    sinks: list[Callable[[MetricsData], Sequence[tuple[bytes, bytes]]]] = []
    for name in settings.metrics_exporter:
        _EXPORTERS[name](settings, redactor, readers, sinks)
    provider = BlogautoMeterProvider(
        reader,
        push_reader=push_reader,
        redactor=redactor,
        flush=delivery.force_flush,
        metric_readers=readers,
        views=views,
        resource=resource,
        exemplar_filter=_EXEMPLAR_FILTERS[settings.exemplar_filter](),
    )
    provider.series = series.limit_series(
        provider, limit=settings.series_limit, redactor=redactor, on_first_measurement=delivery.start
    )
    has_others = any(not isinstance(one, _CollectsNow) for one in readers)
    provider.use_histograms(
        Histograms(views, settings.exemplar_filter, sdk_only=_why_sdk_only(settings, push_reader, has_others)), resource
    )
    if has_others and self_test.works("hidden instruments"):
        provider.forward_histograms()
    if sinks:
        delivery.add_metric_source(lambda: _fan_out(push_reader.collect_now(), sinks))
    return provider


_DELTA: Final[Mapping[str, tuple[type, ...]]] = {
    "cumulative": (),
    "delta": (Counter, ObservableCounter, Histogram),
    "lowmemory": (Counter, Histogram),
}


def _reader(**preferences: Any) -> Reader:
    return CollectingReader(**preferences) if self_test.works("reader") else InMemoryCollectingReader(**preferences)


def _push_reader(settings: Settings, reader: Reader) -> Reader:
    """The reader of the push: another than that of `/metrics` where the aggregations differ.

    Another reader costs 6-7 µs for each synchronous measurement, and exporters of a push get what it aggregates.
    """
    delta = _DELTA[settings.metrics_temporality]
    is_exponential = settings.histogram_aggregation == "base2_exponential_bucket_histogram"
    if "otlp" not in settings.metrics_exporter or not (delta or is_exponential):
        return reader
    return _reader(
        preferred_temporality=dict.fromkeys(delta, AggregationTemporality.DELTA),
        preferred_aggregation={Histogram: ExponentialBucketHistogramAggregation()} if is_exponential else None,
    )


def _why_sdk_only(settings: Settings, push_reader: Reader, has_others: bool) -> str:
    """Why the SDK must record every histogram; empty when it need not."""
    if push_reader.has_exponential_histograms:
        return f"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION={settings.histogram_aggregation}"
    return "another metric reader" if has_others and not self_test.works("hidden instruments") else ""


def _fan_out(
    data: MetricsData | None, sinks: Sequence[Callable[[MetricsData], Sequence[tuple[bytes, bytes]]]]
) -> Sequence[tuple[bytes, bytes]]:
    return [pair for sink in sinks for pair in sink(data)] if data is not None else ()


# --- exporters -------------------------------------------------------------------------------------------------------


def _otlp(settings: Settings, redactor: ValueRedactor, readers: list[MetricReader], sinks: list[Any]) -> None:  # noqa: ARG001
    limits = TextLimits.of_attributes(max(settings.max_attribute_length, TextLimits.attribute))
    sinks.append(Encoder(redactor, limits).metrics)


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
