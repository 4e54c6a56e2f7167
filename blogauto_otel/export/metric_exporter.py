"""The exporter of metrics: collects them when they are due, and sends the latest collection only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from blogauto_otel._clock import clock
from blogauto_otel._guard import log_once, swallow
from blogauto_otel.export.signal_exporter import SignalExporter
from blogauto_otel.otlp import drop_reasons

MetricSource = Callable[[], Sequence[tuple[bytes, bytes]]]


class MetricExporter(SignalExporter):
    """Exports metrics, which are collected when they are due.

    A newer collection replaces an older one that still waits, unless it is a delta to it (`latest_only` is false).
    """

    def __init__(self, *args: Any, sources: Sequence[MetricSource], latest_only: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sources = sources
        self.latest_only = latest_only
        self._collect_at = clock.monotonic() + self._config.delay

    def seconds_until_overdue(self, now: float) -> float:
        """See `SignalExporter`. A cumulative collection in flight does not count: the next one replaces it."""
        if not self.latest_only:
            return super().seconds_until_overdue(now)
        oldest = self.queue.oldest
        return float("inf") if oldest is None else self.client.policy.spool_at(self.client.state, oldest) - now

    def _batch_due_in(self, now: float) -> float:
        to_send = self.client.state.retry_at - now if len(self.queue) else float("inf")
        return min(to_send, self._collect_at - now) if self._sources else to_send

    def needs_flush(self) -> bool:
        """See `SignalExporter`."""
        return bool(self._sources) or super().needs_flush()

    def _arrived_since(self, accepted: int) -> int:  # noqa: ARG002 - the flush itself has collected more
        return 0

    def collect(self, *, now: bool = False) -> None:
        """Collect the metrics, if that is due or `now`."""
        started = clock.monotonic()
        if not self._sources or not (now or started >= self._collect_at):
            return
        self._collect_at = started + self._config.delay
        collected = [pair for source in self._sources for pair in _collect_from(source)]
        if self.latest_only:
            self.queue.drop_waiting(drop_reasons.SUPERSEDED)
        for scope, item in collected:
            self.queue.put(scope, item)


def _collect_from(source: MetricSource) -> Sequence[tuple[bytes, bytes]]:
    try:
        return source()
    except SystemExit as error:  # callbacks are the application's code; what they raise must not end this thread
        log_once("metrics exit", "a metric callback raised %r; its metrics are missing", error)
    except BaseException as error:
        if not swallow("collecting metrics", error):
            raise
    return ()
