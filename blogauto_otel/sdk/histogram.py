"""Histograms with explicit buckets: counts by series in plain lists, added to what a reader collects.

The SDK's histogram costs 6 to 12 µs for each measurement, because it looks the series up again and makes several
objects. A series bound here costs half a microsecond. Buckets, temporality, exemplar filter and limit of series are as
in the SDK. Where a view of the application matches a histogram, the SDK records it.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from math import inf, isfinite
from time import time_ns
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from opentelemetry import metrics
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context, get_current
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    Metric,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, get_current_span, set_span_in_context

from blogauto_otel._cardinality import OVERFLOW_ATTRIBUTES
from blogauto_otel._guard import is_foreign, log_once, swallow
from blogauto_otel._memo import BoundedMemo
from blogauto_otel._otel import span_in
from blogauto_otel.sdk import private, series
from blogauto_otel.sdk.plain import to_plain_attributes
from blogauto_otel.sdk.series import SeriesLimit

Attributes: TypeAlias = Mapping[str, Any]
# What an exemplar is taken from: the span, or the context that has it; None for no exemplar.
Source: TypeAlias = SpanContext | Context | None

OURS: Final = "_blogauto_histogram"  # on an instrument of the SDK: the histogram that records for it
_SAMPLED: Final = int(TraceFlags.SAMPLED)
_PLAIN: Final = frozenset({str, bool, int, float})


class BoundHistogram(Protocol):
    """One series of a histogram."""

    def record(self, value: float, context: Source = None) -> None:
        """Record a measurement, which must be finite and not negative.

        Args:
            value: in the unit of the histogram.
            context: the span in which it was measured, for an exemplar if the exemplar filter wants one.
        """

    def record_sampled(self, value: float, trace_id: int, span_id: int) -> None:
        """The same for a measurement in a sampled span, without an object for its context."""


def bind_histogram(histogram: metrics.Histogram, attributes: Attributes) -> BoundHistogram:
    """The series of these attributes in a histogram of any provider; the attributes must not change.

    Beyond the limit of series it is the overflow series. It stays valid in a forked child, where it begins at zero.
    """
    ours: ExplicitBucketHistogram | None = getattr(histogram, OURS, None)
    return ours.bind(attributes) if ours is not None else _PublicSeries(histogram, attributes)


class _PublicSeries:
    """A series of a histogram that is not ours: each measurement goes through the API."""

    __slots__ = ("_attributes", "_histogram")

    def __init__(self, histogram: metrics.Histogram, attributes: Attributes) -> None:
        self._histogram = histogram
        self._attributes = attributes

    def record(self, value: float, context: Source = None) -> None:
        """See `BoundHistogram`."""
        self._histogram.record(value, self._attributes, _context_of(context))

    def record_sampled(self, value: float, trace_id: int, span_id: int) -> None:
        """See `BoundHistogram`."""
        self.record(value, SpanContext(trace_id, span_id, False, TraceFlags(_SAMPLED)))


def _context_of(source: Source) -> Context | None:
    return set_span_in_context(NonRecordingSpan(source), Context()) if isinstance(source, SpanContext) else source


class _Sent(NamedTuple):
    """What the last collection with delta temporality ended with."""

    counts: Sequence[int]
    sum: float
    time: int


class Series:
    """One series: a count for each bucket, and the newest exemplar of each.

    An exemplar for each bucket, because the many fast measurements would take the only place from the slow one that
    somebody looks for. It is a tuple of numbers, which the garbage collector does not keep track of.

    The lock is reentrant: a finalizer or a signal handler may measure in the middle of a measurement. For the same
    reason nothing is called between reading and writing a value.
    """

    __slots__ = (
        "_attributes", "_boundaries", "_counts", "_exemplars", "_high", "_histogram", "_is_idle", "_lock", "_low",
        "_range", "_range_since", "_sent", "_shown", "_started", "_sum",
    )  # fmt: skip

    def __init__(self, histogram: ExplicitBucketHistogram, attributes: Attributes) -> None:
        self._histogram = histogram
        self._attributes = attributes
        self._boundaries = histogram.boundaries
        self.reset()

    def reset(self) -> None:
        """Begin at zero with a new lock, as a forked child must; until its next measurement it is not collected."""
        self._lock = threading.RLock()
        self._started = time.time_ns()
        self._counts = [0] * (len(self._boundaries) + 1)
        self._sum: float = 0
        self._low, self._high = inf, -inf  # since the last collection
        self._range = self._range_since = (inf, -inf)  # ever; since the last collection with delta temporality
        self._exemplars: list[tuple[float, int, int, int] | None] = [None] * len(self._counts)
        self._shown: dict[int, tuple[Any, float]] = {}  # by bucket: an exemplar, and until when it is collected
        self._sent = _Sent((0,) * len(self._counts), 0, self._started)
        self._is_idle = True  # nothing but zeros was measured

    def record(self, value: float, context: Source = None) -> None:
        """See `BoundHistogram`."""
        bucket = bisect_left(self._boundaries, value)
        with self._lock:
            self._counts[bucket] += 1
            self._sum += value
            if value > self._high:
                self._high = value
            if value < self._low:
                self._low = value
        if self._is_idle and value:
            self._is_idle = False
            if self._histogram.rules.is_idle:
                self._histogram.rules.first_measurement()
        if context is not None:
            self._offer(bucket, value, context)
        if self._histogram.forward is not None:
            self._histogram.forward(value, self._attributes, _context_of(context))

    def record_sampled(self, value: float, trace_id: int, span_id: int) -> None:
        """See `BoundHistogram`."""
        bucket = bisect_left(self._boundaries, value)
        with self._lock:  # as in `record`, without the call
            self._counts[bucket] += 1
            self._sum += value
            if value > self._high:
                self._high = value
            if value < self._low:
                self._low = value
        if self._is_idle and value:
            self._is_idle = False
            if self._histogram.rules.is_idle:
                self._histogram.rules.first_measurement()
        if self._histogram.forward is not None:
            self._histogram.forward(value, self._attributes, None)
        if self._histogram.exemplars != "always_off":
            self._exemplars[bucket] = (value, time_ns(), trace_id, span_id)

    def _offer(self, bucket: int, value: float, context: SpanContext | Context) -> None:
        """Take an exemplar if the filter wants it."""
        histogram = self._histogram
        if isinstance(context, SpanContext):
            span = context
        else:
            current = span_in(context)
            if getattr(current, "is_sampled", None) is False and histogram.exemplars != "always_on":
                return  # one of ours, which makes its span context when it is asked
            span = get_current_span(context).get_span_context()
        if histogram.exemplars == "always_on" or (histogram.exemplars == "trace_based" and span.trace_flags & _SAMPLED):
            self._exemplars[bucket] = (value, time.time_ns(), span.trace_id, span.span_id)

    # --- read by the thread that collects metrics -----------------------------------------------------------------

    def collect(self, now: int, *, delta: bool) -> HistogramDataPoint | None:
        """The data point; None when nothing was measured, with delta temporality since the collection before."""
        with self._lock:
            counts, total = [*self._counts], self._sum
            low, high = self._low, self._high
            self._low, self._high = inf, -inf
            self._range = _wider(self._range, low, high)
            self._range_since = _wider(self._range_since, low, high)
            started, (low, high) = self._started, self._range
            if delta:
                before, self._sent = self._sent, _Sent(counts, total, now)
                (low, high), self._range_since = self._range_since, (inf, -inf)
                counts = [new - old for new, old in zip(counts, before.counts, strict=True)]
                total, started = total - before.sum, before.time
        if not any(counts):
            return None
        return HistogramDataPoint(
            attributes=self._attributes,
            start_time_unix_nano=started,
            time_unix_nano=now,
            count=sum(counts),
            sum=total,
            bucket_counts=tuple(counts),
            explicit_bounds=self._boundaries,
            min=low,
            max=high,
            exemplars=self._collect_exemplars(),
        )

    def _collect_exemplars(self) -> list[Exemplar]:
        """Those of a minute: every reader sees each of them, however often one of them collects."""
        now = time.monotonic()
        found = []
        for bucket, exemplar in enumerate(self._exemplars):
            if exemplar is None:
                continue
            known = self._shown.get(bucket)
            if known is None or known[0] is not exemplar:
                known = self._shown[bucket] = (exemplar, now + series.EXEMPLAR_SECONDS)
            if known[1] > now:
                value, at, trace_id, span_id = exemplar
                found.append(Exemplar({}, value, at, span_id or None, trace_id or None))
            elif self._exemplars[bucket] is exemplar:
                self._exemplars[bucket] = None
        return found


def _wider(known: tuple[float, float], low: float, high: float) -> tuple[float, float]:
    return min(known[0], low), max(known[1], high)


class ExplicitBucketHistogram:
    """The series of one histogram instrument.

    Args:
        instrument: the SDK's instrument, which the application has.
        boundaries: the upper bounds of the buckets, increasing.
        rules: the limit of series, and the redaction of their attributes.
        exemplars: `trace_based`, `always_on` or `always_off`.
    """

    def __init__(
        self, instrument: SdkHistogram, boundaries: Sequence[float], rules: SeriesLimit, exemplars: str
    ) -> None:
        self.instrument = instrument
        self.boundaries = tuple(boundaries)
        self.rules = rules
        self.exemplars = exemplars
        self.forward: Any = None  # the SDK's `record`, for readers that are not ours
        self._inherited = 0  # series of the parent process, which do not count towards the limit
        self._lock = threading.RLock()
        self._series: dict[Any, Series] = {}  # by the key of their redacted attributes
        self._overflow = Series(self, dict(OVERFLOW_ATTRIBUTES))
        self._known: BoundedMemo[Any, Series] = BoundedMemo(rules.limit)  # by attributes as they are given

    def record(self, amount: float, attributes: Attributes | None = None, context: Context | None = None) -> None:
        """See `opentelemetry.metrics.Histogram`."""
        try:
            if not (isfinite(amount) and amount >= 0):
                name = self.instrument.name
                log_once(f"amount {name}", "the histogram %s cannot record %s, which is left out", name, amount)
                return
            self._find(attributes).record(amount, context or get_current())
        except BaseException as error:
            if not swallow("recording a measurement", error):
                raise

    def bind(self, attributes: Attributes) -> Series:
        """The series of these attributes."""
        return self._find(attributes)

    def _find(self, attributes: Attributes | None) -> Series:
        if type(attributes) is dict:
            kinds = tuple(map(type, attributes.values()))  # because 1, 1.0 and True are equal
            if _PLAIN.issuperset(kinds):
                key = (kinds, *attributes.items())
                return self._known.get(key) or self._known_as(key, attributes)
        return self._find_or_add(attributes)

    def _known_as(self, key: Any, attributes: Attributes) -> Series:
        found = self._find_or_add(attributes)
        # Not for what overflows: a client may think of new attributes for ever.
        return found if found is self._overflow else self._known.remember(key, found)

    def _find_or_add(self, attributes: Attributes | None) -> Series:
        redacted = self.rules.redact(_readable(attributes))
        key = private.series_key(redacted)
        found = self._series.get(key)
        if found is not None:
            return found
        added = Series(self, redacted)
        with self._lock:
            if key in self._series or len(self._series) - self._inherited < self.rules.limit:
                return self._series.setdefault(key, added)
        self.rules.overflowed(self.instrument.name)  # not under the lock: it logs
        return self._overflow

    def collect(self, now: int, *, delta: bool) -> Metric | None:
        """The metric with a data point for each series; None when nothing was measured."""
        every = [*self._series.copy().values(), self._overflow]
        points = [point for one in every if (point := one.collect(now, delta=delta)) is not None]
        if not points:
            return None
        temporality = AggregationTemporality.DELTA if delta else AggregationTemporality.CUMULATIVE
        instrument = self.instrument
        return Metric(
            instrument.name, instrument.description, instrument.unit or "", HistogramData(points, temporality)
        )

    def after_fork_in_child(self) -> None:
        """Begin at zero. Series that are bound stay; those that are not measured again are not collected."""
        self._lock = threading.RLock()
        self._inherited = len(self._series)
        for one in (*self._series.values(), self._overflow):
            one.reset()


def _readable(attributes: Any) -> Attributes:
    """The attributes as the SDK takes them; plain values in place of what cannot be read."""
    if not attributes:
        return {}
    try:
        plain = dict(BoundedAttributes(attributes=attributes))
        if len(plain) == len(attributes):  # older versions leave out what is not plain
            return plain
    except BaseException as error:
        if not is_foreign(error):
            raise
    return to_plain_attributes(attributes) or {}
