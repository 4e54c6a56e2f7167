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
from tests.export.delivery import wait_for
from tests.spool.failing_disk import Store, contents, items
from tests.spool.spool_process import DELIVERED, LOST, WRITTEN

AT_ONCE = 2  # processes that share the directory
LONGEST = 0.2  # seconds between their first write and their end


class EventLogs:
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
def spool_process(directory: Path, event_logs: EventLogs) -> Iterator[Process]:
    event_log, first = event_logs.new()
    command = python("-m", "tests.spool.spool_process", str(directory), str(event_log), str(first))
    with running(command, directory.parent / f"{event_log.name}.log") as child:
        wait_for(lambda: event_log.stat().st_size, timeout=30.0)
        yield child


def on_disk(directory: Path) -> set[str]:
    """Every item there; raises when a file is not whole."""
    return {one[:8].hex() for request in contents(directory) for one in items(request)}


@pytest.mark.parametrize("kills", [pytest.param(8, marks=pytest.mark.slow), pytest.param(50, marks=pytest.mark.long)])
def test_after_a_kill_no_file_is_damaged_or_missing_and_few_items_are_sent_twice(tmp_path: Path, kills: int) -> None:
    directory, event_logs, rng = tmp_path / "spool", EventLogs(tmp_path / "event_logs"), random.Random(57)
    for _ in range(kills // AT_ONCE):
        with contextlib.ExitStack() as stack:
            children = [stack.enter_context(spool_process(directory, event_logs)) for _ in range(AT_ONCE)]
            for child in children:
                time.sleep(rng.uniform(0.0, LONGEST))
                child.terminate(signal.SIGKILL)
                assert child.returncode == -signal.SIGKILL, child.output
        assert event_logs.items(WRITTEN) <= on_disk(directory) | event_logs.items(DELIVERED)
    left = {one[:8].hex() for request in Store(directory).drain() for one in items(request)}
    assert event_logs.items(WRITTEN) <= left | event_logs.items(DELIVERED)
    assert not event_logs.files(LOST)
    assert {path.name for path in directory.iterdir()} <= {".write.lock", ".drain.lock"}
    again = Counter(file[0] for file in event_logs.files(DELIVERED))
    assert sum(times - 1 for times in again.values()) <= kills  # the one file that each was sending
