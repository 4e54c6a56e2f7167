"""Instruments that accept any attributes, and callbacks that may raise anything.

The SDK reads attributes as they come in, so that a `__str__` that raises would raise out of `add`. Of a callback it
expects any `Exception`; another kind ends the thread that collects, and with it the metrics of all the others.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from opentelemetry import metrics
from opentelemetry.sdk.metrics import Meter

from blogauto_otel._guard import is_foreign, log_once, swallow
from blogauto_otel.otlp.plain_values import NO_REDACTION, ValueRedactor
from blogauto_otel.sdk.plain import to_plain_attributes
from blogauto_otel.sdk.scopes import NameLimit, redact_arguments
from blogauto_otel.sdk.series import MeasuredSeries, SeriesLimit

MAX_INSTRUMENTS: Final = 2_000  # of a provider: an application that generates names must not fill its memory
_TOLERANT: Final = "_blogauto_tolerant"  # on an instrument: a second request for its name returns the same one
_IN_BASELINE: Final[ContextVar[bool]] = ContextVar("blogauto_otel_in_baseline", default=False)
is_for_baseline: Final = _IN_BASELINE.get  # whether what is collected will only be subtracted


@contextmanager
def for_baseline() -> Iterator[None]:
    """A block whose collections will only be subtracted from later ones, so that callbacks of others are not called.

    Those of gauges and up-down counters are not called, nor those of the metrics about our own delivery, which are half
    of the series of a small application. Collections of other threads are not affected.
    """
    token = _IN_BASELINE.set(True)
    try:
        yield
    finally:
        _IN_BASELINE.reset(token)


class TolerantMeter(Meter):
    """The SDK's meter, given this class; its instruments are tolerant, and one whose name is refused does nothing."""

    redactor: ValueRedactor = NO_REDACTION
    names: NameLimit | None = None
    series: SeriesLimit | None = None  # applied here where the SDK's storage cannot be limited
    adopt_histogram: Callable[[Any, Any], bool] = staticmethod(lambda *_: False)  # whether we record this histogram

    def create_counter(self, *args: Any, **kwargs: Any) -> Any:
        """See `Meter`."""
        return _tolerant(_create(self, super().create_counter, *args, **kwargs), "add", self.series)

    def create_up_down_counter(self, *args: Any, **kwargs: Any) -> Any:
        """See `Meter`."""
        return _tolerant(_create(self, super().create_up_down_counter, *args, **kwargs), "add", self.series)

    def create_gauge(self, *args: Any, **kwargs: Any) -> Any:
        """See `Meter`."""
        return _tolerant(_create(self, super().create_gauge, *args, **kwargs), "set", self.series)

    def create_histogram(self, *args: Any, **kwargs: Any) -> Any:
        """See `Meter`."""
        instrument = _create(self, super().create_histogram, *args, **kwargs)
        if self.adopt_histogram(instrument, kwargs.get("explicit_bucket_boundaries_advisory")):
            return instrument
        return _tolerant(instrument, "record", self.series)

    def create_observable_counter(self, name: str, callbacks: Any = None, *args: Any, **kwargs: Any) -> Any:
        """See `Meter`."""
        guarded = _guard_callbacks(name, callbacks, self.series, is_total=True)
        return _create(self, super().create_observable_counter, name, guarded, *args, **kwargs)

    def create_observable_up_down_counter(self, name: str, callbacks: Any = None, *args: Any, **kwargs: Any) -> Any:
        """See `Meter`."""
        guarded = _guard_callbacks(name, callbacks, self.series)
        return _create(self, super().create_observable_up_down_counter, name, guarded, *args, **kwargs)

    def create_observable_gauge(self, name: str, callbacks: Any = None, *args: Any, **kwargs: Any) -> Any:
        """See `Meter`."""
        guarded = _guard_callbacks(name, callbacks, self.series)
        return _create(self, super().create_observable_gauge, name, guarded, *args, **kwargs)


def _create(meter: TolerantMeter, create: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The instrument; one that does nothing where the SDK refuses its name or unit, or there are too many."""
    try:
        given, named = redact_arguments(meter.redactor, args, kwargs)
        texts = [text.lower() for text in (*given, *named.values()) if isinstance(text, str)]
        if meter.names is None or meter.names.admits((meter.name, create.__name__, *texts), {}):
            return create(*given, **named)
    except BaseException as error:
        if not swallow("creating an instrument", error):
            raise
    return getattr(metrics.NoOpMeter("none"), create.__name__)("none")


def _tolerant(instrument: Any, method: str, rules: SeriesLimit | None) -> Any:
    """The instrument, whose measurements are repeated with plain attributes when it cannot take them."""
    if hasattr(instrument, _TOLERANT):
        return instrument
    measure = getattr(instrument, method)
    if rules is not None:
        measure = _limited(measure, MeasuredSeries(getattr(instrument, "name", "none"), rules))

    def measure_any(amount: Any, attributes: Any = None, context: Any = None) -> None:
        try:
            measure(amount, attributes, context)
        except BaseException as unreadable:
            if not is_foreign(unreadable):
                raise
            try:
                measure(amount, to_plain_attributes(attributes), context)
            except BaseException as error:
                if not swallow("recording a measurement", error):
                    raise

    setattr(instrument, method, measure_any)
    setattr(instrument, _TOLERANT, True)
    return instrument


def _limited(measure: Callable[..., Any], series: MeasuredSeries) -> Callable[..., Any]:
    def measure_limited(amount: Any, attributes: Mapping[str, Any] | None, context: Any) -> None:
        measure(amount, series.attributes(attributes, amount), context)

    return measure_limited


# --- callbacks -------------------------------------------------------------------------------------------------------


def _guard_callbacks(name: str, callbacks: Any, rules: SeriesLimit | None, *, is_total: bool = False) -> Any:
    """Each callback guarded, except generator objects: the SDK calls those differently."""
    if callbacks is None:
        return None
    series = None if rules is None else MeasuredSeries(name, rules)
    return [it if isinstance(it, Generator) else _guard_callback(it, series, is_total=is_total) for it in callbacks]


def _guard_callback(
    callback: Callable[..., Iterable[Any]], series: MeasuredSeries | None, *, is_total: bool
) -> Callable[..., Iterable[Any]]:
    def observe(options: Any) -> Iterable[Any]:
        if not is_total and is_for_baseline():
            return
        try:
            if series is None:
                yield from callback(options)
            else:
                for it in callback(options):
                    yield metrics.Observation(it.value, series.attributes(it.attributes, it.value), it.context)
        except BaseException as error:
            if isinstance(error, Exception) or not is_foreign(error):  # the SDK logs any `Exception`
                raise
            log_once("callback exits", "a metric callback raised %r; its metrics are missing", error)

    return observe
