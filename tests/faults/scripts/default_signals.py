"""Signals whose default action ends the process (SIGPIPE, SIGXFSZ), and a blocked SIGTERM."""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

import blogauto_otel
from testkit.results import print_result

SMALL = 20_000  # bytes: enough for the output, too small for a segment

telemetry = blogauto_otel.configure()
logging.getLogger().addHandler(logging.NullHandler())  # console output would hit the limits too
log = logging.getLogger("faults")


def sigpipe() -> None:
    """The receiver closes each connection."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for number in range(10):
        log.warning("hit %d %s", number, os.urandom(100_000).hex()[:3000])
        telemetry.force_flush(1.0)


def sigxfsz() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, resource.RLIM_INFINITY))
    for number in range(200):
        log.warning("hit %d %s", number, os.urandom(1000).hex())
    telemetry.force_flush(1.0)
    time.sleep(1.0)  # for the thread that writes the spool


def without_threads() -> None:
    """A flush then runs in the caller's thread."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threading.Thread.start = refuse  # type: ignore[method-assign]


def blocked_sigterm() -> None:
    """A critical section: while the main thread blocks SIGTERM, no other thread may receive it."""
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    log.warning("before")
    telemetry.force_flush(2.0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    for number in range(20):
        log.warning("hit %d", number)
        os.kill(os.getpid(), signal.SIGTERM)
    telemetry.force_flush(2.0)
    assert signal.SIGTERM in signal.sigpending()
    assert not ended
    others = [task for task in Path("/proc/self/task").iterdir() if task.name != str(os.getpid())]
    assert others, "no thread of ours runs"
    for task in others:
        try:
            status = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        assert int(status["SigBlk"], 16) >> (signal.SIGTERM - 1) & 1, status["Name"]
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    assert ended == [signal.SIGTERM]


for name in sys.argv[1:]:
    globals()[name]()
for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM):
    assert number not in signal.pthread_sigmask(signal.SIG_BLOCK, ()), number
    assert number not in signal.sigpending(), number
telemetry.shutdown(2.0)
figures = {name: of for name, of in telemetry.status().as_dict()["delivery"].items() if name != "spool"}
lost_anyway = ("too_large", "unserialisable", "after_shutdown")
print_result(
    {
        "accepted": {name: of["accepted"] for name, of in figures.items()},
        "balance": {
            name: of["accepted"] - of["sent"] - of["spooled"] - of["queue_items"]
            - sum(count for reason, count in of["dropped"].items() if reason not in lost_anyway)
            for name, of in figures.items()
        },
    }
)  # fmt: skip
