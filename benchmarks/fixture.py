"""The fixture `telemetry` of the pytest plugin: what it adds to each test that uses it.

    python -m benchmarks.fixture

An application of ten routes that have all been requested, as late in the run of a test suite. CPU, not wall time: the
fixture waits for nothing.
"""

from __future__ import annotations

import statistics
import time

from fastapi import FastAPI
from fastapi.testclient import TestClient

import blogauto_otel
from benchmarks.table import print_table
from blogauto_otel.testing.capture import capture_configured

ROUTES, TESTS = 10, 300
GOAL_MILLISECONDS = 1.0


def application() -> TestClient:
    """An application with telemetry as under pytest: nothing is exported."""
    blogauto_otel.configure(
        service_name="shop", traces_exporter="none", metrics_exporter="none", logs_exporter="none", console="off"
    )
    app = FastAPI()
    for number in range(ROUTES):
        app.get(f"/{number}")(lambda: "answer")
    client = TestClient(app)
    for number in range(ROUTES):
        assert client.get(f"/{number}").status_code == 200
    return client


def milliseconds_of_a_test() -> float:
    """CPU of one test that does nothing with its fixture."""
    began = time.process_time()
    with capture_configured():
        pass
    return (time.process_time() - began) * 1000


def main() -> None:
    """Print the cost of one test."""
    application()
    for _ in range(20):
        milliseconds_of_a_test()
    found = sorted(milliseconds_of_a_test() for _ in range(TESTS))
    print_table(
        f"Fixture `telemetry`, {ROUTES} routes, {TESTS} tests (goal: {GOAL_MILLISECONDS:g} ms)",
        ["figure", "CPU"],
        [
            ["median of a test", f"{statistics.median(found):.2f} ms"],
            ["95 of 100 tests", f"{found[TESTS * 95 // 100]:.2f} ms"],
        ],
    )


if __name__ == "__main__":
    main()
