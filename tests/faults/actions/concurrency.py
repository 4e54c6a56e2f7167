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
    """One of everything."""
    with trace.get_tracer("actions").start_as_current_span(name) as span:
        span.set_attribute("name", name)
        span.add_event(name)
        logging.getLogger("actions").warning(name)
        metrics.get_meter("actions").create_counter("faults.interruptions").add(1)
    trace.get_current_span().set_attribute("interrupted by", name)
    _recorded[name] += 1


@action
def record_in_signal_handlers() -> None:
    """Every few milliseconds the main thread is interrupted, wherever it is, and records."""
    signal.signal(signal.SIGALRM, lambda *_: record("in a signal handler"))
    signal.setitimer(signal.ITIMER_REAL, 0.5, 0.007)


class _Cycle:
    """Garbage that only the collector finds, in whichever thread and function makes it run."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        record("in a finalizer")


@action
def record_in_finalizers() -> None:
    """Garbage that records when it is collected, with each span."""
    from opentelemetry.sdk.trace import Span

    stock = Span.end

    def end(self: Any, *args: Any) -> None:
        if sum(_recorded.values()) % 2 == 0 and self.name == "inner":
            _Cycle()
        stock(self, *args)

    Span.end = end  # type: ignore[method-assign,assignment]
    gc.set_threshold(100, 2, 2)


@action
def stop_interruptions() -> dict[str, int]:
    """No more interruptions; how often there were any."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    gc.collect()
    return dict(_recorded)


@action
def many_threads(threads: int, times: int) -> int:
    """So many at once that each is interrupted everywhere."""
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
        crowd = [threading.Thread(target=record, args=(number,)) for number in range(threads)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()
    finally:
        sys.setswitchinterval(stock)
    return threads * times


@action
def set_umask_0777() -> None:
    """From whatever is made from here on."""
    os.umask(0o777)


@action
def log_exceptions(times: int) -> None:
    """Handle exceptions, and log each of them."""
    for _ in range(times):
        try:
            raise ValueError("handled")
        except ValueError:
            logging.getLogger("actions").exception("reported")
