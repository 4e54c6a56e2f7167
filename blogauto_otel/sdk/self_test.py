"""The self-test of `private.py`: what is tested at start, and what happens where OpenTelemetry differs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource

from blogauto_otel._cardinality import OVERFLOW_ATTRIBUTES, SeriesRules
from blogauto_otel._dataclass import dataclass
from blogauto_otel._guard import is_foreign
from blogauto_otel.sdk import private
from blogauto_otel.sdk.unstable import LoggerProvider


@dataclass(frozen=True)
class Feature:
    """What needs private members: `members` as `module:Class.member`, and what happens without them."""

    members: tuple[str, ...]
    without: str
    test: Callable[[], None]


class _TestRules:
    limit = 1
    is_idle = True
    overflows = 0

    def redact(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        return {"seen": True, **attributes}

    def overflowed(self, metric: str) -> None:  # noqa: ARG002 - the interface
        self.overflows += 1

    def first_measurement(self) -> None:
        self.is_idle = False

    def reservoir(self, reservoir: Any, boundaries: Sequence[float]) -> Any:  # noqa: ARG002 - the interface
        return reservoir


def _require(condition: object, what: str) -> None:
    if not condition:
        raise AttributeError(what)


def _test_resource() -> None:
    resource = Resource({"child": True})
    loggers = LoggerProvider(Resource({}), shutdown_on_exit=False)
    meters = MeterProvider((), Resource({}), shutdown_on_exit=False)
    owners: tuple[Any, ...] = (loggers, loggers.get_logger("self-test"))
    for owner in owners:
        private.set_resource(owner, resource)
        _require(owner.resource is resource, f"{type(owner).__name__}._resource")
    private.set_meter_resource(meters, resource)
    _require(private.meter_resource(meters) is resource, "MeterProvider._sdk_config")


def _measured(rules: SeriesRules | None) -> tuple[Any, Any, InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    provider = MeterProvider((reader,), Resource({}), shutdown_on_exit=False)
    if rules is not None:
        private.limit_series(provider, rules)
    histogram = provider.get_meter("self-test").create_histogram("work")
    for series in ("a", "b"):
        histogram.record(1, {"series": series})
    return provider, histogram, reader


def _points(reader: InMemoryMetricReader) -> list[Any]:
    data = reader.get_metrics_data()
    return list(data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points) if data else []


def _test_series() -> None:
    rules = _TestRules()
    provider, histogram, reader = _measured(rules)
    found = {tuple((point.attributes or {}).items()): point.count for point in _points(reader)}
    expected = {(("seen", True), ("series", "a")): 1, tuple(OVERFLOW_ATTRIBUTES.items()): 1}
    _require(found == expected and rules.overflows and not rules.is_idle, "_ViewInstrumentMatch")
    private.clear_series(provider)
    histogram.record(1, {"series": "b"})
    _require(sum(point.count for point in _points(reader)) == 1, "MetricReaderStorage")


def _test_views() -> None:
    _, histogram, _ = _measured(None)
    matching, other = View(instrument_name="work"), View(instrument_name="other")
    _require(private.view_matches(matching, histogram), "View._match")
    _require(not private.view_matches(other, histogram), "View._match")


def _test_hidden_instruments() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider((reader,), Resource({}), shutdown_on_exit=False)
    histogram = provider.get_meter("self-test").create_histogram("work")
    private.hide_instrument(provider, (reader,), histogram)
    histogram.record(1)
    _require(not reader.get_metrics_data(), "MetricReaderStorage._instrument_view_instrument_matches")


def _test_reader() -> None:
    private.ReceivingReader()


def _test_providers() -> None:
    for module, name in private.API_GLOBALS.values():
        holder = importlib.import_module(module)
        _require(hasattr(holder, name) and hasattr(holder, f"{name}_SET_ONCE"), f"{module}.{name}")


def _no_test() -> None:
    """What is looked up when it is used."""


_METRICS: Final = "opentelemetry.sdk.metrics"
_MATCH: Final = f"{private.METRICS_INTERNAL}._view_instrument_match:_ViewInstrumentMatch"
_STORAGE: Final = f"{private.METRICS_INTERNAL}.metric_reader_storage:MetricReaderStorage"
_CONSUMER: Final = f"{private.METRICS_INTERNAL}.measurement_consumer:SynchronousMeasurementConsumer"
_MATCH_MEMBERS: Final = (
    f"{_METRICS}:MeterProvider._measurement_consumer",
    f"{_CONSUMER}._reader_storages",
    f"{_STORAGE}._instrument_view_instrument_matches",
    f"{_MATCH}._view",
    f"{_MATCH}._attributes_aggregation",
    f"{_METRICS}.view:View._attribute_keys",
)

FEATURES: Final[Mapping[str, Feature]] = {
    "resource": Feature(
        (
            "opentelemetry.sdk._logs:LoggerProvider._resource",
            "opentelemetry.sdk._logs:Logger._resource",
            f"{_METRICS}:MeterProvider._sdk_config",
        ),
        "a forked child keeps the service.instance.id of its parent",
        _test_resource,
    ),
    "series": Feature(
        (
            *_MATCH_MEMBERS,
            f"{private.METRICS_INTERNAL}._view_instrument_match:_ViewInstrumentMatch",
            f"{private.METRICS_INTERNAL}.metric_reader_storage:MetricReaderStorage",
            f"{_STORAGE}._get_or_init_view_instrument_match",
            f"{_STORAGE}._lock",
            f"{_MATCH}._lock",
            f"{_MATCH}._instrument",
            f"{_MATCH}._instrument_class_aggregation",
            f"{_MATCH}._name",
            f"{_METRICS}.view:View._aggregation",
            f"{_METRICS}.view:View._exemplar_reservoir_factory",
            f"{_METRICS}.view:Aggregation._create_aggregation",
        ),
        "series are limited and redacted at each measurement, and a forked child goes on with the counts of its parent",
        _test_series,
    ),
    "views": Feature(
        (f"{_METRICS}.view:View._match",),
        "where there are views, every histogram is recorded by the SDK",
        _test_views,
    ),
    "hidden instruments": Feature(
        (
            f"{_METRICS}:MeterProvider._measurement_consumer",
            f"{_CONSUMER}._reader_storages",
            f"{_STORAGE}._instrument_view_instrument_matches",
        ),
        "with a further metric reader, every histogram is recorded by the SDK",
        _test_hidden_instruments,
    ),
    "reader": Feature(
        (f"{_METRICS}.export:MetricReader._receive_metrics",),
        "metrics are collected by the SDK's in-memory reader",
        _test_reader,
    ),
    "providers": Feature(
        tuple(f"{module}:{name}" for module, name in private.API_GLOBALS.values()),
        "configure() after shutdown() keeps the providers of the first call",
        _test_providers,
    ),
    "locks": Feature((), "a signal handler that records telemetry may wait for ever", _no_test),
    "conventions": Feature(
        (),
        "client instrumentations emit the semantic conventions that the environment names",
        _no_test,
    ),
}


def works(feature: str) -> bool:
    """Whether the private members of a feature are as this package knows them; tested at the first call."""
    results = private.results
    if feature not in results:
        try:
            FEATURES[feature].test()
            results.setdefault(feature, "")
        except BaseException as error:
            if not is_foreign(error):
                raise
            results[feature] = str(error) or type(error).__name__
    return not results[feature]


def problems() -> tuple[str, ...]:
    """A sentence for each feature that takes the public way: which member differs, and what that means."""
    failed = [name for name in FEATURES if not works(name)]
    return tuple(
        f"OpenTelemetry differs ({name}: {private.results[name]}): {FEATURES[name].without}" for name in failed
    )
