"""How far a request and a log record travel through the package: calls, files, and moves between files.

    python -m benchmarks journey

A call into another file of the package is one move. Warm: the caches are filled first.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import blogauto_otel
from benchmarks.requests import application, requests
from benchmarks.table import print_table

PACKAGE = str(Path(blogauto_otel.__file__).parent)
WARM_UP = 200


@dataclass
class Journey:
    """What one run passed."""

    calls: int = 0
    moves: int = 0
    files: set[str] = field(default_factory=set)
    _last: str = ""

    def profile(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call":
            return
        file = frame.f_code.co_filename
        if not file.startswith(PACKAGE):
            return
        self.calls += 1
        self.files.add(file)
        if self._last and file != self._last:
            self.moves += 1
        self._last = file


def watched(run: Callable[[], object]) -> Journey:
    """The journey of one run."""
    journey = Journey()
    sys.setprofile(journey.profile)
    try:
        run()
    finally:
        sys.setprofile(None)
    return journey


def main() -> None:
    """Print the table."""
    telemetry = blogauto_otel.configure(
        service_name="journey", endpoint="http://127.0.0.1:9", console="off", spool_dir="off", sample_rate=1.0
    )
    app, loop = application(), asyncio.new_event_loop()
    log = logging.getLogger("benchmark")
    rows = []
    for name, run in (
        ("a sampled request", lambda: loop.run_until_complete(requests(app, 1))),
        ("a log record", lambda: log.warning("analyzing %d keywords", 3)),
    ):
        for _ in range(WARM_UP):
            run()  # type: ignore[no-untyped-call]
        journey = watched(run)
        rows.append((name, str(journey.calls), str(len(journey.files)), str(journey.moves)))
    print_table("The way through the package", ("what", "calls", "files", "moves between files"), rows)
    loop.close()
    telemetry.shutdown(0.1)


if __name__ == "__main__":
    main()
