"""Pytest plugin for `tools/peer_suites.py`: configures telemetry if there is an endpoint, and writes the results' ids.

It runs in the environment of another project's tests, and so imports nothing but pytest and the package.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

RESULTS: dict[str, list[str]] = {"passed": [], "failed": [], "skipped": []}

if "PEER_SUITES_ENDPOINT" in os.environ:
    import blogauto_otel

    endpoint = os.environ["PEER_SUITES_ENDPOINT"]
    telemetry = blogauto_otel.configure(service_name="peer-suites", endpoint=endpoint, console="off", spool_dir="off")
    assert telemetry.status().delivery is not None, "telemetry is not active: the run would prove nothing"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A failure in set-up or tear-down is a failure of the test."""
    if report.when == "call" or not report.passed:
        RESULTS[report.outcome].append(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that cannot be collected is a failure too."""
    if report.failed:
        RESULTS["failed"].append(report.nodeid)


def pytest_sessionfinish() -> None:
    """Write the results."""
    Path(os.environ["PEER_SUITES_RESULTS"]).write_text(json.dumps(RESULTS))
