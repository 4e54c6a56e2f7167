"""The fault matrix in docs/reliability.md: each row with its promise and its last result."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.faults.matrix import ROWS, SECTIONS, Row

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"

BEGIN: Final = "<!-- matrix:begin (written by `python -m tests.faults --write`) -->"
END: Final = "<!-- matrix:end -->"

NOT_RUN: Final = "not run"

Results = Mapping[str, str]  # by row id


def score(results: Results) -> str:
    """`rows passed / rows`."""
    return f"{sum(results.get(row.id) == 'passed' for row in ROWS)} / {len(ROWS)}"


def score_of_long_forms(results: Results) -> str:
    """The same for the rows with a long form."""
    long = [row for row in ROWS if row.long_form]
    return f"{sum(results.get(row.id) == 'passed' for row in long)} / {len(long)}"


def tables(rows: Results, long_forms: Results, where: str) -> str:
    """The text between the marks of the page."""
    passed = f"{score(rows)} rows passed, {score_of_long_forms(long_forms)} of the long forms ({where})."
    return "\n\n".join([passed, *_sections(rows, long_forms)])


def _sections(rows: Results, long_forms: Results) -> list[str]:
    sections = []
    for title, members in SECTIONS.items():
        lines = ["| row | fault | what is promised | result |", "|---|---|---|---|"]
        lines += [
            f"| {row.number} | {row.fault} | {row.promise} | {_result(row, rows, long_forms)} |" for row in members
        ]
        sections.append(f"### {title}\n\n" + "\n".join(lines))
    return sections


def _result(row: Row, rows: Results, long_forms: Results) -> str:
    result = rows.get(row.id, NOT_RUN)
    if row.long_form:
        form = ", ".join(f"{name} {value:g}" for name, value in row.long_form.items())
        result += f"; {form}: {long_forms.get(row.id, NOT_RUN)}"
    return result


def replace_tables(text: str, new: str) -> str:
    """The page with new text between its marks."""
    before, after = text.index(BEGIN) + len(BEGIN), text.index(END)
    return f"{text[:before]}\n\n{new}\n\n{text[after:]}"


def rows_on(text: str) -> list[tuple[int, str, str]]:
    """Number, fault and promise of each row on the page."""
    between = text[text.index(BEGIN) : text.index(END)]
    found = re.findall(r"^\| (\d+) \| (.*?) \| (.*?) \| .*? \|$", between, re.MULTILINE)
    return [(int(number), fault, promise) for number, fault, promise in found]
