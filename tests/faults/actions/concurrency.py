"""Actions that record from signal handlers, finalizers and many threads."""

from __future__ import annotations

import collections
import gc
import logging
import os
import signal
import sys
import threading
from typing import Any

from opentelemetry import metrics, trace

from tests.faults.actions.registry import action

_recorded: collections.Counter[str] = collections.Counter()


def record(name: str) -> None:
    """Record a span, an event, a log record and a count, where a span is exported."""
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return  # an interruption of `configure()` itself
    parent = trace.get_current_span().get_span_context()
    if parent.is_valid and not parent.trace_flags.sampled:
        return  # an interruption of a health check
    with trace.get_tracer("actions").start_as_current_span(name) as span:
        span.set_attribute("name", name)
        span.add_event(name)
        logging.getLogger("actions").warning(name)
        metrics.get_meter("actions").create_counter("faults.interruptions").add(1)
    trace.get_current_span().set_attribute("interrupted by", name)
    _recorded[name] += 1


@action
def record_in_signal_handlers() -> None:
    """Interrupt the main thread every few milliseconds with a handler that records."""
    signal.signal(signal.SIGALRM, lambda *_: record("in a signal handler"))
    signal.setitimer(signal.ITIMER_REAL, 0.5, 0.007)


class _Cycle:
    """A reference cycle that records when the garbage collector finds it."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        record("in a finalizer")


@action
def record_in_finalizers() -> None:
    """Create such a cycle with each 16th span of the busy route, and with spans of requests."""
    from blogauto_otel.sdk.span import RecordingSpan

    stock = RecordingSpan.end

    def end(self: Any, *args: Any) -> None:
        if self.name in ("inner", "busy") and sum(_recorded.values()) % 16 == 0:
            _Cycle()
        stock(self, *args)

    RecordingSpan.end = end  # type: ignore[method-assign,assignment]
    gc.set_threshold(100, 2, 2)


@action
def stop_interruptions() -> dict[str, int]:
    """Stop the interruptions; how often each kind happened."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    gc.collect()
    return dict(_recorded)


@action
def many_threads(threads: int, times: int) -> int:
    """Record from many threads, with a switch interval that interrupts them everywhere."""
    tracer = trace.get_tracer("actions")
    counter = metrics.get_meter("actions").create_counter("faults.of_many")

    def record(number: int) -> None:
        for time_ in range(times):
            with tracer.start_as_current_span("of many"):
                logging.getLogger("actions").warning("of many: %d %d", number, time_)
                counter.add(1)

    stock = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        workers = [threading.Thread(target=record, args=(number,)) for number in range(threads)]
        for thread in workers:
            thread.start()
        for thread in workers:
            thread.join()
    finally:
        sys.setswitchinterval(stock)
    return threads * times


@action
def set_umask_0777() -> None:
    """New files get no permissions."""
    os.umask(0o777)


@action
def log_exceptions(times: int) -> None:
    """Catch exceptions, and log each."""
    for _ in range(times):
        try:
            raise ValueError("handled")
        except ValueError:
            logging.getLogger("actions").exception("reported")
