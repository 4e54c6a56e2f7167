"""Forks while other threads record and the sender sends: every lock may be held by a thread that the child lacks."""

from __future__ import annotations

import os
import sys
import threading

from opentelemetry import trace

import blogauto_otel
from tests.faults.programs.said import say
from tests.faults.programs.waited import PATIENCE, ended_well

SPANS = 3

telemetry = blogauto_otel.configure(span_delay=0.05)
tracer = trace.get_tracer("faults")
stop = threading.Event()
made = 0


def load() -> None:
    global made
    while not stop.is_set():
        with lock, tracer.start_as_current_span("parent"):
            made += 1
        stop.wait(0.002)


def child() -> None:
    for _ in range(SPANS):
        with tracer.start_as_current_span("child"):
            pass
    os._exit(0 if telemetry.shutdown(PATIENCE / 2) else 1)


lock = threading.Lock()
threads = [threading.Thread(target=load) for _ in range(3)]
for thread in threads:
    thread.start()
forks, hung = int(sys.argv[1]), 0
for _ in range(forks):
    pid = os.fork()
    if pid == 0:
        child()
    hung += not ended_well(pid)
stop.set()
for thread in threads:
    thread.join()
telemetry.shutdown(10.0)
say({"hung": hung, "children": forks * SPANS, "parent": made})
