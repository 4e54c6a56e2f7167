"""The fault matrix: one row, one test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness import Harness, control_application
from tests.faults.matrix import ROWS, Row
from tests.faults.service import Client

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with control_application(tmp_path_factory.mktemp("control")) as client:
        yield client


@pytest.fixture
def harness(tmp_path: Path, control: Client) -> Harness:
    return Harness(tmp_path, control)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_row(row: Row, harness: Harness) -> None:
    row.run(harness)


@pytest.mark.long
@pytest.mark.parametrize("row", [row for row in ROWS if row.long_form], ids=lambda row: row.id)
def test_row_in_its_long_form(row: Row, harness: Harness) -> None:
    row.run(harness, **row.long_form)
