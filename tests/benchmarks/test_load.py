"""The benchmark of live servers runs to its end; its figures are nobody's business here."""

from __future__ import annotations

import os
import subprocess

import pytest

from testkit.processes import ROOT, environment, python

VARIANTS = {"bare", "ours", "ours unsampled", "ours, export off", "contrib"}


def printed_table(path: str) -> list[list[str]]:
    """The rows of the shortest run, without the header."""
    arguments = ("--quick", "--connections", "4", "--rounds", "1", "--seconds", "1", "--variable", "LOAD_TEST=1")
    command = python("-m", "benchmarks", "load", *arguments)
    done = subprocess.run(command, cwd=ROOT, env=environment(PATH=path), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [os.environ["PATH"], pytest.param("/nowhere", marks=pytest.mark.long)],
    ids=["with the programs of this machine", "without wrk"],
)
def test_every_cell_of_the_table_is_filled(path: str) -> None:
    rows = printed_table(path)
    assert all(cell for row in rows for cell in row), rows
    for route in ("plain", "body + SQL + log"):
        assert {row[3] for row in rows if row[1] == route} == VARIANTS
    assert all(float(row[4].replace(",", "")) > 0 for row in rows), rows
