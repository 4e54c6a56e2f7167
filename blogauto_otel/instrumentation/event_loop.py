"""Lag of asyncio's event loop: how late a timer runs, because something else kept the loop busy.

A timer runs four times a second in each loop that serves an ASGI application, or in which telemetry is configured. A
call that blocks the loop for two seconds delays the timer by nearly two; every request waits as long.
"""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from typing import Final

from opentelemetry.metrics import Histogram

from blogauto_otel import semconv
from blogauto_otel._guard import guard
from blogauto_otel._process import Phase, register
from blogauto_otel.api.catalogue import spec
from blogauto_otel.instrumentation import Context

INTERVAL: Final = 0.25  # seconds between two timers; more often would cost more, and see no more long delays


class _State:
    """The histogram, None while nothing is measured, and the loops that have a timer."""

    def __init__(self) -> None:
        self.histogram: Histogram | None = None
        self.loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()

    def on_lifespan_startup(self) -> None:
        """Measure the loop that serves the application."""
        _start_in_running_loop()

    def after_fork_in_child(self) -> None:
        """The loops of the parent do not run here."""
        self.loops = weakref.WeakSet()

    def reset(self) -> None:
        """Timers that are set run once more, and set no other."""
        self.histogram = None
        self.loops = weakref.WeakSet()


_state: Final = register(_State(), Phase.INSTRUMENTATIONS)


def measure(context: Context) -> None:
    """Measure the running loop, and every loop that serves an ASGI application from now on."""
    metric = spec("event_loop.lag")
    _state.reset()
    _state.histogram = context.meter_provider.get_meter(semconv.SCOPE_SYSTEM).create_histogram(
        metric.otel_name(context.settings.namespace),
        unit=metric.unit,
        description=metric.description,
        explicit_bucket_boundaries_advisory=list(metric.boundaries),
    )
    _start_in_running_loop()


def stop() -> None:
    """Measure nothing any more."""
    _state.reset()


def _start_in_running_loop() -> None:
    with guard("measuring the event loop"):
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # configured before the server starts its loop
            return
        if _state.histogram is not None and loop not in _state.loops:
            _state.loops.add(loop)
            _LagTimer(loop, _state.histogram).set()


class _LagTimer:
    """Measures one loop into one histogram until that is replaced."""

    __slots__ = ("_context", "_due", "_histogram", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, histogram: Histogram) -> None:
        self._loop = loop
        self._histogram = histogram
        self._context = contextvars.Context()  # of no request
        self._due = 0.0

    def set(self) -> None:
        self._due = self._loop.time() + INTERVAL
        self._loop.call_later(INTERVAL, self._run, context=self._context)

    def _run(self) -> None:
        if _state.histogram is not self._histogram:
            return
        with guard("measuring the event loop"):
            self._histogram.record(max(0.0, self._loop.time() - self._due))
            self.set()
