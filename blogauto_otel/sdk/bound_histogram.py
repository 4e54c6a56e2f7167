"""A histogram's series, found once: recording into it costs a third of what finding it anew each time costs.

The SDK has no bound instruments (the specification dropped them), and its aggregations are private. So the first
measurement of a series goes the public way; then the aggregations it ended in are looked up, and used from there on.
Where anything about that is not as in the SDK we know, every measurement goes the public way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import time_ns
from typing import Any

from opentelemetry.context import Context
from opentelemetry.metrics import Histogram
from opentelemetry.sdk.metrics import TraceBasedExemplarFilter
from opentelemetry.sdk.metrics._internal._view_instrument_match import _hash_attributes


class _Measurement:
    """What an aggregation reads of a measurement; the SDK's own class checks the attributes each time."""

    __slots__ = ("attributes", "context", "instrument", "time_unix_nano", "value")

    def __init__(self, value: float, instrument: Any, context: Context, attributes: Mapping[str, Any]) -> None:
        self.value = value
        self.time_unix_nano = time_ns()
        self.instrument = instrument
        self.context = context
        self.attributes = attributes


class BoundHistogram:
    """One series of a histogram of any provider; `attributes` must not change."""

    __slots__ = ("_aggregate", "_attributes", "_consumer", "_histogram", "_may_be_exemplar", "_storages")

    def __init__(self, histogram: Histogram, attributes: Mapping[str, Any]) -> None:
        self._histogram = histogram
        self._attributes = attributes
        self._consumer: Any = getattr(histogram, "_measurement_consumer", None)
        self._storages: object = None
        self._aggregate: tuple[Callable[[Any, bool], None], ...] = ()
        self._may_be_exemplar: Callable[..., bool] | None = None  # None: when its span is sampled

    def record(self, value: float, context: Context, *, sampled: bool) -> None:
        """Record a measurement, which must be finite and not negative; `sampled` says it of the span in `context`."""
        if self._storages is None or self._storages is not self._consumer._reader_storages:
            self._histogram.record(value, self._attributes, context)
            self._bind()
            return
        measurement = _Measurement(value, self._histogram, context, self._attributes)
        if self._may_be_exemplar is not None:
            sampled = self._may_be_exemplar(value, measurement.time_unix_nano, self._attributes, context)
        for aggregate in self._aggregate:
            aggregate(measurement, sampled)

    def _bind(self) -> None:
        """Look up where the measurement went; a reader that is added later makes us look again."""
        try:
            storages = self._consumer._reader_storages
            chosen = self._consumer._sdk_config.exemplar_filter
            self._may_be_exemplar = None if type(chosen) is TraceBasedExemplarFilter else chosen.should_sample
            self._aggregate = tuple(
                _series_of(match, self._attributes).aggregate
                for storage in storages.values()
                for match in storage._instrument_view_instrument_matches[self._histogram]
            )
            self._storages = storages
        except (AttributeError, KeyError, TypeError):
            self._storages = None


def _series_of(match: Any, attributes: Mapping[str, Any]) -> Any:
    """The aggregation of one view; a series that came after the last free place has none of its own: KeyError."""
    keys = match._view._attribute_keys
    kept = attributes if keys is None else {key: value for key, value in attributes.items() if key in keys}
    return match._attributes_aggregation[_hash_attributes(kept)]
