"""Forks in threads and in a signal handler while others record, without a Collector."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

from opentelemetry import trace

import blogauto_otel
from testkit.results import print_result
from tests.faults.scripts.forked_child import TIMEOUT, run_in_fork

SPANS = 3

telemetry = blogauto_otel.configure(span_delay=0.05)
tracer = trace.get_tracer("faults")
stop = threading.Event()
recorded: list[None] = []  # one for each span: appending is atomic
children: list[str] = []  # how each ended; empty for success


def record() -> None:
    while not stop.is_set():
        with tracer.start_as_current_span("parent"):
            recorded.append(None)
        stop.wait(0.001)


def child() -> bool:
    for _ in range(SPANS):
        with tracer.start_as_current_span("child"):
            pass
    return telemetry.shutdown(TIMEOUT / 2)


def fork(*_: Any) -> None:
    children.append(run_in_fork(child))


def fork_often(times: int) -> None:
    for _ in range(times):
        fork()


each = int(sys.argv[1])
recording = [threading.Thread(target=record) for _ in range(2)]
forking = [threading.Thread(target=fork_often, args=(each,)) for _ in range(3)]
for thread in (*recording, *forking):
    thread.start()
signal.signal(signal.SIGUSR1, fork)
for _ in range(each):
    with tracer.start_as_current_span("parent"):
        recorded.append(None)
        signal.raise_signal(signal.SIGUSR1)
for thread in forking:
    thread.join()
stop.set()
for thread in recording:
    thread.join()
complete = telemetry.shutdown(TIMEOUT)
print_result(
    {
        "children": len(children),
        "failed_children": [how for how in children if how],
        "child": len(children) * SPANS,
        "parent": len(recorded),
        "complete": complete,
    }
)
