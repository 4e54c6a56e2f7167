"""The pytest plugin: the fixture `telemetry`, and the tree of what it captured below a failed test.

pytest imports this module in every run where the package is installed, so it imports nothing of OpenTelemetry itself.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from blogauto_otel.testing import Captured

FIXTURE = "telemetry"


@pytest.fixture
def telemetry() -> Iterator[Captured]:
    """The spans, log records and measurements of this test, by the application's own configuration.

    Works whether the application calls `configure()` at import, at its start, or never. Nothing is exported unless an
    endpoint or an exporter is set. See `blogauto_otel.testing.Captured`.
    """
    from blogauto_otel.testing.capture import capture_configured

    with capture_configured() as captured:
        yield captured


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Show the tree of what a failed test captured."""
    outcome = yield
    report = outcome.get_result()
    captured: Any = getattr(item, "funcargs", {}).get(FIXTURE)
    if not report.failed or not hasattr(captured, "tree"):
        return
    try:
        text = captured.tree()
    except Exception as error:  # noqa: BLE001 - the report of the test is worth more
        text = f"not shown: {type(error).__name__}: {error}"
    if text:
        report.sections.append(("Captured telemetry", text))
