"""docs/reliability.md shows the fault matrix, and refers to tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.faults import page
from tests.faults.matrix import ROWS, SECTIONS

TEXT = page.PAGE.read_text(encoding="utf-8")


def test_every_row_is_on_the_page_with_its_promise() -> None:
    rows = [(row.number, row.fault, row.promise) for rows in SECTIONS.values() for row in rows]
    assert page.rows_on(TEXT) == rows, "python -m tests.faults --write rewrites the tables"


def test_a_number_names_one_row() -> None:
    assert len({row.number for row in ROWS}) == len(ROWS)


def references() -> list[str]:
    promised = TEXT[TEXT.index("## Promised") : TEXT.index("## The window")]
    return [line.split("|")[2] for line in promised.splitlines() if line.startswith("| ")][1:]


@pytest.mark.parametrize("reference", references())
def test_the_tests_of_a_promise_exist(reference: str) -> None:
    paths = re.findall(r"`(tests/[\w/]+\.py)`", reference)
    numbers = [int(number) for number in re.findall(r"\b\d+\b", re.sub(r"`[^`]*`", "", reference))]
    assert paths or numbers or "invariants" in reference or "python -m benchmarks" in reference
    assert all((page.PAGE.parents[1] / path).is_file() for path in paths), paths
    assert set(numbers) <= {row.number for row in ROWS}, numbers


def test_the_score_counts_rows_that_passed() -> None:
    passed = {row.id: "passed" for row in ROWS[1:]} | {ROWS[0].id: "failed"}
    text = page.tables(passed, {}, "somewhere")
    assert text.startswith(f"{len(ROWS) - 1} / {len(ROWS)} rows passed, 0 / ")
    assert text.count("| failed") == 1
    assert page.rows_on(page.replace_tables(f"{page.BEGIN}\n{page.END}", text)) == page.rows_on(TEXT)
