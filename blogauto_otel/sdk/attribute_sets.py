"""The series of an instrument: how many there may be, what their attributes may say, and a new beginning after a fork.

The SDK has no hook for any of it (and before 1.45.2 no limit at all), so this replaces its storage by a subclass. Those
are private details: each is looked for first, and where one is missing the SDK stays as it is, and that is told.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Final

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics._internal._view_instrument_match import _hash_attributes, _ViewInstrumentMatch
from opentelemetry.sdk.metrics._internal.metric_reader_storage import MetricReaderStorage
from opentelemetry.sdk.metrics.view import DefaultAggregation
from opentelemetry.sdk.resources import Resource

from blogauto_otel._guard import log_once
from blogauto_otel.otlp.values import ValueRedactor

# The point that counts what came after the limit, as the specification names it:
# https://opentelemetry.io/docs/specs/otel/metrics/sdk/#overflow-attribute
OVERFLOW: Final = {"otel.metric.overflow": True}
_OVERFLOW_KEY: Final = _hash_attributes(OVERFLOW)

# Seconds that an exemplar stays after it was collected first: longer than the usual intervals of push and scrape.
EXEMPLAR_SECONDS: Final = 60.0


class _Bounds:
    """What all series of a provider have in common."""

    __slots__ = ("first", "limit", "quiet", "redactor")

    def __init__(self, limit: int, redactor: ValueRedactor, first: Callable[[], None]) -> None:
        self.limit = limit
        self.redactor = redactor
        self.first = first
        self.quiet = True  # nothing was measured so far

    def speak(self) -> None:
        self.quiet = False
        self.first()


class BoundedMatch(_ViewInstrumentMatch):
    """The series of one instrument under one view. Made from the SDK's own object, so that it knows what that knows."""

    _bounds: _Bounds

    def consume_measurement(self, measurement: Any, should_sample_exemplar: bool = True) -> None:
        """Aggregate a measurement into its series; beyond the limit, into the one that stands for all the rest."""
        attributes = measurement.attributes
        keys = self._view._attribute_keys
        if keys is not None:
            attributes = {k: v for k, v in (attributes or {}).items() if k in keys}
        key = _hash_attributes(attributes or {})
        aggregation = self._attributes_aggregation.get(key)
        if aggregation is None:
            aggregation = self._admit(key, dict(attributes or {}))
        aggregation.aggregate(measurement, should_sample_exemplar)
        if self._bounds.quiet and measurement.value:
            self._bounds.speak()

    def _admit(self, key: Any, attributes: dict[str, Any]) -> Any:
        redactor = self._bounds.redactor
        redacted: dict[str, Any] = {
            redactor.text(str(name)): redactor.value(name, value) for name, value in attributes.items()
        }
        if redacted != attributes:
            key, attributes = _hash_attributes(redacted), redacted
        with self._lock:
            known = self._attributes_aggregation
            overflows = key not in known and len(known) - (_OVERFLOW_KEY in known) >= self._bounds.limit
            if overflows:
                key, attributes = _OVERFLOW_KEY, dict(OVERFLOW)
            if key not in known:
                made = self._new_series(attributes)
                # Another map: `collect` may be iterating over this one, interrupted by a finalizer that measures. In an
                # expression without a call, so that what a finalizer has added meanwhile is kept.
                self._attributes_aggregation = {key: made, **self._attributes_aggregation}
            found = self._attributes_aggregation[key]
        if overflows:
            self._tell_overflow()  # not under the lock: what is told takes others
        return found

    def _new_series(self, attributes: dict[str, Any]) -> Any:
        aggregation = self._view._aggregation
        if isinstance(aggregation, DefaultAggregation):
            aggregation = self._instrument_class_aggregation[self._instrument.__class__]
        reservoirs: Any = self._view._exemplar_reservoir_factory

        lock = threading.RLock()  # a signal handler or a finalizer may measure in the middle of a measurement

        def lasting(kind: Any) -> Callable[..., Any]:
            def make(**arguments: Any) -> _LastingReservoir:
                reservoir = reservoirs(kind)(**arguments)
                reservoir._lock = lock
                return _LastingReservoir(reservoir)

            return make

        series: Any = aggregation._create_aggregation(self._instrument, attributes, lasting, time.time_ns())
        series._lock = lock
        return series

    def _tell_overflow(self) -> None:
        log_once(
            f"series {self._name}",
            "the metric %s has more than %d series; further ones are counted together (BLOGAUTO_OTEL_SERIES_LIMIT)",
            self._name, self._bounds.limit,
        )  # fmt: skip


class _LastingReservoir:
    """Exemplars that several may read: the SDK's are gone after one collection, and a scrape would take the push's.

    The newest of each bucket is kept, and given to every collection for a minute. Prometheus ignores repeats.
    """

    __slots__ = ("_bounds", "_collect", "_kept", "offer")

    def __init__(self, reservoir: Any) -> None:
        self.offer = reservoir.offer  # bound: what is called for every measurement costs nothing more
        self._collect = reservoir.collect
        self._bounds: tuple[float, ...] = tuple(getattr(reservoir, "_boundaries", ()))
        self._kept: dict[int, tuple[float, Any]] = {}

    def collect(self, point_attributes: Any) -> list[Any]:
        now = time.monotonic()
        for place, exemplar in enumerate(self._collect(point_attributes)):
            bucket = bisect_left(self._bounds, exemplar.value) if self._bounds else place
            self._kept[bucket] = (now + EXEMPLAR_SECONDS, exemplar)
        self._kept = {bucket: kept for bucket, kept in sorted(self._kept.items()) if kept[0] > now}
        return [exemplar for _, exemplar in self._kept.values()]


class _Storage(MetricReaderStorage):
    _bounds: _Bounds

    def _get_or_init_view_instrument_match(self, instrument: Any) -> list[_ViewInstrumentMatch]:
        known = self._instrument_view_instrument_matches.get(instrument)
        if known is not None:
            return known
        with self._lock:
            matches = super()._get_or_init_view_instrument_match(instrument)
            for match in matches:
                match.__class__ = BoundedMatch
                match._bounds = self._bounds  # type: ignore[attr-defined]
                match._lock = threading.RLock()  # type: ignore[assignment]
            return matches


def bound(provider: MeterProvider, *, limit: int, redactor: ValueRedactor, first: Callable[[], None]) -> None:
    """Hold every instrument of the provider to `limit` series, and redact the attributes of each as it begins.

    `first` is called at the first measurement that is not zero.
    """
    bounds = _Bounds(limit, redactor, first)
    missing = _missing_details(provider)
    if missing:
        log_once(
            "series unbounded",
            "this OpenTelemetry SDK lacks %s: BLOGAUTO_OTEL_SERIES_LIMIT does not limit anything",
            missing,
        )
        return
    for storage in provider._measurement_consumer._reader_storages.values():
        storage.__class__ = _Storage
        storage._bounds = bounds  # type: ignore[attr-defined]


# What is relied upon, by the object that must have it.
_OF_MATCH: Final = ("consume_measurement", "collect")
_OF_STORAGE: Final = ("_get_or_init_view_instrument_match", "collect")


def _missing_details(provider: MeterProvider) -> str:
    consumer = getattr(provider, "_measurement_consumer", None)
    storages = list(getattr(consumer, "_reader_storages", {}).values())
    wanted = [
        *((MetricReaderStorage, name) for name in _OF_STORAGE),
        *((_ViewInstrumentMatch, name) for name in _OF_MATCH),
        *((storage, name) for storage in storages for name in ("_lock", "_instrument_view_instrument_matches")),
    ]
    missing = [f"{type(owner).__name__}.{name}" for owner, name in wanted if not hasattr(owner, name)]
    return ", ".join(missing) if storages else "MeterProvider._measurement_consumer"


def renew_locks(provider: Any) -> None:
    """Locks that their thread may take again: a signal handler or a finalizer may measure in the middle of anything."""
    provider._lock = provider._meter_lock = provider._measurement_consumer._lock = threading.RLock()


def renew_locks_of(meter: Any) -> None:
    """The same of a meter."""
    meter._instrument_ids_lock = meter._instrument_registration_lock = threading.RLock()


def reset_after_fork(provider: MeterProvider, resource: Resource) -> None:
    """Empty every series, and replace every lock that a thread of the parent may have held."""
    renew_locks(provider)
    for meter in provider._meters.values():
        renew_locks_of(meter)
    provider._sdk_config.resource = resource
    consumer = provider._measurement_consumer
    # Another map with the same storages: whoever keeps aggregations sees by it that they are not in use any more.
    consumer._reader_storages = dict(consumer._reader_storages)
    for storage in consumer._reader_storages.values():
        storage._lock = threading.RLock()
        storage._instrument_view_instrument_matches = {}
        bounds: _Bounds | None = getattr(storage, "_bounds", None)
        if bounds is not None:
            bounds.quiet = True
