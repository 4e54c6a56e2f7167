"""A script without a web framework that fails in one of several ways: `python -m tests.sentry.failing_job WAY`."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable

from opentelemetry import trace

import blogauto_otel

log = logging.getLogger("job")


def work() -> None:
    with trace.get_tracer("job").start_as_current_span("job"):
        raise ValueError("case:job")


def crash() -> None:
    """The interpreter prints the exception and exits."""
    work()


def crash_in_operation() -> None:
    with blogauto_otel.operation("job"):
        raise ValueError("case:job")


def scheduled() -> None:
    """Like a scheduler: the exception of a job is logged after the job."""
    try:
        work()
    except ValueError:
        log.exception("the job failed")


def worker() -> None:
    """Like a queue worker: in a thread, once for each job."""

    def run() -> None:
        for _ in range(2):
            scheduled()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def thread() -> None:
    """The exception ends a thread."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


WAYS: dict[str, Callable[[], None]] = {
    way.__name__: way for way in (crash, crash_in_operation, scheduled, worker, thread)
}

if __name__ == "__main__":
    blogauto_otel.configure()
    WAYS[sys.argv[1]]()
