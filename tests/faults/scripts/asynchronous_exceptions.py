"""Exceptions at arbitrary moments: in the end of a span, in a log call, in an await."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import signal
import sys
import time
from collections import Counter
from typing import Any

from opentelemetry import trace

import blogauto_otel
from testkit.results import print_result

telemetry = blogauto_otel.configure()
tracer = trace.get_tracer("faults")
log = logging.getLogger("faults")
complete: Counter[str] = Counter()  # finished, so it must arrive


class Out(BaseException):
    """Not an `Exception`, as KeyboardInterrupt and the exceptions that stop workers."""


def out(*_: Any) -> None:
    logging.getLogger("faults.handler").warning("in the handler")
    complete["in the handler"] += 1
    raise Out


def record(name: str) -> None:
    with tracer.start_as_current_span(name):
        log.warning("%s", name)
    complete[name] += 1


def interrupted() -> None:
    """Interrupted by a timer, each time at another place."""
    signal.signal(signal.SIGALRM, out)
    until = time.monotonic() + 1.5
    rng = random.Random(1)
    while time.monotonic() < until:
        with contextlib.suppress(Out):
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.0001, 0.002))
            while time.monotonic() < until:  # the timer's exception may be ignored, as in the callback of a weak set
                record("interrupted")
    signal.setitimer(signal.ITIMER_REAL, 0.0)


def deep(left: int) -> None:
    if left:
        deep(left - 1)
    else:
        record("deep")


def at_the_end_of_the_stack() -> None:
    """Record at each depth near the recursion limit, so that it is exceeded everywhere inside."""
    for left in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit()):
        with contextlib.suppress(RecursionError):
            deep(left)


async def cancelled() -> None:
    """Cancel tasks while they wait in spans and operations."""

    async def work() -> None:
        for _ in range(10):
            with tracer.start_as_current_span("outer"):
                await asyncio.sleep(0)
                async with blogauto_otel.operation("cancelled"):
                    await asyncio.sleep(0.001)
            complete["outer"] += 1

    rng = random.Random(2)
    tasks = [asyncio.ensure_future(work()) for _ in range(200)]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0.001)
        rng.choice(tasks).cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


interrupted()
at_the_end_of_the_stack()
asyncio.run(cancelled())
for _ in range(100):
    record("afterwards")
ended = telemetry.shutdown()
figures = {name: of for name, of in telemetry.status().as_dict()["delivery"].items() if name != "spool"}
print_result(
    {
        "ended": ended,
        "complete": complete,
        "balance": {n: of["accepted"] - of["sent"] - of["spooled"] - of["queue_items"] for n, of in figures.items()},
        "dropped": {name: of["dropped"] for name, of in figures.items()},
        "spooled": {name: of["spooled"] for name, of in figures.items()},
    }
)
