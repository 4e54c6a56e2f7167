"""Instruments that take anything: attributes that raise as they are read, and callbacks that want the process to end.

The SDK reads attributes as they come in, so that a `__str__` that raises would raise out of `add`. Of a callback it
expects any `Exception`; another kind ends the thread that collects, and with it the metrics of all the others.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, Final

from opentelemetry import metrics
from opentelemetry.sdk.metrics import Meter

from blogauto_otel._guard import is_foreign, log_once, swallow
from blogauto_otel.otlp.values import NO_REDACTION, ValueRedactor
from blogauto_otel.sdk.scopes import cleaned
from blogauto_otel.sdk.tracer import readable_attributes

_TOLERANT: Final = "_blogauto_tolerant"  # on an instrument: whoever asks for its name again is given the same one


class TolerantMeter(Meter):
    """The SDK's meter, given this class; what it makes is tolerant, and a name that it refuses makes nothing."""

    redactor: ValueRedactor = NO_REDACTION

    def create_counter(self, *args: Any, **kwargs: Any) -> Any:
        """See `Meter`."""
        return _tolerant(_made(self, super().create_counter, *args, **kwargs), "add")

    def create_up_down_counter(self, *args: Any, **kwargs: Any) -> Any:
        """See `Meter`."""
        return _tolerant(_made(self, super().create_up_down_counter, *args, **kwargs), "add")

    def create_gauge(self, *args: Any, **kwargs: Any) -> Any:
        """See `Meter`."""
        return _tolerant(_made(self, super().create_gauge, *args, **kwargs), "set")

    def create_histogram(self, *args: Any, **kwargs: Any) -> Any:
        """See `Meter`."""
        return _tolerant(_made(self, super().create_histogram, *args, **kwargs), "record")

    def create_observable_counter(self, name: str, callbacks: Any = None, *args: Any, **kwargs: Any) -> Any:
        """See `Meter`."""
        return _made(self, super().create_observable_counter, name, _spared(callbacks), *args, **kwargs)

    def create_observable_up_down_counter(self, name: str, callbacks: Any = None, *args: Any, **kwargs: Any) -> Any:
        """See `Meter`."""
        return _made(self, super().create_observable_up_down_counter, name, _spared(callbacks), *args, **kwargs)

    def create_observable_gauge(self, name: str, callbacks: Any = None, *args: Any, **kwargs: Any) -> Any:
        """See `Meter`."""
        return _made(self, super().create_observable_gauge, name, _spared(callbacks), *args, **kwargs)


def _made(meter: TolerantMeter, create: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The instrument; one that does nothing where the SDK refuses its name or unit."""
    try:
        given, named = cleaned(meter.redactor, args, kwargs)
        return create(*given, **named)
    except BaseException as error:
        if not swallow("creating an instrument", error):
            raise
        return getattr(metrics.NoOpMeter("none"), create.__name__)("none")


def _tolerant(instrument: Any, method: str) -> Any:
    """The instrument, whose measurements are repeated with readable attributes when it cannot take them."""
    if hasattr(instrument, _TOLERANT):
        return instrument
    stock = getattr(instrument, method)

    def measure(amount: Any, attributes: Any = None, context: Any = None) -> None:
        try:
            stock(amount, attributes, context)
        except BaseException as unreadable:
            if not is_foreign(unreadable):
                raise
            try:
                stock(amount, readable_attributes(attributes), context)
            except BaseException as error:
                if not swallow("recording a measurement", error):
                    raise

    setattr(instrument, method, measure)
    setattr(instrument, _TOLERANT, True)
    return instrument


# --- callbacks -------------------------------------------------------------------------------------------------------


def _spared(callbacks: Any) -> Any:
    """Each callback, but for generators under way: those the SDK calls in a manner of its own."""
    if callbacks is None:
        return None
    return [callback if isinstance(callback, Generator) else _sparing(callback) for callback in callbacks]


def _sparing(callback: Callable[..., Iterable[Any]]) -> Callable[..., Iterable[Any]]:
    def observe(options: Any) -> Iterable[Any]:
        try:
            yield from callback(options)
        except BaseException as error:
            if isinstance(error, Exception) or not is_foreign(error):  # the SDK logs any `Exception`
                raise
            log_once("callback exits", "a metric callback raised %r; its metrics are missing", error)

    return observe
