"""SIGKILL at any moment: acknowledged items are there, complete, and sent twice only if they were being sent."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.processes import Process, python, running
from tests.export.deliveries import wait_for
from tests.spool.busy import DELIVERED, LOST, WRITTEN
from tests.spool.stores import Store, contents, items

AT_ONCE = 2  # processes that share the directory
LONGEST = 0.2  # seconds between their first write and their end


class Journals:
    """The events that the processes log, with the items of each file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def new(self) -> tuple[Path, int]:
        """Where the next process writes, and the number of its first item."""
        count = len(list(self._folder.iterdir()))
        path = self._folder / f"{count}"
        path.touch()
        return path, count * 1_000_000

    def files(self, what: str) -> list[list[str]]:
        lines = (line.split() for path in self._folder.iterdir() for line in path.read_text().splitlines())
        return [line[1:] for line in lines if line[0] == what]

    def items(self, what: str) -> set[str]:
        return {one for file in self.files(what) for one in file}


@contextlib.contextmanager
def busy(directory: Path, journals: Journals) -> Iterator[Process]:
    journal, first = journals.new()
    command = python("-m", "tests.spool.busy", str(directory), str(journal), str(first))
    with running(command, directory.parent / f"{journal.name}.log") as child:
        wait_for(lambda: journal.stat().st_size, timeout=30.0)
        yield child


def on_disk(directory: Path) -> set[str]:
    """Every item there; raises when a file is not whole."""
    return {one[:8].hex() for request in contents(directory) for one in items(request)}


@pytest.mark.parametrize("kills", [pytest.param(8, marks=pytest.mark.slow), pytest.param(50, marks=pytest.mark.long)])
def test_after_a_kill_no_file_is_damaged_or_missing_and_few_items_are_sent_twice(tmp_path: Path, kills: int) -> None:
    directory, journals, rng = tmp_path / "spool", Journals(tmp_path / "journals"), random.Random(57)
    for _ in range(kills // AT_ONCE):
        with contextlib.ExitStack() as stack:
            children = [stack.enter_context(busy(directory, journals)) for _ in range(AT_ONCE)]
            for child in children:
                time.sleep(rng.uniform(0.0, LONGEST))
                child.terminate(signal.SIGKILL)
                assert child.returncode == -signal.SIGKILL, child.output
        assert journals.items(WRITTEN) <= on_disk(directory) | journals.items(DELIVERED)
    left = {one[:8].hex() for request in Store(directory).drain() for one in items(request)}
    assert journals.items(WRITTEN) <= left | journals.items(DELIVERED)
    assert not journals.files(LOST)
    assert {path.name for path in directory.iterdir()} <= {".write.lock", ".drain.lock"}
    again = Counter(file[0] for file in journals.files(DELIVERED))
    assert sum(times - 1 for times in again.values()) <= kills  # the one file that each was sending
