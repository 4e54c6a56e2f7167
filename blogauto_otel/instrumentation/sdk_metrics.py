"""Ourselves in metrics: what delivery took, sent, keeps and lost, and the errors that the guard swallowed.

Everything is counted where it happens; here it is only read, when somebody collects.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from blogauto_otel import _guard, semconv
from blogauto_otel._guard import guard
from blogauto_otel.api.metric_spec import Kind
from blogauto_otel.api.sdk_metrics import SDK_METRICS, SDK_METRICS_NAMESPACE
from blogauto_otel.export.signal_exporter import SignalStats
from blogauto_otel.instrumentation import Context, Report, State
from blogauto_otel.otlp import drop_reasons

if TYPE_CHECKING:
    from blogauto_otel.export.spooler import SpoolStats

NAME: Final = "selfmetrics"

# One figure of one signal, by metric.
_OF_A_SIGNAL: Final[Mapping[str, Callable[[SignalStats], float]]] = MappingProxyType(
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

_OF_THE_SPOOL: Final[Mapping[str, Callable[[SpoolStats], float]]] = MappingProxyType(
    {
        "spool.files": lambda spool: spool.files,
        "spool.bytes": lambda spool: spool.bytes,
        "spool.oldest_file_age": lambda spool: spool.oldest_age,
        "spool.damaged": lambda spool: spool.quarantined,
        "spool.errors": lambda spool: spool.errors,
    }
)

# There from the start at 0, so that the first loss is an increase: a series that begins above 0 shows none.
_USUAL_LOSSES: Final = (
    drop_reasons.QUEUE_FULL,
    drop_reasons.REJECTED,
    drop_reasons.SHUTDOWN,
    drop_reasons.SPOOL_DAMAGED,
    drop_reasons.SPOOL_EXPIRED,
    drop_reasons.SPOOL_FULL,
    drop_reasons.TOO_LARGE,
    drop_reasons.UNSERIALISABLE,
)

_NO_LOSSES: Final = frozenset((drop_reasons.SUPERSEDED, drop_reasons.WITHHELD))

_context: Context | None = None
_began = time.time()


class Figures(NamedTuple):
    """The metrics of one signal: those that it has, by name, and its losses by reason."""

    values: Mapping[str, float]
    dropped: Mapping[str, int]


_further: Final[dict[str, Callable[[], Figures]]] = {}


def report_also(signal: str, read: Callable[[], Figures]) -> None:
    """Report the metrics of another signal beside those of delivery; a metric that `read` leaves out has no series."""
    _further[signal] = read


def figures_of(stats: SignalStats) -> Figures:
    """The metrics of a signal of ours."""
    return Figures({name: figure(stats) for name, figure in _OF_A_SIGNAL.items()}, stats.dropped)


def report_no_longer(signal: str) -> None:
    """Show them no longer."""
    _further.pop(signal, None)


def instrument(context: Context) -> Report:
    """Report on this process from now on."""
    global _context, _began
    _context, _began = context, time.time()
    meter = context.meter_provider.get_meter(semconv.SCOPE_SELF)
    for metric in SDK_METRICS:
        _creator(meter, metric.kind)(
            metric.otel_name(SDK_METRICS_NAMESPACE),
            [_observing(metric.name, context)],
            unit=metric.unit,
            description=metric.description,
        )
    return Report(NAME, State.ON)


def uninstrument() -> None:
    """Fall silent; the instruments stay."""
    global _context
    _context = None


def after_fork_in_child() -> None:
    """The child is a process of its own."""
    global _began
    _began = time.time()


def _creator(meter: Meter, kind: Kind) -> Callable[..., object]:
    create: Mapping[Kind, Callable[..., object]] = {
        Kind.OBSERVABLE_COUNTER: meter.create_observable_counter,
        Kind.OBSERVABLE_UP_DOWN_COUNTER: meter.create_observable_up_down_counter,
        Kind.OBSERVABLE_GAUGE: meter.create_observable_gauge,
    }
    return create[kind]


def _observing(name: str, context: Context) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        with guard("reporting on ourselves"):
            return _OTHERS.get(name, _by_signal)(name, context) if _context is context else ()
        return ()

    return observe


def _by_signal(name: str, context: Context) -> list[Observation]:
    figure = _OF_A_SIGNAL.get(name)
    values = (
        {}
        if figure is None
        else {signal.value: figure(stats) for signal, stats in context.delivery.stats().signals.items()}
    )
    for signal, read in tuple(_further.items()):
        value = read().values.get(name)
        if value is not None:
            values[signal] = value
    return [Observation(value, {"signal": signal}) for signal, value in values.items()]


def _dropped(_: str, context: Context) -> list[Observation]:
    """By reason; what was replaced by something newer, or never made, is no loss."""
    dropped = {signal.value: stats.dropped for signal, stats in context.delivery.stats().signals.items()}
    dropped.update({signal: read().dropped for signal, read in tuple(_further.items())})
    return [
        Observation(count, {"signal": signal, "reason": reason})
        for signal, by_reason in dropped.items()
        for reason, count in {**dict.fromkeys(_USUAL_LOSSES, 0), **by_reason}.items()
        if reason not in _NO_LOSSES
    ]


def _capacity(_: str, context: Context) -> list[Observation]:
    return [
        Observation(context.settings.queue_bytes, {"signal": signal.value})
        for signal in context.delivery.stats().signals
    ]


def _spool(name: str, context: Context) -> list[Observation]:
    spool = context.delivery.stats().spool
    return [] if spool is None else [Observation(_OF_THE_SPOOL[name](spool))]


def _spool_capacity(_: str, context: Context) -> list[Observation]:
    return [] if context.delivery.stats().spool is None else [Observation(context.settings.spool_bytes)]


def _swallowed(_: str, __: Context) -> list[Observation]:
    return [Observation(count, {"where": where}) for where, count in _guard.swallowed().items()]


def _start_time(_: str, __: Context) -> list[Observation]:
    return [Observation(_began)]


_OTHERS: Final[Mapping[str, Callable[[str, Context], list[Observation]]]] = MappingProxyType(
    {
        "items.dropped": _dropped,
        "queue.capacity": _capacity,
        **dict.fromkeys(_OF_THE_SPOOL, _spool),
        "spool.capacity": _spool_capacity,
        "errors.swallowed": _swallowed,
        "process.start_time": _start_time,
    }
)
