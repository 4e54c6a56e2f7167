"""Children of `multiprocessing`, which skip `atexit`; and a fork that calls `os._exit`."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time

from opentelemetry import trace

import blogauto_otel
from testkit.results import print_result

CHILDREN, SPANS = 3, 5


def work(method: str) -> None:
    """Record spans; with `fork` the parent has configured telemetry, otherwise this call does."""
    blogauto_otel.configure()
    tracer = trace.get_tracer("faults")
    for _ in range(SPANS):
        with tracer.start_as_current_span(method):
            pass


def in_children(method: str) -> None:
    context = multiprocessing.get_context(method)
    children = [context.Process(target=work, args=(method,)) for _ in range(CHILDREN)]  # type: ignore[attr-defined]
    for child in children:
        child.start()
    for child in children:
        child.join(30)
        assert child.exitcode == 0


def in_one_that_exits() -> None:
    pid = os.fork()
    if pid == 0:
        work("os._exit")
        time.sleep(2.5)  # no hook runs at `os._exit`; wait for the window
        os._exit(0)
    os.waitpid(pid, 0)


if __name__ == "__main__":
    blogauto_otel.configure()
    if sys.argv[1] == "os._exit":
        in_one_that_exits()
    else:
        in_children(sys.argv[1])
    print_result(CHILDREN * SPANS)
