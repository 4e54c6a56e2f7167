"""Threads that fork while others record, and a signal handler that forks, with nobody to deliver to."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

from opentelemetry import trace

import blogauto_otel
from testkit.results import print_result
from tests.faults.scripts.forked_child import PATIENCE, run_in_fork

SPANS = 3

telemetry = blogauto_otel.configure(span_delay=0.05)
tracer = trace.get_tracer("faults")
stop = threading.Event()
made: list[None] = []  # one for each span: its length is changed atomically
children: list[str] = []  # how each ended, or nothing if well


def record() -> None:
    while not stop.is_set():
        with tracer.start_as_current_span("parent"):
            made.append(None)
        stop.wait(0.001)


def child() -> bool:
    for _ in range(SPANS):
        with tracer.start_as_current_span("child"):
            pass
    return telemetry.shutdown(PATIENCE / 2)


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
        made.append(None)
        signal.raise_signal(signal.SIGUSR1)
for thread in forking:
    thread.join()
stop.set()
for thread in recording:
    thread.join()
whole = telemetry.shutdown(PATIENCE)
print_result(
    {
        "children": len(children),
        "ended_badly": [how for how in children if how],
        "child": len(children) * SPANS,
        "parent": len(made),
        "whole": whole,
    }
)
