"""The self-test of `private.py`: what is tested at start, and what happens where OpenTelemetry differs."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision

from blogauto_otel._cardinality import OVERFLOW_ATTRIBUTES
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


_NO_LIMITS: Final = dict.fromkeys(
    ("max_attributes", "max_events", "max_links", "max_event_attributes", "max_link_attributes",
     "max_span_attributes", "max_attribute_length", "max_span_attribute_length"), SpanLimits.UNSET,
)  # fmt: skip


@functools.cache
def _tracer_provider() -> TracerProvider:
    return TracerProvider(ALWAYS_ON, Resource({}), shutdown_on_exit=False, span_limits=SpanLimits(**_NO_LIMITS))


def _sdk_span() -> Any:
    return _tracer_provider().get_tracer("self-test").start_span("work")


def _require(condition: object, what: str) -> None:
    if not condition:
        raise AttributeError(what)


def _test_span_start() -> None:
    tracer: Any = _tracer_provider().get_tracer("self-test")
    theirs: Any = tracer.start_span("work")
    _require(private.is_enabled(tracer), "Tracer._is_enabled")
    _require(hasattr(tracer, "_is_enabled") or not hasattr(tracer, "_set_tracer_config"), "Tracer._is_enabled")
    count_end = private.count_start(tracer, None, Decision.RECORD_AND_SAMPLE)
    ours: Any = private.new_span(type(theirs), tracer, count_end, name="work", context=theirs.context, kind=theirs.kind)
    ours.start()
    _require(vars(ours).keys() == vars(theirs).keys(), "the state of a span")
    _require(ours.instrumentation_scope == theirs.instrumentation_scope, "Tracer._instrumentation_scope")
    ours.end()


def _test_span_attributes() -> None:
    span = _sdk_span()
    _require(private.add_plain_attributes(span, {"a": 1}), "BoundedAttributes._dict")
    _require(dict(span.attributes) == {"a": 1}, "BoundedAttributes._dict")
    span.end()
    _require(not private.add_plain_attributes(span, {"b": 1}), "Span._end_time")


def _test_span_locks() -> None:
    span = _sdk_span()
    owners = (span, span._attributes, span._events, span._links)
    _require(all(isinstance(owner._lock, private.LOCKS) for owner in owners), "Span._lock")
    private.make_span_reentrant(span)
    with span._lock:
        span.set_attribute("a", 1)
        span.add_event("b")
        span.end()


def _test_span_parts() -> None:
    span = _sdk_span()
    for part in ("attributes", "events", "links"):
        _require(hasattr(span, f"_{part}"), f"ReadableSpan._{part}")


def _test_tracers() -> None:
    provider = _tracer_provider()
    first = provider.get_tracer("self-test")
    if provider.get_tracer("self-test") is first:
        private.forget_tracer(provider, first)
        _require(provider.get_tracer("self-test") is not first, "TracerProvider._tracers")


def _test_resource() -> None:
    resource = Resource({"child": True})
    loggers = LoggerProvider(Resource({}), shutdown_on_exit=False)
    meters = MeterProvider((), Resource({}), shutdown_on_exit=False)
    owners: tuple[Any, ...] = (_tracer_provider(), loggers, loggers.get_logger("self-test"))
    for owner in owners:
        private.set_resource(owner, resource)
        _require(owner.resource is resource, f"{type(owner).__name__}._resource")
    _require(hasattr(meters._sdk_config, "resource"), "MeterProvider._sdk_config")


def _measured(rules: private.SeriesRules | None) -> tuple[Any, Any, InMemoryMetricReader]:
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


_TRACE: Final = "opentelemetry.sdk.trace"
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
    "span start": Feature(
        (
            f"{_TRACE}:Tracer._is_enabled",
            f"{_TRACE}:Tracer._tracer_metrics",
            f"{_TRACE}:Tracer._span_limits",
            f"{_TRACE}:Tracer._instrumentation_scope",
        ),
        "spans are started by the SDK's own tracer",
        _test_span_start,
    ),
    "span attributes": Feature(
        (f"{_TRACE}:Span._attributes", "opentelemetry.attributes:BoundedAttributes._dict", f"{_TRACE}:Span._end_time"),
        "span attributes are set by the SDK one at a time",
        _test_span_attributes,
    ),
    "span locks": Feature(
        (
            f"{_TRACE}:Span._lock",
            f"{_TRACE}:Span._events",
            f"{_TRACE}:Span._links",
            "opentelemetry.attributes:BoundedAttributes._lock",
            "opentelemetry.sdk.util:BoundedList._lock",
        ),
        "a signal handler that uses the span it interrupts may wait for ever",
        _test_span_locks,
    ),
    "span parts": Feature(
        (f"{_TRACE}:Span._attributes", f"{_TRACE}:Span._events", f"{_TRACE}:Span._links"),
        "the encoder reads the public properties of a span",
        _test_span_parts,
    ),
    "tracers": Feature(
        (f"{_TRACE}:TracerProvider._tracers",),
        "tracers beyond the first 1000 names share one",
        _test_tracers,
    ),
    "resource": Feature(
        (
            f"{_TRACE}:TracerProvider._resource",
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
    """Whether the private members of a feature are as this package knows them; tested at the first question."""
    results = private.results()
    if feature not in results:
        try:
            FEATURES[feature].test()
            results.setdefault(feature, "")
        except BaseException as error:
            if not is_foreign(error):
                raise
            private.report(feature, str(error) or type(error).__name__)
    return not results[feature]


def problems() -> tuple[str, ...]:
    """A sentence for each feature that takes the public way: which member differs, and what that means."""
    failed = [name for name in FEATURES if not works(name)]
    return tuple(
        f"OpenTelemetry differs ({name}: {private.results()[name]}): {FEATURES[name].without}" for name in failed
    )
