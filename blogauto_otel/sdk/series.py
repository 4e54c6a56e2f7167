"""The time series of a meter provider: how many, with which attributes, with which exemplars.

The SDK has no hook for any of this. Its storage is given our rules (`private.limit_series`); where the SDK differs, the
rules are applied to each measurement before the SDK sees it.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource

from blogauto_otel._cardinality import OVERFLOW_ATTRIBUTES, is_full
from blogauto_otel._guard import log_once
from blogauto_otel.otlp.plain_values import ValueRedactor
from blogauto_otel.sdk import private, self_test

# Seconds that an exemplar stays after it was collected first: longer than the usual intervals of push and scrape.
EXEMPLAR_SECONDS: Final = 60.0


class SeriesLimit:
    """The rules of a provider's series: at most `limit` of an instrument, with redacted attributes."""

    def __init__(self, limit: int, redactor: ValueRedactor, on_first_measurement: Callable[[], None]) -> None:
        self.limit = limit
        self.is_idle = True  # nothing was measured so far
        self._redactor = redactor
        self._on_first_measurement = on_first_measurement

    def redact(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes of a new series, without secrets."""
        redactor = self._redactor
        return {redactor.text(str(name)): redactor.value(name, value) for name, value in attributes.items()}

    def first_measurement(self) -> None:
        """Called at the first measurement that is not zero."""
        self.is_idle = False
        self._on_first_measurement()

    def overflowed(self, metric: str) -> None:
        """Log that a series is counted under the overflow attribute."""
        log_once(
            f"series {metric}",
            "the metric %s has more than %d series; further ones are counted together (BLOGAUTO_OTEL_SERIES_LIMIT)",
            metric, self.limit,
        )  # fmt: skip

    def reservoir(self, reservoir: Any, boundaries: Sequence[float]) -> ExemplarReservoir:
        """What stores the exemplars of a series."""
        return ExemplarReservoir(reservoir, boundaries)


class MeasuredSeries:
    """The series of one instrument, kept here where the SDK's own cannot be limited: the public way."""

    def __init__(self, metric: str, rules: SeriesLimit) -> None:
        self._metric = metric
        self._rules = rules
        self._known: dict[Any, dict[str, Any]] = {}

    def attributes(self, attributes: Mapping[str, Any] | None, amount: Any) -> Mapping[str, Any]:
        """The attributes to measure under: redacted, or the overflow's."""
        if self._rules.is_idle and amount:
            self._rules.first_measurement()
        key = private.series_key(attributes or {})
        known = self._known.get(key)
        if known is not None:
            return known
        if is_full(self._known, self._rules.limit, overflow=None):
            self._rules.overflowed(self._metric)
            return dict(OVERFLOW_ATTRIBUTES)
        return self._known.setdefault(key, self._rules.redact(attributes or {}))


class ExemplarReservoir:
    """Exemplars that several readers may collect: the SDK's are gone after one collection.

    The newest of each bucket is kept, and given to every collection for a minute. Prometheus ignores repeats.
    """

    __slots__ = ("_boundaries", "_collect", "_newest", "offer")

    def __init__(self, reservoir: Any, boundaries: Sequence[float]) -> None:
        self.offer = reservoir.offer  # bound: a measurement costs nothing more
        self._collect = reservoir.collect
        self._boundaries = tuple(boundaries)
        self._newest: dict[int, tuple[float, Any]] = {}  # by bucket, with the time until which it stays

    def collect(self, point_attributes: Any) -> list[Any]:
        """See `ExemplarReservoir` of the SDK."""
        now = time.monotonic()
        for index, exemplar in enumerate(self._collect(point_attributes)):
            bucket = bisect_left(self._boundaries, exemplar.value) if self._boundaries else index
            self._newest[bucket] = (now + EXEMPLAR_SECONDS, exemplar)
        self._newest = {bucket: newest for bucket, newest in sorted(self._newest.items()) if newest[0] > now}
        return [exemplar for _, exemplar in self._newest.values()]


def limit_series(
    provider: MeterProvider, *, limit: int, redactor: ValueRedactor, on_first_measurement: Callable[[], None]
) -> SeriesLimit:
    """Limit every instrument of the provider to `limit` series, and redact the attributes of each new one.

    `on_first_measurement` is called at the first measurement that is not zero.
    """
    rules = SeriesLimit(limit, redactor, on_first_measurement)
    if self_test.works("series"):
        private.limit_series(provider, rules)
    return rules


def make_reentrant(provider: MeterProvider) -> None:
    """Give the provider locks that their thread may take again."""
    consumer = private.measurement_consumer(provider)
    private.make_reentrant(*(owner for owner in (provider, consumer) if owner is not None))


def reset_after_fork(provider: MeterProvider, resource: Resource, rules: SeriesLimit | None) -> None:
    """Clear every series, and replace every lock that a thread of the parent may have held."""
    if rules is not None:
        rules.is_idle = True
    make_reentrant(provider)
    if self_test.works("resource"):
        private.set_meter_resource(provider, resource)
    if self_test.works("series"):
        private.clear_series(provider)
