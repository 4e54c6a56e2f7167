"""The worker: runs when it is woken, and ends when there is nothing to wait for."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from blogauto_otel.export.worker import NO_WORK, Worker
from tests.export.delivery import wait_for

NAME = "worker-under-test"


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def test_it_ends_without_work_and_runs_again_when_it_is_woken() -> None:
    runs: list[threading.Thread] = []

    def run() -> float:
        runs.append(threading.current_thread())
        return NO_WORK

    worker = Worker(NAME, run, "working")
    for expected in (1, 2, 3):
        worker.wake()
        wait_for(lambda: len(runs) >= expected and not worker.running)  # noqa: B023 - called at once
    wait_for(lambda: not threads())
    assert len(set(runs)) > 1
    worker.stop()


def test_whoever_wakes_it_while_it_ends_gets_a_run() -> None:
    """Woken by several threads as it ends: each piece of work is seen, by one thread at a time."""
    given, seen = [0] * 4, [0] * 4
    at_once, most_at_once = 0, 0

    def run() -> float:
        nonlocal at_once, most_at_once
        at_once += 1
        most_at_once = max(most_at_once, at_once)
        seen[:] = given
        at_once -= 1
        return NO_WORK

    worker = Worker(NAME, run, "working")

    def give(number: int) -> None:
        for _ in range(300):
            given[number] += 1
            worker.wake()
            wait_for(lambda: seen[number] == given[number])

    with ThreadPoolExecutor(len(given)) as givers:
        list(givers.map(give, range(len(given))))
    assert most_at_once == 1
    worker.stop()
