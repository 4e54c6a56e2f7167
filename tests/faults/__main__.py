"""The fault matrix in one command: `python -m tests.faults` plays its rows and prints `rows passed / rows`.

python -m tests.faults -k 03        # what follows is pytest's
python -m tests.faults --long       # the forms that take minutes as well
python -m tests.faults --long --write    # and the results into docs/reliability.md
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


class Outcomes:
    """What became of each row, as pytest reports it."""

    def __init__(self) -> None:
        self.played: dict[str, str] = {}
        self.long_form: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []  # node ids

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = re.search(r"::(test_row\w*)\[(.+)\]$", report.nodeid)
        if found is None or (report.when != "call" and report.passed):
            return
        results = self.played if found[1] == "test_row" else self.long_form
        results[found[2]] = report.result
        if report.failed:
            self.failed.append(f"{TESTS}::{found[1]}[{found[2]}]")
        if report.when == "call" and found[1] == "test_row":
            self.seconds[found[2]] = report.duration


def main() -> int:
    """Play the rows; 0 when each that was asked for has passed."""
    reading = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    reading.add_argument("--long", action="store_true", help="play the forms that take minutes as well")
    reading.add_argument("--write", action="store_true", help="put the results into docs/reliability.md")
    given, others = reading.parse_known_args()

    outcomes = Outcomes()
    marks = "slow or long" if given.long else "slow and not long"
    words = ["-q", "-p", "no:cacheprovider", "-m", marks]
    code = pytest.main([*words, *others, str(TESTS)], plugins=[outcomes])
    if outcomes.failed:  # real time on a machine that others use: once more, alone, as .ci/run does
        again, outcomes.failed = outcomes.failed, []
        code = pytest.main([*words, *again], plugins=[outcomes])

    print()
    for row in ROWS:
        result = outcomes.played.get(row.id, page.NOT_PLAYED)
        print(f"{result:10}  {outcomes.seconds.get(row.id, 0.0):5.1f} s  {row.id}: {row.fault}")
    print(f"\nrows passed: {page.score(outcomes.played)}")
    if given.long:
        print(f"long forms passed: {page.score_at_length(outcomes.long_form)}")
    if given.write:
        today = dt.datetime.now(dt.timezone.utc).date()
        where = f"{today}, Python {platform.python_version()}, {os.cpu_count()} cores"
        made = page.tables(outcomes.played, outcomes.long_form, where)
        page.PAGE.write_text(page.written(page.PAGE.read_text(encoding="utf-8"), made), encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
