"""The delivery pipeline: takes encoded items from any thread and exports them with one worker, within bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from blogauto_otel._clock import clock
from blogauto_otel._guard import log_once, swallow
from blogauto_otel.config import Settings
from blogauto_otel.export.build import build_exporter, build_spooler
from blogauto_otel.export.endpoints import ExportConfig, export_configs
from blogauto_otel.export.metric_exporter import MetricSource
from blogauto_otel.export.outage_log import OutageLog
from blogauto_otel.export.retry import Timing
from blogauto_otel.export.signal_exporter import SignalExporter
from blogauto_otel.export.stats import ExportStats, SignalStats
from blogauto_otel.export.worker import Worker, run_each, suppress_instrumentation
from blogauto_otel.otlp import drop_reasons
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.redaction import Redactor, build_redactor

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from blogauto_otel.export.spooler import Spooler

THREAD_NAME: Final = "blogauto-otel-delivery"

_MAX_SLEEP: Final = 60.0  # seconds
_MIN_SLEEP: Final = 0.02  # an exporter that a flush uses looks due
_REQUEUE_SECONDS: Final = 0.25  # after the deadline of a flush, to return what was in flight


class Delivery:
    """Takes encoded items, and delivers them or counts them as dropped. Nothing here blocks or raises."""

    def __init__(
        self,
        settings: Settings,
        configs: Sequence[ExportConfig],
        resource: Resource,
        redactor: Redactor,
        timing: Timing,
    ) -> None:
        self._settings = settings
        self._configs = configs
        self._redactor = redactor
        self._timing = timing
        self._sources: list[MetricSource] = []
        self._closed = False
        self._successor: Delivery | None = None
        self._build(resource)

    def _build(self, resource: Resource) -> None:
        """Build everything that a process must not share with its parent."""
        self._stopping = self._closed
        self._sender = Worker(THREAD_NAME, self._run_once, "delivering telemetry")
        self._is_sending = False  # or collecting metrics: either may take long
        outages = OutageLog()
        self._exporters: dict[Signal, SignalExporter] = {
            config.signal: build_exporter(
                config, self._settings, resource, self._redactor, self._timing, outages, self._sources
            )
            for config in self._configs
        }
        self._queues = {signal: exporter.queue for signal, exporter in self._exporters.items()}
        self._spooler = build_spooler(
            self._settings,
            self._exporters,
            wake_sender=self._sender.wake,
            is_sending=lambda: self._is_sending,
            timing=self._timing.spool,
        )
        if self._closed:
            for queue in self._queues.values():
                queue.close()
            self._stop()

    # -- called by the application's threads

    def enqueue(self, signal: Signal, scope: bytes, item: bytes) -> bool:
        """Queue an encoded item. Never blocks, never raises.

        Args:
            signal: the signal of the item.
            scope: its instrumentation scope, encoded by `otlp.encoder.encode_scope`.
            item: the item, encoded by `otlp.encoder.Encoder`.

        Returns:
            False when it was dropped and counted.
        """
        if self._successor is not None:
            return self._successor.enqueue(signal, scope, item)
        try:
            wake = self._queues[signal].put(scope, item)
            if wake is None:
                return False
            if wake or not self._sender.running:
                self._wake_up()
        except Exception as error:
            if not swallow("queueing telemetry", error):
                raise
            return False
        return True

    def continue_in(self, successor: Delivery) -> None:
        """Pass later items on: a tracer that was created before telemetry was configured again is still used."""
        self._successor = successor

    def lost(self, signal: Signal, reason: str, count: int = 1) -> None:
        """Count items that were lost before they could be enqueued."""
        self._queues[signal].count(reason, count)

    def add_metric_source(self, collect: MetricSource) -> None:
        """Let the worker collect metrics each `metric_interval`, and at each flush."""
        self._sources.append(collect)

    def start(self) -> None:
        """Start the worker, unless it runs. The first item starts it too; a process with metrics only has none."""
        self._sender.start()

    def _wake_up(self) -> None:
        self._sender.wake()
        if self._spooler is not None and self._spooler.worker.running:
            self._spooler.worker.wake()

    def _stop(self) -> None:
        self._sender.stop()
        if self._spooler is not None:
            self._spooler.worker.stop()

    # -- the worker

    def _run_once(self) -> float:
        """Send what is due; returns the seconds until there is more."""
        self._send_due()
        is_dropping = self._log_drops()
        now = clock.monotonic()
        soonest = min(exporter.due_in(now) for exporter in self._exporters.values())
        if self._spooler is not None and not self._spooler.worker.running:
            soonest = min(soonest, self._start_spooler_when_due(self._spooler, now))
        watch = is_dropping or any(len(queue) for queue in self._queues.values())
        return max(_MIN_SLEEP, min(soonest, self._timing.watch if watch else _MAX_SLEEP))

    def _log_drops(self) -> bool:
        """Log when dropping begins, and when it is over; True while items of any signal are being dropped."""
        return sum(exporter.log_drops() for exporter in self._exporters.values()) > 0  # each, not up to the first

    def _start_spooler_when_due(self, spooler: Spooler, now: float) -> float:
        due_in = spooler.due_in(now)
        if due_in > 0:
            return due_in
        spooler.worker.start()
        return _MAX_SLEEP

    def _send_due(self) -> None:
        busy = True
        while busy and not self._stopping:
            # One request of each signal in turn: many items of one do not delay the others.
            due = [exporter for exporter in self._exporters.values() if exporter.due_in(clock.monotonic()) <= 0]
            busy = bool(due) and self._send(due)

    def _send(self, due: Sequence[SignalExporter]) -> bool:
        """Send what is due of these; a request and a metric callback may hang, and the spooler must run meanwhile."""
        self._is_sending = True
        try:
            if self._spooler is not None:
                self._spooler.worker.start()
            return sum(exporter.send_due() for exporter in due) > 0
        finally:
            self._is_sending = False

    # -- flush and end

    def force_flush(self, timeout: float) -> bool:
        """Send what waits, all signals in parallel.

        Args:
            timeout: seconds in total. A receiver that does not answer costs less.

        Returns:
            True when all items that waited have been delivered.
        """
        deadline = clock.monotonic() + max(timeout, 0.0)
        failed = self._flush(deadline, last=False)
        if failed and self._spooler is not None and not self._sender.running:
            self._store(self._spooler.store_all, deadline)  # without a thread there is no better time
        self._log_drops()  # the worker may not run again
        return not failed

    def spool_pending(self, timeout: float = 0.0) -> bool:
        """Store on disk what waits in memory, because the process may be about to end; it may also go on.

        Items that stay in memory only are logged: no code of ours may run after this.

        Args:
            timeout: seconds for a slow disk; at least `Timing.store_at_least`.

        Returns:
            True when no items are in memory only.
        """
        deadline = clock.monotonic() + timeout
        left = self._in_memory_only() if self._spooler is None else self._store(self._spooler.store_all, deadline)
        self._log_drops()
        _log_lost(left, ", unless it goes on")
        return not any(left.values())

    def shutdown(self, timeout: float) -> bool:
        """Send what waits, and stop. Items that cannot be sent in time are stored on disk, or dropped; both is logged.

        Args:
            timeout: seconds in total. A receiver that does not answer costs less.

        Returns:
            True when all metrics were collected, and all items are delivered or on disk.
        """
        if self._closed:
            return True
        with suppress_instrumentation():  # log lines about the shutdown come too late to be exported
            return self._shut_down(timeout)

    def _shut_down(self, timeout: float) -> bool:
        self._closed = self._stopping = True
        deadline = clock.monotonic() + max(timeout, 0.0)
        for signal, queue in self._queues.items():
            if signal is not Signal.METRICS:  # the last collection is still to come
                queue.close()
        before = self._safe_items()
        failed = self._flush(deadline, last=True)
        for queue in self._queues.values():
            queue.close()
        self._stop()
        if self._spooler is not None:
            self._store(self._spooler.close, deadline)
        after = self._safe_items()
        return self._close_exporters() and all(after[signal] > before[signal] for signal in failed)

    def _safe_items(self) -> Mapping[Signal, int]:
        """The items that are delivered, by a late answer too, or on disk."""
        return {signal: exporter.sent + exporter.stats().spooled for signal, exporter in self._exporters.items()}

    def _spooled(self) -> Mapping[Signal, int]:
        return {signal: exporter.stats().spooled for signal, exporter in self._exporters.items()}

    def _in_memory_only(self) -> Mapping[Signal, int]:
        return {signal: queue.items_in_memory_only for signal, queue in self._queues.items()}

    def _store(self, store: Callable[[float], None], deadline: float) -> Mapping[Signal, int]:
        """Store in a short-lived thread, because a disk may hang; returns the items that could not be stored."""
        before = self._spooled()
        seconds = max(self._timing.store_at_least, deadline - clock.monotonic())
        until = clock.monotonic() + seconds
        run_each(f"{THREAD_NAME}-store", "keeping telemetry on disk", store, [seconds], until)
        after = self._spooled()
        left = self._in_memory_only()  # before logging, which creates telemetry too
        stored = _describe({signal: after[signal] - before[signal] for signal in after})
        if stored and self._spooler is not None:
            log_once(
                "kept on disk",
                "not delivered in time, and kept on disk for the next start (%s): %s",
                self._spooler.stats().directory, stored,
            )  # fmt: skip
        return left

    def _close_exporters(self) -> bool:
        self._log_drops()
        lost = {}
        for signal, exporter in self._exporters.items():
            lost[signal] = exporter.queue.drop_all(drop_reasons.SHUTDOWN)
            exporter.close()
        _log_lost(lost)
        return not any(lost.values())

    def _flush(self, deadline: float, *, last: bool) -> Sequence[Signal]:
        """Flush each signal in a short-lived thread, because DNS and metric callbacks have no timeout.

        Returns:
            The signals that were not flushed completely.
        """
        exporters = [exporter for exporter in self._exporters.values() if exporter.needs_flush()]
        accepted = {exporter.signal: exporter.queue.accepted for exporter in exporters}
        results: dict[Signal, bool] = {}

        def flush(exporter: SignalExporter) -> None:
            results[exporter.signal] = exporter.flush(deadline, accepted=accepted[exporter.signal], last=last)

        run_each(f"{THREAD_NAME}-flush", "flushing telemetry", flush, exporters, deadline + _REQUEUE_SECONDS)
        return [exporter.signal for exporter in exporters if not results.get(exporter.signal)]

    # -- fork

    def after_fork_in_child(self, resource: Resource) -> None:
        """Start empty: items, locks and connections of the parent stay with the parent."""
        for exporter in self._exporters.values():
            exporter.client.transport.after_fork_in_child()
        if self._spooler is not None:
            self._spooler.after_fork_in_child()
        self._build(resource)

    # -- statistics

    def stats(self) -> ExportStats:
        """The statistics of all signals and of the spool."""
        spool = None if self._spooler is None else self._spooler.stats()
        return ExportStats(
            {signal: self._redacted(exporter.stats()) for signal, exporter in self._exporters.items()}, spool
        )

    def _redacted(self, stats: SignalStats) -> SignalStats:
        """The statistics without secrets: the text of an error comes from the receiver."""
        error = stats.last_error
        return stats if error is None else replace(stats, last_error=self._redactor.text(error))

    def destinations(self) -> Mapping[Signal, str]:
        """The endpoint of each signal, without credentials."""
        return {config.signal: config.endpoint for config in self._configs}


def _log_lost(counts: Mapping[Signal, int], but: str = "") -> None:
    lost = _describe(counts)
    if lost:
        log_once("lost at shutdown", "not delivered before the end of the process, and lost: %s%s", lost, but)


def _describe(counts: Mapping[Signal, int]) -> str:
    return ", ".join(f"{count} {signal.value}" for signal, count in counts.items() if count)


def build_delivery(
    settings: Settings, resource: Resource, *, redactor: Redactor | None = None, timing: Timing | None = None
) -> Delivery:
    """Build delivery from the settings. Starts no thread: the worker starts with the first item.

    Raises:
        ConfigurationError: only when `strict` is set: the protocol needs a package that is missing.
    """
    redactor = redactor or build_redactor(settings)
    return Delivery(settings, export_configs(settings), resource, redactor, timing or Timing())
