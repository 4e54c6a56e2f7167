"""Run the fault matrix: `python -m tests.faults` runs its rows and prints `rows passed: n / n`.

python -m tests.faults -k 03        # other arguments are pytest's
python -m tests.faults --long       # the long forms too: minutes
python -m tests.faults --long --write    # and write the results into docs/reliability.md
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import re
import sys
from pathlib import Path

import pytest

from tests.faults import page
from tests.faults.matrix import ROWS

TESTS = Path(__file__).with_name("test_faults.py")


class Results:
    """The result of each row, as pytest reports it."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.long_forms: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []  # node ids

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = re.search(r"::(test_row\w*)\[(.+)\]$", report.nodeid)
        if found is None or (report.when != "call" and report.passed):
            return
        results = self.rows if found[1] == "test_row" else self.long_forms
        results[found[2]] = report.outcome
        if report.failed:
            self.failed.append(f"{TESTS}::{found[1]}[{found[2]}]")
        if report.when == "call" and found[1] == "test_row":
            self.seconds[found[2]] = report.duration


def main() -> int:
    """Run the rows; 0 when all selected ones passed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description="Run the fault matrix; other arguments are pytest's."
    )
    parser.add_argument("--long", action="store_true", help="run the long forms too: minutes")
    parser.add_argument("--write", action="store_true", help="write the results into docs/reliability.md")
    given, others = parser.parse_known_args()

    results = Results()
    marks = "slow or long" if given.long else "slow and not long"
    arguments = ["-q", "-p", "no:cacheprovider", "-m", marks]
    code = pytest.main([*arguments, *others, str(TESTS)], plugins=[results])
    if results.failed:  # real time on a shared machine: run failures again, alone, as .ci/run does
        again, results.failed = results.failed, []
        code = pytest.main([*arguments, *again], plugins=[results])

    print()
    for row in ROWS:
        result = results.rows.get(row.id, page.NOT_RUN)
        print(f"{result:10}  {results.seconds.get(row.id, 0.0):5.1f} s  {row.id}: {row.fault}")
    print(f"\nrows passed: {page.score(results.rows)}")
    if given.long:
        print(f"long forms passed: {page.score_of_long_forms(results.long_forms)}")
    if given.write:
        today = dt.datetime.now(dt.timezone.utc).date()
        where = f"{today}, Python {platform.python_version()}, {os.cpu_count()} cores"
        text = page.tables(results.rows, results.long_forms, where)
        page.PAGE.write_text(page.replace_tables(page.PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
