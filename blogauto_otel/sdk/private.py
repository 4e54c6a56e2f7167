"""Every private member of OpenTelemetry that the package uses, each behind a function that says what it does.

Any release may rename one, or change its meaning: `self_test.py` tests them at start. `_otel.py` has those of the API.
"""

from __future__ import annotations

import _thread
import importlib
import inspect
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from opentelemetry.metrics import ObservableGauge
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.metrics.view import DefaultAggregation
from opentelemetry.sdk.resources import Resource

from blogauto_otel._cardinality import OVERFLOW_ATTRIBUTES, SeriesRules, is_full
from blogauto_otel._process import register


class _Results(dict[str, str]):
    """What differs from what this package knows, by feature; empty where the test of the feature succeeded."""

    reset = dict.clear


results: Final = register(_Results())


LOCKS: Final = (_thread.LockType, type(threading.RLock()))


def replace_locks(lock: Any, *owners: Any) -> list[str]:
    """Assign `lock` to every lock among the attributes of these objects, whatever its name.

    Returns:
        The types of those objects that have none.
    """
    without = []
    for owner in owners:
        names = [name for name, value in vars(owner).items() if isinstance(value, LOCKS)]
        for name in names:
            setattr(owner, name, lock)
        if not names:
            without.append(type(owner).__name__)
    return without


def make_reentrant(*owners: Any) -> None:
    """Give these objects one lock that its thread may take again; also the fresh lock that a forked child needs.

    A signal handler or a finalizer may record telemetry in the middle of a call to any of them.
    """
    without = replace_locks(threading.RLock(), *owners)
    if without and len(without) == len(owners):  # before 1.41 some have none, and need none
        results["locks"] = f"{', '.join(without)} has no lock"


# --- providers, processors and loggers -------------------------------------------------------------------------------


class EndingSpanProcessor:
    """A span processor whose `on_ending` the SDK calls just before a span ends."""

    def on_ending(self, span: Any) -> None:
        """Called before the span ends."""

    def _on_ending(self, span: Any) -> None:
        self.on_ending(span)


def forward_ending(processor: Any, span: Any) -> None:
    """Call a processor's hook that runs just before a span ends, if it has one."""
    hook = getattr(processor, "_on_ending", None)
    if hook is not None:
        hook(span)


class WithoutForkHandler:
    """A provider without the SDK's fork handler, which overwrites the user's `service.instance.id`."""

    def _handle_fork(self) -> None:
        return None


def set_resource(owner: Any, resource: Resource) -> None:
    """Replace the resource of a logger provider or logger."""
    if hasattr(owner, "_resource"):
        owner._resource = resource


def set_meter_resource(provider: Any, resource: Resource) -> None:
    """Replace the resource of a meter provider."""
    provider._sdk_config.resource = resource


def meter_resource(provider: Any) -> Any:
    """The resource of a meter provider."""
    return provider._sdk_config.resource


class LoggerConfigListener:
    """A logger provider whose `on_logger_configs` runs when loggers have been enabled or disabled."""

    def on_logger_configs(self) -> None:
        """Called after the change."""

    def _set_logger_configurator(self, **given: Any) -> None:
        super()._set_logger_configurator(**given)  # type: ignore[misc]
        self.on_logger_configs()


def counts_log_records(provider: Any) -> bool:
    """Whether the SDK counts the records that a provider's loggers emit, in metrics of its own."""
    metrics = getattr(provider, "_logger_metrics", None)
    return metrics is not None and type(metrics).__name__ != "NoOpLoggerMetrics"


def scope_of_logger(logger: Any) -> Any:
    """The scope of a logger of the SDK that emits; None of one that is disabled, or is no logger of the SDK's."""
    is_enabled = getattr(logger, "_is_enabled", None)
    if is_enabled is not None and not is_enabled():  # before 1.41, each emits
        return None
    return getattr(logger, "_instrumentation_scope", None)


_MULTI_PROCESSOR: Final = "SynchronousMultiLogRecordProcessor"


def multi_log_processor() -> Any:
    """A processor of log records that calls each of several others."""
    public = _find("opentelemetry.sdk._logs", _MULTI_PROCESSOR)
    return (public or _find("opentelemetry.sdk._logs._internal", _MULTI_PROCESSOR))()  # before 1.41 only there


# --- metrics ---------------------------------------------------------------------------------------------------------


class ReceivingReader(MetricReader):
    """A metric reader that keeps nothing: `received` gets what `collect` collects, in the same thread."""

    def received(self, data: Any) -> None:
        """Called by `collect` with the metrics."""

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Nothing is kept."""

    def _receive_metrics(self, metrics_data: Any, *_: Any, **__: Any) -> None:
        self.received(metrics_data)


def _find(module: str, name: str) -> Any:
    """A private name of a module, or None."""
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None


METRICS_INTERNAL: Final = "opentelemetry.sdk.metrics._internal"
_Match: Any = _find(f"{METRICS_INTERNAL}._view_instrument_match", "_ViewInstrumentMatch")
_Storage: Any = _find(f"{METRICS_INTERNAL}.metric_reader_storage", "MetricReaderStorage")
_hash_attributes: Any = _find(f"{METRICS_INTERNAL}._view_instrument_match", "_hash_attributes")


def series_key(attributes: Mapping[str, Any]) -> Any:
    """The key under which the SDK keeps the series of these attributes."""
    if _hash_attributes is not None:
        return _hash_attributes(attributes)
    try:
        return frozenset(attributes.items())  # before 1.45
    except TypeError:  # a value that is a list or a map
        return repr(sorted(attributes.items(), key=repr))


_LastValue: Any = _find(f"{METRICS_INTERNAL}.aggregation", "_LastValueAggregation")
_forgets_value: Final = (
    _LastValue is not None and "instrument_is_synchronous" not in inspect.signature(_LastValue.__init__).parameters
)  # before 1.41


class _LastingValue(_LastValue or object):  # type: ignore[misc]
    """The value of a gauge, which stays until the next; older SDKs forget it after one collection."""

    _value: Any

    def collect(self, *arguments: Any) -> Any:
        with self._lock:
            value = self._value
            point = super().collect(*arguments)
            self._value = value
            return point


OVERFLOW_KEY: Final = series_key(OVERFLOW_ATTRIBUTES)


class _LimitedMatch(_Match or object):  # type: ignore[misc]
    """The series of one instrument under one view; an object of the SDK that is given this class."""

    _rules: SeriesRules
    _attributes_aggregation: dict[Any, Any]

    def consume_measurement(self, measurement: Any, should_sample_exemplar: bool = True) -> None:
        """Aggregate a measurement into its series; beyond the limit, into the overflow series."""
        attributes = measurement.attributes or {}
        keys = self._view._attribute_keys
        if keys is not None:
            attributes = {k: v for k, v in attributes.items() if k in keys}
        aggregation = self._attributes_aggregation.get(series_key(attributes))
        if aggregation is None:
            aggregation = self._find_or_add(self._rules.redact(attributes))
        aggregation.aggregate(measurement, should_sample_exemplar)
        if self._rules.is_idle and measurement.value:
            self._rules.first_measurement()

    def _find_or_add(self, attributes: dict[str, Any]) -> Any:
        key = series_key(attributes)
        with self._lock:
            known = self._attributes_aggregation
            overflows = key not in known and is_full(known, self._rules.limit, overflow=OVERFLOW_KEY)
            if overflows:
                key, attributes = OVERFLOW_KEY, dict(OVERFLOW_ATTRIBUTES)
            if key not in known:
                added = self._new_series(attributes)
                # Another map: `collect` may be iterating over this one, interrupted by a finalizer that measures. In an
                # expression without a call, so that what a finalizer has added meanwhile is kept.
                self._attributes_aggregation = {key: added, **self._attributes_aggregation}
            found = self._attributes_aggregation[key]
        if overflows:
            self._rules.overflowed(self._name)  # not under the lock: it logs
        return found

    def _new_series(self, attributes: dict[str, Any]) -> Any:
        aggregation = self._view._aggregation
        if isinstance(aggregation, DefaultAggregation):
            aggregation = self._instrument_class_aggregation[self._instrument.__class__]
        reservoirs = self._view._exemplar_reservoir_factory
        lock = threading.RLock()

        def factory(kind: Any) -> Callable[..., Any]:
            def build(**arguments: Any) -> Any:
                reservoir = reservoirs(kind)(**arguments)
                replace_locks(lock, reservoir)
                return self._rules.reservoir(reservoir, getattr(reservoir, "_boundaries", ()))

            return build

        series = aggregation._create_aggregation(self._instrument, attributes, factory, time.time_ns())
        replace_locks(lock, series)
        if _forgets_value and isinstance(series, _LastValue) and not isinstance(self._instrument, ObservableGauge):
            series.__class__ = _LastingValue
        return series


class _LimitedStorage(_Storage or object):  # type: ignore[misc]
    """The instruments of one reader; an object of the SDK that is given this class."""

    _rules: SeriesRules

    def _get_or_init_view_instrument_match(self, instrument: Any) -> Any:
        known = self._instrument_view_instrument_matches.get(instrument)
        if known is not None:
            return known
        with self._lock:
            matches = super()._get_or_init_view_instrument_match(instrument)
            for match in matches:
                match.__class__ = _LimitedMatch
                match._rules = self._rules
                make_reentrant(match)
            return matches


def limit_series(provider: Any, rules: SeriesRules) -> None:
    """Apply the rules to every instrument of the provider."""
    if _Match is None or _Storage is None:
        raise AttributeError("_ViewInstrumentMatch or MetricReaderStorage")
    for storage in provider._measurement_consumer._reader_storages.values():
        storage.__class__ = _LimitedStorage
        storage._rules = rules


def measurement_consumer(instrument: Any) -> Any:
    """What takes the measurements of a meter provider or an instrument; None of another SDK's."""
    return getattr(instrument, "_measurement_consumer", None)


def clear_series(provider: Any) -> None:
    """Forget every series of the provider, and replace the locks that a thread of the parent may have held."""
    consumer = provider._measurement_consumer
    for storage in consumer._reader_storages.values():
        make_reentrant(storage)
        storage._instrument_view_instrument_matches = {}


def view_matches(view: Any, instrument: Any) -> bool:
    """Whether a view selects this instrument."""
    return bool(view._match(instrument))


def hide_instrument(provider: Any, readers: Iterable[Any], instrument: Any) -> None:
    """Let these readers of the provider collect nothing of this instrument."""
    for reader in readers:
        provider._measurement_consumer._reader_storages[reader]._instrument_view_instrument_matches[instrument] = []


# --- the API's providers, and contrib --------------------------------------------------------------------------------

# Where the API keeps each provider, and what it calls it there.
API_GLOBALS: Final[Mapping[str, tuple[str, str]]] = {
    "traces": ("opentelemetry.trace", "_TRACER_PROVIDER"),
    "metrics": ("opentelemetry.metrics._internal", "_METER_PROVIDER"),
    "logs": ("opentelemetry._logs._internal", "_LOGGER_PROVIDER"),
}


def uninstall_provider(signal: str) -> None:
    """Let the API have no provider of a signal again; its public functions let one be set once."""
    module, name = API_GLOBALS[signal]
    holder = sys.modules[module]
    once = getattr(holder, f"{name}_SET_ONCE", None)
    if once is None or not hasattr(holder, name):
        results["providers"] = f"{module} has no {name}"
        return
    setattr(holder, name, None)
    setattr(holder, f"{name}_SET_ONCE", type(once)())


CONVENTION_MODULE: Final = "opentelemetry.instrumentation._semconv"
CONVENTION_METHOD: Final = "_get_opentelemetry_stability_opt_in_mode"


def convention_chooser() -> Any:
    """The class whose `CONVENTION_METHOD` says which semantic conventions an instrumentation emits."""
    chooser = _find(CONVENTION_MODULE, "_OpenTelemetrySemanticConventionStability")
    if not hasattr(chooser, CONVENTION_METHOD):
        results["conventions"] = f"no {CONVENTION_METHOD}"
        return None
    return chooser


def dependency_conflict(instrumentor: Any) -> Any:
    """The version of a library that an instrumentor needs and does not find; None when it finds it."""
    check = getattr(instrumentor, "_check_dependency_conflicts", None)
    return check() if check is not None else None
