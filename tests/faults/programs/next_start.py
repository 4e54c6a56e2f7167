"""The next start of a service whose last one left something on disk: it ends when nothing is there any more."""

from __future__ import annotations

import os
import time
from pathlib import Path

import blogauto_otel
from blogauto_otel.spool.file_format import DAMAGED, parse
from tests.faults.programs.said import say

PATIENCE = 30.0


def waiting() -> int:
    names = (parse(path.name) for path in Path(os.environ["BLOGAUTO_OTEL_SPOOL_DIR"]).rglob("*"))
    return sum(name is not None and name.state != DAMAGED for name in names)


telemetry = blogauto_otel.configure()
deadline = time.monotonic() + PATIENCE
while waiting() and time.monotonic() < deadline:
    time.sleep(0.1)
say(telemetry.status().as_dict()["delivery"])
telemetry.shutdown()
