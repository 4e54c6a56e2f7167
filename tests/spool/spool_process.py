"""A process that writes to a spool, adds to a file of its own and delivers what is there, until it is killed.

Each step is written to an event log before the next one: what the kernel has received outlives the process.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
from pathlib import Path

from blogauto_otel.spool.directory import SpoolLimits
from blogauto_otel.spool.file_format import StoredRequest
from blogauto_otel.spool.store import ClaimedSegment, Spool
from tests.spool.failing_disk import a_request, items

WRITTEN, DELIVERED, LOST = "written", "delivered", "lost"


class SpoolProcess:
    """The process: in each step it writes, adds, closes or drains, at random."""

    def __init__(self, directory: Path, event_log: Path, first: int) -> None:
        self._event_log = os.open(event_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._numbers = itertools.count(first)
        self._rng = random.Random(first)
        self._spool = Spool(directory, SpoolLimits(), lambda *_: self._note(LOST, StoredRequest(*_)))
        self._segment: tuple[ClaimedSegment, StoredRequest] | None = None

    def _note(self, what: str, request: StoredRequest) -> None:
        os.write(self._event_log, " ".join([what, *(one[:8].hex() for one in items(request))]).encode() + b"\n")

    def _some(self) -> StoredRequest:
        return a_request(*itertools.islice(self._numbers, self._rng.randint(1, 12)))

    def write(self) -> None:
        request = self._some()
        self._spool.write(request)
        self._note(WRITTEN, request)

    def add(self) -> None:
        request, before = self._some(), self._segment
        joined = request
        if before is not None:
            joined = StoredRequest(request.signal, before[1].items + request.items, before[1].content + request.content)
        segment = self._spool.write(joined, claim=True, replaces=before[0] if before else None)
        self._note(WRITTEN, request)
        self._segment = segment, joined

    def close(self) -> None:
        if self._segment is not None:
            self._spool.release(self._segment[0])
            self._segment = None

    def drain(self) -> None:
        if not (self._spool.has_work(self._spool.scan()) and self._spool.lock()):
            return
        for file in self._spool.recover()[:3]:
            segment = self._spool.claim(file)
            request = None if segment is None else self._spool.read(segment)
            if segment is None or request is None:
                continue
            if self._rng.random() < 0.8:
                self._note(DELIVERED, request)
                self._spool.delete(segment)
            else:
                self._spool.release(segment)
        self._spool.unlock()

    def run(self) -> None:
        while True:
            self._rng.choice((self.write, self.add, self.add, self.close, self.drain))()


if __name__ == "__main__":
    SpoolProcess(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])).run()
