"""Metrics of the SDK itself: items accepted, sent, queued, spooled and dropped, and internal errors.

Every event is counted where it happens; this module only reads the counts when metrics are collected.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

from blogauto_otel import _guard, semconv
from blogauto_otel._guard import guard
from blogauto_otel._process import register
from blogauto_otel.api.metric_spec import Kind
from blogauto_otel.api.sdk_metrics import SDK_METRICS, SDK_METRICS_NAMESPACE
from blogauto_otel.export.stats import SignalStats
from blogauto_otel.instrumentation import Context, Report, State
from blogauto_otel.otlp import drop_reasons
from blogauto_otel.sdk.instruments import is_for_baseline

if TYPE_CHECKING:
    from blogauto_otel.export.stats import SpoolStats

NAME: Final = "sdk_metrics"

# How to read each metric of a signal.
_BY_METRIC: Final[Mapping[str, Callable[[SignalStats], float]]] = MappingProxyType(
    {
        "items.accepted": lambda stats: stats.accepted,
        "items.sent": lambda stats: stats.sent,
        "items.spooled": lambda stats: stats.spooled,
        "items.redelivered": lambda stats: stats.redelivered,
        "items.superseded": lambda stats: stats.dropped.get(drop_reasons.SUPERSEDED, 0),
        "items.withheld": lambda stats: stats.dropped.get(drop_reasons.WITHHELD, 0),
        "export.requests": lambda stats: stats.requests,
        "export.retries": lambda stats: stats.retries,
        "export.duration": lambda stats: stats.request_seconds,
        "queue.items": lambda stats: stats.queue_items,
        "queue.bytes": lambda stats: stats.queue_bytes,
        "queue.high_water": lambda stats: stats.high_water,
        "queue.oldest_item_age": lambda stats: stats.oldest_age,
    }
)

_BY_SPOOL_METRIC: Final[Mapping[str, Callable[[SpoolStats], float]]] = MappingProxyType(
    {
        "spool.files": lambda spool: spool.files,
        "spool.bytes": lambda spool: spool.bytes,
        "spool.oldest_file_age": lambda spool: spool.oldest_age,
        "spool.damaged": lambda spool: spool.quarantined,
        "spool.errors": lambda spool: spool.errors,
    }
)

# Exported at 0 from the start, so that the first loss is an increase: a series that begins above 0 shows none.
_REASONS_FROM_START: Final = (
    drop_reasons.QUEUE_FULL,
    drop_reasons.REJECTED,
    drop_reasons.SHUTDOWN,
    drop_reasons.SPOOL_DAMAGED,
    drop_reasons.SPOOL_EXPIRED,
    drop_reasons.SPOOL_FULL,
    drop_reasons.TOO_LARGE,
    drop_reasons.UNSERIALISABLE,
)

_NOT_DROPPED: Final = frozenset((drop_reasons.SUPERSEDED, drop_reasons.WITHHELD))


class SignalFigures(NamedTuple):
    """The metrics of one signal: those that it has, by name, and its dropped items by reason."""

    values: Mapping[str, float]
    dropped: Mapping[str, int]


class _State:
    """What is reported on, or None while nothing is; the start of the process; signals that others deliver."""

    def __init__(self) -> None:
        self.context: Context | None = None
        self.start_time = time.time()
        self.other_signals: dict[str, Callable[[], SignalFigures]] = {}

    def after_fork_in_child(self) -> None:
        """The child is a process of its own."""
        self.start_time = time.time()

    def reset(self) -> None:
        """Report nothing any more."""
        self.context = None


_state: Final = register(_State())


def report_also(signal: str, read: Callable[[], SignalFigures]) -> None:
    """Report the metrics of another signal beside those of delivery; a metric that `read` leaves out has no series."""
    _state.other_signals[signal] = read


def figures_of(stats: SignalStats) -> SignalFigures:
    """The metrics of a signal that delivery exports."""
    return SignalFigures({name: figure(stats) for name, figure in _BY_METRIC.items()}, stats.dropped)


def report_no_longer(signal: str) -> None:
    """Undo `report_also`."""
    _state.other_signals.pop(signal, None)


def instrument(context: Context) -> Report:
    """Report on this process from now on."""
    _state.context, _state.start_time = context, time.time()
    meter = context.meter_provider.get_meter(semconv.SCOPE_SELF)
    for metric in SDK_METRICS:
        _creator(meter, metric.kind)(
            metric.otel_name(SDK_METRICS_NAMESPACE),
            [_observing(metric.name, context.meter_provider)],
            unit=metric.unit,
            description=metric.description,
        )
    return Report(NAME, State.ON)


def uninstrument() -> None:
    """Report nothing any more; the instruments stay, without data points."""
    _state.reset()


def after_fork_in_child() -> None:
    """The child is a process of its own."""
    _state.after_fork_in_child()


def _creator(meter: Meter, kind: Kind) -> Callable[..., object]:
    create: Mapping[Kind, Callable[..., object]] = {
        Kind.OBSERVABLE_COUNTER: meter.create_observable_counter,
        Kind.OBSERVABLE_UP_DOWN_COUNTER: meter.create_observable_up_down_counter,
        Kind.OBSERVABLE_GAUGE: meter.create_observable_gauge,
    }
    return create[kind]


def _observing(name: str, provider: MeterProvider) -> Callable[[CallbackOptions], Iterable[Observation]]:
    """By the provider, because it keeps the first instrument of a name when it is instrumented again."""

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        context = _state.context
        if context is None or context.meter_provider is not provider or is_for_baseline():
            return ()
        with guard("reporting on ourselves"):
            return _NOT_BY_SIGNAL.get(name, _by_signal)(name, context)
        return ()

    return observe


def _by_signal(name: str, context: Context) -> list[Observation]:
    figure = _BY_METRIC.get(name)
    values = (
        {}
        if figure is None
        else {signal.value: figure(stats) for signal, stats in context.delivery.stats().signals.items()}
    )
    for signal, read in tuple(_state.other_signals.items()):
        value = read().values.get(name)
        if value is not None:
            values[signal] = value
    return [Observation(value, {"signal": signal}) for signal, value in values.items()]


def _dropped(_: str, context: Context) -> list[Observation]:
    """By reason, without items that newer ones replaced or that a rate limit kept from being made."""
    dropped = {signal.value: stats.dropped for signal, stats in context.delivery.stats().signals.items()}
    dropped.update({signal: read().dropped for signal, read in tuple(_state.other_signals.items())})
    return [
        Observation(count, {"signal": signal, "reason": reason})
        for signal, by_reason in dropped.items()
        for reason, count in {**dict.fromkeys(_REASONS_FROM_START, 0), **by_reason}.items()
        if reason not in _NOT_DROPPED
    ]


def _capacity(_: str, context: Context) -> list[Observation]:
    return [
        Observation(context.settings.queue_bytes, {"signal": signal.value})
        for signal in context.delivery.stats().signals
    ]


def _spool(name: str, context: Context) -> list[Observation]:
    spool = context.delivery.stats().spool
    return [] if spool is None else [Observation(_BY_SPOOL_METRIC[name](spool))]


def _spool_capacity(_: str, context: Context) -> list[Observation]:
    return [] if context.delivery.stats().spool is None else [Observation(context.settings.spool_bytes)]


def _swallowed(_: str, __: Context) -> list[Observation]:
    return [Observation(count, {"where": where}) for where, count in _guard.swallowed().items()]


def _start_time(_: str, __: Context) -> list[Observation]:
    return [Observation(_state.start_time)]


_NOT_BY_SIGNAL: Final[Mapping[str, Callable[[str, Context], list[Observation]]]] = MappingProxyType(
    {
        "items.dropped": _dropped,
        "queue.capacity": _capacity,
        **dict.fromkeys(_BY_SPOOL_METRIC, _spool),
        "spool.capacity": _spool_capacity,
        "errors.swallowed": _swallowed,
        "process.start_time": _start_time,
    }
)
