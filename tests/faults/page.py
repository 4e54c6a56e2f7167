"""The matrix as docs/reliability.md shows it: each row with its promise, and what became of it when it was played."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.faults.matrix import ROWS, SECTIONS, Row

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"

BEGIN: Final = "<!-- matrix:begin (written by `python -m tests.faults --write`) -->"
END: Final = "<!-- matrix:end -->"

NOT_PLAYED: Final = "not played"

# What became of the rows, by their ids: of all of them, and of those that have a long form.
Results = Mapping[str, str]


def score(results: Results) -> str:
    """`rows passed / rows`."""
    return f"{sum(results.get(row.id) == 'passed' for row in ROWS)} / {len(ROWS)}"


def score_at_length(results: Results) -> str:
    """The same of those that have a long form."""
    long = [row for row in ROWS if row.long_form]
    return f"{sum(results.get(row.id) == 'passed' for row in long)} / {len(long)}"


def tables(played: Results, long_form: Results, where: str) -> str:
    """What stands between the marks of the page."""
    parts = [f"{score(played)} rows passed, {score_at_length(long_form)} of the long forms ({where})."]
    for title, rows in SECTIONS.items():
        lines = ["| row | fault | what is promised | result |", "|---|---|---|---|"]
        lines += [f"| {row.number} | {row.fault} | {row.promise} | {_result(row, played, long_form)} |" for row in rows]
        parts.append(f"### {title}\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def _result(row: Row, played: Results, long_form: Results) -> str:
    result = played.get(row.id, NOT_PLAYED)
    if row.long_form:
        form = ", ".join(f"{name} {value:g}" for name, value in row.long_form.items())
        result += f"; {form}: {long_form.get(row.id, NOT_PLAYED)}"
    return result


def written(text: str, made: str) -> str:
    """The page with these tables between its marks."""
    before, after = text.index(BEGIN) + len(BEGIN), text.index(END)
    return f"{text[:before]}\n\n{made}\n\n{text[after:]}"


def rows_on(text: str) -> list[tuple[int, str, str]]:
    """Number, fault and promise of each row that the page shows."""
    between = text[text.index(BEGIN) : text.index(END)]
    found = re.findall(r"^\| (\d+) \| (.*?) \| (.*?) \| .*? \|$", between, re.MULTILINE)
    return [(int(number), fault, promise) for number, fault, promise in found]
