"""docs/reliability.md promises what the matrix plays, and names what exists."""

from __future__ import annotations

import re

import pytest

from tests.faults import page
from tests.faults.matrix import ROWS, SECTIONS

TEXT = page.PAGE.read_text(encoding="utf-8")


def test_every_row_is_on_the_page_with_its_promise() -> None:
    rows = [(row.number, row.fault, row.promise) for rows in SECTIONS.values() for row in rows]
    assert page.rows_on(TEXT) == rows, "python -m tests.faults --write writes the tables anew"


def test_a_number_names_one_row() -> None:
    assert len({row.number for row in ROWS}) == len(ROWS)


def held_by() -> list[str]:
    promised = TEXT[TEXT.index("## Promised") : TEXT.index("## The window")]
    return [line.split("|")[2] for line in promised.splitlines() if line.startswith("| ")][1:]


@pytest.mark.parametrize("holds", held_by())
def test_what_holds_a_promise_exists(holds: str) -> None:
    paths = re.findall(r"`(tests/[\w/]+\.py)`", holds)
    numbers = [int(number) for number in re.findall(r"\b\d+\b", re.sub(r"`[^`]*`", "", holds))]
    assert paths or numbers or "the rule" in holds or "python -m benchmarks" in holds
    assert all((page.PAGE.parents[1] / path).is_file() for path in paths), paths
    assert set(numbers) <= {row.number for row in ROWS}, numbers


def test_results_are_counted_where_they_are_passed() -> None:
    passed = {row.id: "passed" for row in ROWS[1:]} | {ROWS[0].id: "failed"}
    made = page.tables(passed, {}, "somewhere")
    assert made.startswith(f"{len(ROWS) - 1} / {len(ROWS)} rows passed, 0 / ")
    assert made.count("| failed") == 1
    assert page.rows_on(page.written(f"{page.BEGIN}\n{page.END}", made)) == page.rows_on(TEXT)
