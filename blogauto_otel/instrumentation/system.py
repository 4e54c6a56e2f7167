"""Metrics of the host, or of the container when it has limits; with them, those of the process and its event loop.

Values are read when metrics are collected, never on the event loop, and shared for a few seconds: a scrape beside the
push must not shorten the window of the CPU.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from opentelemetry.metrics import CallbackOptions, Observation

from blogauto_otel import semconv
from blogauto_otel._guard import log_once, swallow
from blogauto_otel._process import register
from blogauto_otel.api.catalogue import Kind, spec
from blogauto_otel.instrumentation import Context, Report, State, event_loop, host, process_metrics
from blogauto_otel.instrumentation.host import CpuTime, Roots

NAME: Final = "system"

# Seconds for which a value is shared by all who collect, and the shortest window of the CPU.
SHARED_FOR: Final = 5.0

T = TypeVar("T")

_ATTRIBUTES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({"active_connections": {"type": "tcp"}})


class _Shared(Generic[T]):
    """A value that is read at most once every few seconds, however many collect."""

    def __init__(self, read: Callable[[], T]) -> None:
        self._read = read
        self._lock = threading.RLock()  # a signal handler may collect in the middle of a collection
        self._value: T | None = None
        self._until = float("-inf")

    def get(self) -> T:
        with self._lock:
            if self._value is None or monotonic() >= self._until:
                self._value = self._read()
                self._until = monotonic() + SHARED_FOR
            return self._value


class _Readings:
    """The readings of one process; a forked child has its own."""

    def __init__(self, roots: Roots) -> None:
        self.roots = roots
        self._before = self._cpu_time()
        self._memory = _Shared(lambda: host.memory(roots))
        self._cpu = _Shared(self._cpu_percent)
        self._disk = _Shared(lambda: host.disk_percent(roots))
        self._tcp = _Shared(lambda: host.tcp_connections(roots))

    def by_name(self) -> Mapping[str, Callable[[], float | None]]:
        """How to read each gauge, by its name in the catalogue."""
        return {
            "cpu.usage": self._cpu.get,
            "memory.usage": lambda: found.used if (found := self._memory.get()) else None,
            "memory.available": lambda: found.available if (found := self._memory.get()) else None,
            "memory.total": lambda: found.total if (found := self._memory.get()) else None,
            "disk.usage": self._disk.get,
            "active_connections": self._tcp.get,
        }

    def _cpu_time(self) -> CpuTime | None:
        try:
            return host.cpu_time(self.roots)
        except (OSError, ValueError):
            return None  # logged when it is collected

    def _cpu_percent(self) -> float | None:
        """Since the last reading; where no time has passed since then, since the machine started."""
        before, now = self._before, host.cpu_time(self.roots)
        self._before = now
        if now is None:
            return None
        if before is None or before.of != now.of or now.possible - before.possible <= 0:
            before = CpuTime(0.0, 0.0, now.of)
        return min(100.0, max(0.0, 100.0 * (now.busy - before.busy) / max(1e-9, now.possible - before.possible)))


class _State:
    """The readings, or None while nothing is observed, and the names of those that failed."""

    def __init__(self) -> None:
        self.readings: _Readings | None = None
        self.failed: set[str] = set()

    def after_fork_in_child(self) -> None:
        """A lock may have been held when the process forked, and the child's window begins now."""
        if self.readings is not None:
            self.readings = _Readings(self.readings.roots)

    def reset(self) -> None:
        """Observe nothing any more."""
        self.readings = None
        self.failed.clear()


_state: Final = register(_State())


def instrument(context: Context, *, roots: Roots | None = None) -> Report:
    """Observe the machine, this process and its event loop from now on."""
    if not context.settings.system_metrics:
        return Report(NAME, State.OFF, "by BLOGAUTO_OTEL_SYSTEM_METRICS")
    _state.reset()
    _state.readings = _Readings(roots or Roots())
    meter = context.meter_provider.get_meter(semconv.SCOPE_SYSTEM)
    create = {
        Kind.OBSERVABLE_GAUGE: meter.create_observable_gauge,
        Kind.OBSERVABLE_UP_DOWN_COUNTER: meter.create_observable_up_down_counter,
    }
    for name in _state.readings.by_name():
        metric = spec(name)
        create[metric.kind](
            metric.otel_name(context.settings.namespace),
            [_observing(name, _ATTRIBUTES.get(name, {}))],
            unit=metric.unit,
            description=metric.description,
        )
    process_metrics.observe(context, _state.readings.roots)
    event_loop.measure(context)
    return _report(_state.readings.roots)


def _observing(name: str, attributes: Mapping[str, str]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    """A gauge that cannot be read is left out and logged once; the others are not affected."""

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        if _state.readings is None:
            return ()
        try:
            value = _state.readings.by_name()[name]()
        except (Exception, SystemExit) as error:
            if not isinstance(error, (OSError, ValueError, IndexError)) and not swallow(f"measuring {name}", error):
                raise
            _log_first_failure(name, error)
            return ()
        return () if value is None else (Observation(value, dict(attributes)),)

    return observe


def _log_first_failure(name: str, error: BaseException) -> None:
    if name not in _state.failed:
        _state.failed.add(name)
        log_once(f"system {name}", "%s cannot be measured here: %s: %s", name, type(error).__name__, error)


def _report(roots: Roots) -> Report:
    if not host.text_of(roots.proc / "stat"):
        if host.psutil_or_none() is None:
            return Report(NAME, State.MISSING, "neither /proc nor psutil: only the disk is measured")
        return Report(NAME, State.ON, "by psutil")
    of_host, limit, quota = host.host_memory(roots), host.memory_limit(roots), host.cpu_quota(roots)
    details = []
    if limit is not None and (of_host is None or limit[0] < of_host.total):
        details.append(f"memory limit {limit[0] // 2**20} MiB")
    if quota is not None and quota[0] < (os.cpu_count() or 1):
        details.append(f"CPU quota {quota[0]:g} cores")
    return Report(NAME, State.ON, ", ".join(details))


def uninstrument() -> None:
    """Observe nothing any more; the instruments stay, without data points."""
    _state.reset()
    process_metrics.stop()
    event_loop.stop()


def after_fork_in_child() -> None:
    """Start new readings in a forked child."""
    _state.after_fork_in_child()
