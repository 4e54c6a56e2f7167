"""From bytes offered anywhere in the process to requests taken by the Collector, with one thread and within bounds."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context

from blogauto_otel._guard import swallow, tell
from blogauto_otel.config import Settings
from blogauto_otel.delivery import queue as reasons
from blogauto_otel.delivery.destinations import Route, routes
from blogauto_otel.delivery.lane import Lane, MetricLane, MetricSource, Pace, SignalStats
from blogauto_otel.delivery.otlp import encode_resource
from blogauto_otel.delivery.queue import Queue
from blogauto_otel.delivery.signal import Signal
from blogauto_otel.redaction import Redactor, build_redactor

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

THREAD_NAME: Final = "blogauto-otel-delivery"

_LONGEST_SLEEP: Final = 60.0  # seconds
_SHORTEST_SLEEP: Final = 0.02  # a lane that a flush is working on looks due
_WATCHFUL: Final = 5.0  # seconds between two looks while something waits, or is being lost
_AFTER_A_SURPRISE: Final = 1.0
_NO_THREAD: Final = 10.0  # seconds before trying again to start a thread where none could be had

# Both spellings that instrumentations of HTTP clients, sockets and logging look for.
_SUPPRESSED: Final = otel_context.Context({
    otel_context._SUPPRESS_INSTRUMENTATION_KEY: True,
    "suppress_instrumentation": True,
    otel_context._SUPPRESS_HTTP_INSTRUMENTATION_KEY: True,
})  # fmt: skip


@dataclass(frozen=True)
class DeliveryStats:
    """How delivery stands, by signal."""

    signals: Mapping[Signal, SignalStats]

    def as_dict(self) -> dict[str, Any]:
        """Plain data by signal name, ready for JSON."""
        return {signal.value: stats.as_dict() for signal, stats in self.signals.items()}


class Delivery:
    """Takes encoded items, and sees to it that they arrive or are counted as lost. Nothing here blocks or raises."""

    def __init__(self, settings: Settings, routes_: Sequence[Route], resource: Resource, redactor: Redactor) -> None:
        self._settings = settings
        self._routes = routes_
        self._redactor = redactor
        self._sources: list[MetricSource] = []
        self._closed = False
        self._begin(resource)

    def _begin(self, resource: Resource) -> None:
        """All that a process must not share with its parent."""
        encoded = encode_resource(resource, self._redactor)
        self._lanes: dict[Signal, Lane] = {route.signal: self._lane(route, encoded) for route in self._routes}
        self._queues = {signal: lane.queue for signal, lane in self._lanes.items()}
        self._wake = threading.Lock()  # as a binary semaphore: releasing it wakes the worker, and may be done anywhere
        self._wake.acquire()
        self._starting = threading.Lock()
        self._running = False
        self._stopping = self._closed
        self._no_thread_until = float("-inf")

    def _lane(self, route: Route, resource: bytes) -> Lane:
        settings = self._settings
        pace = Pace(route.delay, route.batch_items, settings.max_request_bytes, route.destination.timeout)
        queue = Queue(
            max_items=route.queue_items,
            max_bytes=settings.queue_bytes,
            max_item=min(settings.max_request_bytes - len(resource) - 64, settings.queue_bytes),
            wake_items=route.batch_items,
            wake_bytes=settings.max_request_bytes,
        )
        if self._closed:
            queue.close()
        parts = (route.signal, route.place, route.transport(), queue, pace, resource)
        return MetricLane(*parts, sources=self._sources) if route.signal is Signal.METRICS else Lane(*parts)

    # -- called by the application's threads

    def offer(self, signal: Signal, scope: bytes, item: bytes) -> bool:
        """Queue an encoded item. Never blocks, never raises.

        Args:
            signal: what it is.
            scope: who recorded it, as `otlp.encode_scope` has it.
            item: the item, as `otlp.Encoder` has it.

        Returns:
            False when it was lost; then it is counted.
        """
        try:
            wake = self._queues[signal].put(scope, item)
            if wake is None:
                return False
            if wake or not self._running:
                self._wake_up()
        except Exception as error:
            if not swallow("queueing telemetry", error):
                raise
            return False
        return True

    def lost(self, signal: Signal, reason: str, count: int = 1) -> None:
        """Count items that never came to be offered."""
        self._queues[signal].count(reason, count)

    def add_metric_source(self, collect: MetricSource) -> None:
        """Let the worker fetch metrics each `metric_interval`, and once more at each flush."""
        self._sources.append(collect)

    def start(self) -> None:
        """Start the worker, unless it runs. The first item does it; where there are only metrics, somebody has to."""
        if self._running or self._stopping or time.monotonic() < self._no_thread_until:
            return
        if not self._starting.acquire(blocking=False):
            return  # another thread is at it
        try:
            if not self._running:
                self._running = True  # before it runs: when it ends it says so, and may be quick
                if _started(self._run, THREAD_NAME) is None:
                    self._running = False
                    self._no_thread_until = time.monotonic() + _NO_THREAD
                    tell(
                        "no thread",
                        "no thread can be started: telemetry waits for a flush, or for the end of the process",
                    )
        finally:
            self._starting.release()

    def _wake_up(self) -> None:
        if not self._running:
            self.start()
        try:
            self._wake.release()
        except RuntimeError:
            pass  # it is awake

    # -- the worker

    def _run(self) -> None:
        otel_context.attach(_SUPPRESSED)
        try:
            while not self._stopping:
                self._wake.acquire(timeout=self._turn())
        finally:
            self._running = False

    def _turn(self) -> float:
        """Do what is due; returns for how long there is nothing to do. Survives whatever happens in it."""
        try:
            self._work()
            watch = sum(lane.tell_losses() for lane in self._lanes.values()) > 0  # each, not just up to the first
            now = time.monotonic()
            soonest = min(lane.due_in(now) for lane in self._lanes.values())
            waiting = watch or any(len(queue) for queue in self._queues.values())
            return max(_SHORTEST_SLEEP, min(soonest, _WATCHFUL if waiting else _LONGEST_SLEEP))
        except BaseException as error:  # this thread is ours alone: there is nobody above to stop
            if isinstance(error, Exception) and not swallow("delivering telemetry", error):
                raise
            return _AFTER_A_SURPRISE

    def _work(self) -> None:
        busy = True
        while busy and not self._stopping:
            # One request each in turn: a flood of one signal does not keep the others waiting.
            due = [lane for lane in self._lanes.values() if lane.due_in(time.monotonic()) <= 0]
            busy = sum(lane.work() for lane in due) > 0

    # -- flush and end

    def force_flush(self, timeout: float) -> bool:
        """Send what waits, all signals in parallel.

        Args:
            timeout: seconds, for all of it. A receiver that does not answer costs less.

        Returns:
            True when all that waited has been taken.
        """
        deadline = time.monotonic() + max(timeout, 0.0)
        return self._in_parallel(lambda lane: lane.drain(deadline, last=False), deadline)

    def shutdown(self, timeout: float) -> bool:
        """Send what waits, and stop. What cannot be sent in time is counted, and told once.

        Args:
            timeout: seconds, for all of it. A receiver that does not answer costs less.

        Returns:
            True when everything was collected and taken.
        """
        if self._closed:
            return True
        self._closed = self._stopping = True
        deadline = time.monotonic() + max(timeout, 0.0)
        for signal, queue in self._queues.items():
            if signal is not Signal.METRICS:  # the last collection is still to come
                queue.close()
        drained = self._in_parallel(lambda lane: lane.drain(deadline, last=True), deadline)
        self._wake_up()
        return self._end() and drained

    def _end(self) -> bool:
        lost = {}
        for signal, lane in self._lanes.items():
            lane.queue.close()
            lost[signal.value] = lane.queue.give_up(reasons.SHUTDOWN)
            lane.end()
        words = ", ".join(f"{count} {name}" for name, count in lost.items() if count)
        if words:
            tell("lost at shutdown", "not delivered before the end of the process, and lost: %s", words)
        return not words

    def _in_parallel(self, work: Callable[[Lane], bool], deadline: float) -> bool:
        """Each lane in a short-lived thread: resolving a name, or a metric callback, knows no deadline."""
        lanes = [lane for lane in self._lanes.values() if lane.has_work()]
        results: dict[Signal, bool] = {}

        def run(lane: Lane) -> None:
            with _unobserved():
                try:
                    results[lane.signal] = work(lane)
                except Exception as error:
                    if not swallow("flushing telemetry", error):
                        raise

        threads = [(lane, _started(run, f"{THREAD_NAME}-flush", lane)) for lane in lanes]
        for lane, thread in threads:
            if thread is None:
                run(lane)
        for _, thread in threads:
            if thread is not None:
                thread.join(max(0.0, deadline - time.monotonic()) + 0.25)
        return all(results.get(lane.signal, False) for lane in lanes)

    # -- fork

    def after_fork_in_child(self, resource: Resource) -> None:
        """Begin anew: nothing that waits here is ours, no lock is to be trusted, no connection to be shared."""
        for lane in self._lanes.values():
            lane.transport.forget()
        self._begin(resource)

    # -- figures

    def stats(self) -> DeliveryStats:
        """How delivery stands."""
        return DeliveryStats({signal: lane.stats() for signal, lane in self._lanes.items()})

    def destinations(self) -> Mapping[Signal, str]:
        """Where each signal goes, in words, without credentials."""
        return {route.signal: route.place for route in self._routes}


def _started(target: Callable[..., None], name: str, *args: object) -> threading.Thread | None:
    """A running daemon thread, or None when none can be had (limits, a process that is ending)."""
    thread = threading.Thread(target=target, args=args, name=name, daemon=True)
    try:
        # In an empty context: instrumentations of `threading` would keep the current request alive in ours for good.
        contextvars.Context().run(thread.start)
    except RuntimeError:
        return None
    return thread


@contextmanager
def _unobserved() -> Iterator[None]:
    token = otel_context.attach(_SUPPRESSED)
    try:
        yield
    finally:
        otel_context.detach(token)


def build_delivery(settings: Settings, resource: Resource) -> Delivery:
    """Build delivery from the settings. Starts no thread: the worker starts with the first item.

    Raises:
        ConfigurationError: only when `strict` is set: the protocol needs a package that is missing.
    """
    return Delivery(settings, routes(settings), resource, build_redactor(settings))
