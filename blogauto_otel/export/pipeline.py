"""From bytes offered anywhere in the process to requests taken by the Collector, with one thread and within bounds."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from blogauto_otel import semconv
from blogauto_otel._guard import log_once, swallow
from blogauto_otel._threads import start_thread
from blogauto_otel.config import Settings
from blogauto_otel.export.endpoints import Route, routes
from blogauto_otel.export.metric_exporter import MetricExporter, MetricSource
from blogauto_otel.export.outages import Outages
from blogauto_otel.export.queue import Queue
from blogauto_otel.export.signal_exporter import Pace, SignalExporter, SignalStats
from blogauto_otel.export.worker import Worker, suppress_instrumentation
from blogauto_otel.otlp import drop_reasons
from blogauto_otel.otlp.encoder import encode_resource
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.redaction import Redactor, build_redactor
from blogauto_otel.spool import location

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from blogauto_otel.export.spooler import Spooler, SpoolStats

THREAD_NAME: Final = "blogauto-otel-delivery"

_LONGEST_SLEEP: Final = 60.0  # seconds
_SHORTEST_SLEEP: Final = 0.02  # a lane that a flush is working on looks due
_WATCHFUL: Final = 5.0  # seconds between two looks while something waits, or is being lost
_CROWDED: Final = 0.5  # of the bounds of a queue: from here on items go to disk, if there is one
_DISK_SECONDS: Final = 1.0  # what writing to disk may take, however little of the budget is left


@dataclass(frozen=True)
class DeliveryStats:
    """How delivery stands, by signal."""

    signals: Mapping[Signal, SignalStats]
    spool: SpoolStats | None = None  # None: nothing is kept on disk

    def as_dict(self) -> dict[str, Any]:
        """Plain data by signal name, and the spool's, ready for JSON."""
        by_signal = {signal.value: stats.as_dict() for signal, stats in self.signals.items()}
        return by_signal | ({"spool": asdict(self.spool)} if self.spool else {})


class Delivery:
    """Takes encoded items, and sees to it that they arrive or are counted as lost. Nothing here blocks or raises."""

    def __init__(self, settings: Settings, routes_: Sequence[Route], resource: Resource, redactor: Redactor) -> None:
        self._settings = settings
        self._routes = routes_
        self._redactor = redactor
        self._sources: list[MetricSource] = []
        self._closed = False
        self._successor: Delivery | None = None
        self._begin(resource)

    def _begin(self, resource: Resource) -> None:
        """All that a process must not share with its parent."""
        self._stopping = self._closed
        self._sender = Worker(THREAD_NAME, self._turn, "delivering telemetry")
        self._exporters: dict[Signal, SignalExporter] = {
            route.signal: self._exporter(route, resource) for route in self._routes
        }
        self._queues = {signal: exporter.queue for signal, exporter in self._exporters.items()}
        outages = Outages()
        for exporter in self._exporters.values():
            exporter.outages = outages
        self._spooler = _build_spooler(self._settings, self._exporters, self._sender.wake)
        if self._closed:
            self._stop()

    def _exporter(self, route: Route, resource_: Resource) -> SignalExporter:
        settings = self._settings
        resource = encode_resource(resource_, self._redactor)
        # What waited on disk says so, except for metrics: there it would make other series of them.
        marked = resource_ if route.signal is Signal.METRICS else _marked(resource_)
        pace = Pace(route.delay, route.batch_items, settings.max_request_bytes, route.destination.timeout)
        queue = Queue(
            max_items=route.queue_items,
            max_bytes=settings.queue_bytes,
            max_item=min(settings.max_request_bytes - len(resource) - 64, settings.queue_bytes),
            wake_items=route.batch_items,
            wake_bytes=settings.max_request_bytes,
            crowded_from=_CROWDED if location.is_wanted(settings) else 1.0,
        )
        if self._closed:
            queue.close()
        kept_resource = encode_resource(marked, self._redactor)
        parts = (route.signal, route.place, route.transport(), queue, pace, resource, kept_resource)
        if route.signal is not Signal.METRICS:
            return SignalExporter(*parts)
        is_cumulative = settings.metrics_temporality == "cumulative"
        return MetricExporter(*parts, sources=self._sources, latest_only=is_cumulative)

    # -- called by the application's threads

    def enqueue(self, signal: Signal, scope: bytes, item: bytes) -> bool:
        """Queue an encoded item. Never blocks, never raises.

        Args:
            signal: what it is.
            scope: who recorded it, as `otlp.encode_scope` has it.
            item: the item, as `otlp.Encoder` has it.

        Returns:
            False when it was lost; then it is counted.
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
        """Pass on what still comes: who asked for a tracer before telemetry was configured anew keeps that tracer."""
        self._successor = successor

    def lost(self, signal: Signal, reason: str, count: int = 1) -> None:
        """Count items that never came to be offered."""
        self._queues[signal].count(reason, count)

    def add_metric_source(self, collect: MetricSource) -> None:
        """Let the worker fetch metrics each `metric_interval`, and once more at each flush."""
        self._sources.append(collect)

    def start(self) -> None:
        """Start our threads, unless they run. The first item does it; where there are only metrics, somebody has to."""
        self._sender.start()
        if self._spooler is not None:
            self._spooler.worker.start()

    def _wake_up(self) -> None:
        self._sender.wake()
        if self._spooler is not None:
            self._spooler.worker.wake()

    def _stop(self) -> None:
        self._sender.stop()
        if self._spooler is not None:
            self._spooler.worker.stop()

    # -- the worker

    def _turn(self) -> float:
        """Do what is due; returns for how long there is nothing to do."""
        self._work()
        watch = self._tell_losses()
        now = time.monotonic()
        soonest = min(exporter.due_in(now) for exporter in self._exporters.values())
        waiting = watch or any(len(queue) for queue in self._queues.values())
        return max(_SHORTEST_SLEEP, min(soonest, _WATCHFUL if waiting else _LONGEST_SLEEP))

    def _tell_losses(self) -> bool:
        """Tell of losses that begin or are over; True while one lasts."""
        return (
            sum(exporter.tell_losses() for exporter in self._exporters.values()) > 0
        )  # each, not just up to the first

    def _work(self) -> None:
        busy = True
        while busy and not self._stopping:
            # One request each in turn: a flood of one signal does not keep the others waiting.
            due = [exporter for exporter in self._exporters.values() if exporter.due_in(time.monotonic()) <= 0]
            busy = sum(exporter.work() for exporter in due) > 0

    # -- flush and end

    def force_flush(self, timeout: float) -> bool:
        """Send what waits, all signals in parallel.

        Args:
            timeout: seconds, for all of it. A receiver that does not answer costs less.

        Returns:
            True when all that waited has been taken.
        """
        deadline = time.monotonic() + max(timeout, 0.0)
        failed = self._drain(deadline, last=False)
        if failed and self._spooler is not None and not self._spooler.worker.running:
            self._keep(self._spooler.keep_all, deadline)  # without a thread there is no better moment
        self._tell_losses()  # the worker may not come to it any more
        return not failed

    def spool_pending(self, timeout: float = 0.0) -> bool:
        """Write to disk what waits in memory, because the process may be about to end; it may also go on.

        What is in memory all the same is told: no code of ours may run after this.

        Args:
            timeout: seconds for a slow disk; it has one at least.

        Returns:
            True when nothing is in memory alone any more.
        """
        deadline = time.monotonic() + timeout
        left = self._only_in_memory() if self._spooler is None else self._keep(self._spooler.keep_all, deadline)
        self._tell_losses()
        _tell_lost(left, ", unless it goes on")
        return not any(left.values())

    def shutdown(self, timeout: float) -> bool:
        """Send what waits, and stop. What cannot be sent in time is kept on disk, else counted as lost; either is told.

        Args:
            timeout: seconds, for all of it. A receiver that does not answer costs less.

        Returns:
            True when everything was collected, and has been taken or is on disk.
        """
        if self._closed:
            return True
        with suppress_instrumentation():  # what is told of the end comes too late to be telemetry itself
            return self._shut_down(timeout)

    def _shut_down(self, timeout: float) -> bool:
        self._closed = self._stopping = True
        deadline = time.monotonic() + max(timeout, 0.0)
        for signal, queue in self._queues.items():
            if signal is not Signal.METRICS:  # the last collection is still to come
                queue.close()
        before = self._done()
        failed = self._drain(deadline, last=True)
        for queue in self._queues.values():
            queue.close()
        self._stop()
        if self._spooler is not None:
            self._keep(self._spooler.end, deadline)
        after = self._done()
        return self._end() and all(after[signal] > before[signal] for signal in failed)

    def _done(self) -> Mapping[Signal, int]:
        """How many items are safe: with the receiver, late as its answer may have been, or on disk."""
        return {signal: exporter.sent + exporter.stats().spooled for signal, exporter in self._exporters.items()}

    def _spooled(self) -> Mapping[Signal, int]:
        return {signal: exporter.stats().spooled for signal, exporter in self._exporters.items()}

    def _only_in_memory(self) -> Mapping[Signal, int]:
        return {signal: queue.items_only_here for signal, queue in self._queues.items()}

    def _keep(self, keep: Callable[[float], None], deadline: float) -> Mapping[Signal, int]:
        """In a short-lived thread: a disk may hang as a network does.

        Returns:
            How many items could not be kept.
        """
        before = self._spooled()
        seconds = max(_DISK_SECONDS, deadline - time.monotonic())
        thread = start_thread(_observed_by_nobody, f"{THREAD_NAME}-keep", keep, seconds)
        if thread is None:
            _observed_by_nobody(keep, seconds)
        else:
            thread.join(seconds)
        after = self._spooled()
        left = self._only_in_memory()  # before we say anything, which is telemetry too
        words = _in_words({signal: after[signal] - before[signal] for signal in after})
        if words and self._spooler is not None:
            log_once(
                "kept on disk",
                "not delivered in time, and kept on disk for the next start (%s): %s",
                self._spooler.stats().directory, words,
            )  # fmt: skip
        return left

    def _end(self) -> bool:
        self._tell_losses()
        lost = {}
        for signal, exporter in self._exporters.items():
            lost[signal] = exporter.queue.give_up(drop_reasons.SHUTDOWN)
            exporter.end()
        _tell_lost(lost)
        return not any(lost.values())

    def _drain(self, deadline: float, *, last: bool) -> Sequence[Signal]:
        """Each lane in a short-lived thread: resolving a name, or a metric callback, knows no deadline.

        Returns:
            The signals of the lanes that did not get done.
        """
        exporters = [exporter for exporter in self._exporters.values() if exporter.has_work()]
        accepted = {exporter.signal: exporter.queue.accepted for exporter in exporters}
        results: dict[Signal, bool] = {}

        def run(exporter: SignalExporter) -> None:
            with suppress_instrumentation():
                try:
                    results[exporter.signal] = exporter.drain(deadline, accepted=accepted[exporter.signal], last=last)
                except Exception as error:
                    if not swallow("flushing telemetry", error):
                        raise

        threads = [(exporter, start_thread(run, f"{THREAD_NAME}-flush", exporter)) for exporter in exporters]
        for exporter, thread in threads:
            if thread is None:
                run(exporter)
        for _, thread in threads:
            if thread is not None:
                thread.join(max(0.0, deadline + 0.25 - time.monotonic()))  # a moment to put back what was under way
        return [exporter.signal for exporter in exporters if not results.get(exporter.signal)]

    # -- fork

    def after_fork_in_child(self, resource: Resource) -> None:
        """Begin anew: nothing that waits here is ours, no lock is to be trusted, no connection to be shared."""
        for exporter in self._exporters.values():
            exporter.transport.forget()
        if self._spooler is not None:
            self._spooler.forget()
        self._begin(resource)

    # -- figures

    def stats(self) -> DeliveryStats:
        """How delivery stands."""
        spool = None if self._spooler is None else self._spooler.stats()
        return DeliveryStats(
            {signal: self._redacted(exporter.stats()) for signal, exporter in self._exporters.items()}, spool
        )

    def _redacted(self, stats: SignalStats) -> SignalStats:
        """What the receiver said is anybody's text."""
        error = stats.last_error
        return stats if error is None else replace(stats, last_error=self._redactor.text(error))

    def destinations(self) -> Mapping[Signal, str]:
        """Where each signal goes, in words, without credentials."""
        return {route.signal: route.place for route in self._routes}


def _observed_by_nobody(work: Callable[[float], None], timeout: float) -> None:
    with suppress_instrumentation():
        try:
            work(timeout)
        except Exception as error:
            if not swallow("keeping telemetry on disk", error):
                raise


def _tell_lost(counts: Mapping[Signal, int], but: str = "") -> None:
    words = _in_words(counts)
    if words:
        log_once("lost at shutdown", "not delivered before the end of the process, and lost: %s%s", words, but)


def _in_words(counts: Mapping[Signal, int]) -> str:
    return ", ".join(f"{count} {signal.value}" for signal, count in counts.items() if count)


def _marked(resource: Resource) -> Resource:
    from opentelemetry.sdk.resources import Resource

    return Resource({**resource.attributes, semconv.REDELIVERED: True}, resource.schema_url)


def _build_spooler(
    settings: Settings, exporters: Mapping[Signal, SignalExporter], wake: Callable[[], None]
) -> Spooler | None:
    if not location.is_wanted(settings):
        _tell_what_is_missing(settings)
        return None
    from blogauto_otel.export.spooler import Spooler
    from blogauto_otel.spool.store import Limits

    sent = frozenset(signal for signal in exporters if "otlp" in getattr(settings, f"{signal.value}_exporter"))
    limits = Limits(settings.spool_bytes, settings.spool_age, settings.max_request_bytes, settings.spool_fsync)
    keeper = Spooler(
        exporters.values(),
        partial(location.candidates, settings, os.environ.copy()),
        limits,
        drained=sent,
        wake_sender=wake,
    )
    for exporter in exporters.values():
        exporter.turned, exporter.finished = keeper.worker.wake, keeper.finished
    return keeper


def _tell_what_is_missing(settings: Settings) -> None:
    missing = location.missing_on_this_system()
    if missing is not None and settings.spool_dir != "off":
        log_once(
            "no spool here",
            "no spool on this system, which has no %s: what cannot be sent waits in memory alone",
            missing,
            level=logging.INFO if settings.spool_dir is None else logging.WARNING,
        )


def build_delivery(settings: Settings, resource: Resource) -> Delivery:
    """Build delivery from the settings. Starts no thread: the worker starts with the first item.

    Raises:
        ConfigurationError: only when `strict` is set: the protocol needs a package that is missing.
    """
    return Delivery(settings, routes(settings), resource, build_redactor(settings))
