"""Forks while other threads record and export: any lock may be held by a thread that the child lacks."""

from __future__ import annotations

import sys
import threading

from opentelemetry import trace

import blogauto_otel
from testkit.results import print_result
from tests.faults.scripts.forked_child import TIMEOUT, run_in_fork

SPANS = 3

telemetry = blogauto_otel.configure(span_delay=0.05)
tracer = trace.get_tracer("faults")
stop = threading.Event()
recorded = 0


def load() -> None:
    global recorded
    while not stop.is_set():
        with lock, tracer.start_as_current_span("parent"):
            recorded += 1
        stop.wait(0.002)


def child() -> bool:
    for _ in range(SPANS):
        with tracer.start_as_current_span("child"):
            pass
    return telemetry.shutdown(TIMEOUT / 2)


lock = threading.Lock()
threads = [threading.Thread(target=load) for _ in range(3)]
for thread in threads:
    thread.start()
forks = int(sys.argv[1])
failed_children = [how for how in (run_in_fork(child) for _ in range(forks)) if how]
stop.set()
for thread in threads:
    thread.join()
telemetry.shutdown(10.0)
print_result({"failed_children": failed_children, "children": forks * SPANS, "parent": recorded})
