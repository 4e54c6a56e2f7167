"""The way of the metrics: they are fetched when it is time, and the newest collection is all there is to send."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from blogauto_otel._guard import log_once, swallow
from blogauto_otel.export.signal_exporter import SignalExporter
from blogauto_otel.otlp import drop_reasons

MetricSource = Callable[[], Sequence[tuple[bytes, bytes]]]


class MetricExporter(SignalExporter):
    """Metrics are collected when they are due.

    A newer collection replaces an older one that still waits, unless it is a delta to it (`latest_only` is false).
    """

    def __init__(self, *args: Any, sources: Sequence[MetricSource], latest_only: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sources = sources
        self.latest_only = latest_only
        self._collect_at = time.monotonic() + self._pace.delay

    def overdue_in(self, now: float) -> float:
        """See `SignalExporter`. A cumulative collection in flight does not count: the next one replaces it."""
        if not self.latest_only:
            return super().overdue_in(now)
        oldest = self.queue.oldest
        return float("inf") if oldest is None else self._patient_until(oldest) - now

    def _due_in(self, now: float) -> float:
        to_send = self._retry_at - now if len(self.queue) else float("inf")
        return min(to_send, self._collect_at - now) if self._sources else to_send

    def has_work(self) -> bool:
        """See `Lane`."""
        return bool(self._sources) or super().has_work()

    def refill(self, *, now: bool = False) -> None:
        """Collect, when it is time."""
        started = time.monotonic()
        if not self._sources or not (now or started >= self._collect_at):
            return
        self._collect_at = started + self._pace.delay
        collected = [pair for source in self._sources for pair in _collected(source)]
        if self.latest_only:
            self.queue.discard(drop_reasons.SUPERSEDED)
        for scope, item in collected:
            self.queue.put(scope, item)


def _collected(source: MetricSource) -> Sequence[tuple[bytes, bytes]]:
    try:
        return source()
    except SystemExit as error:  # callbacks are anybody's code, and this one did not mean our thread
        log_once("metrics exit", "a metric callback raised %r; its metrics are missing", error)
    except BaseException as error:
        if not swallow("collecting metrics", error):
            raise
    return ()
