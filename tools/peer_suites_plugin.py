"""Pytest plugin for `tools/peer_suites.py`: configures telemetry if asked, and writes the ids of the results.

It runs in the environment of another project's tests, and so imports nothing but pytest and the package.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

RESULTS: dict[str, list[str]] = {"passed": [], "failed": [], "skipped": []}

if os.environ.get("PEER_SUITES_CONFIGURE"):
    import blogauto_otel

    telemetry = blogauto_otel.configure(
        service_name="peer-suites", endpoint="http://127.0.0.1:9", console="off", spool_dir="off"
    )
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
