"""What telemetry survives: one row of the fault matrix, one test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.lab import Asking, Lab, neighbourhood
from tests.faults.matrix import ROWS, Row

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def neighbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with neighbourhood(tmp_path_factory.mktemp("neighbour")) as asking:
        yield asking


@pytest.fixture
def lab(tmp_path: Path, neighbour: Asking) -> Lab:
    return Lab(tmp_path, neighbour)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_row(row: Row, lab: Lab) -> None:
    row.play(lab)


@pytest.mark.long
@pytest.mark.parametrize("row", [row for row in ROWS if row.at_length], ids=lambda row: row.id)
def test_row_at_length(row: Row, lab: Lab) -> None:
    row.play(lab, **row.at_length)
