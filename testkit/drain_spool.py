"""Start the service again and wait until its spool is empty: `python -m testkit.drain_spool`."""

from __future__ import annotations

import os
import time
from pathlib import Path

import blogauto_otel
from blogauto_otel.spool.file_format import DAMAGED, parse
from testkit.results import print_result

TIMEOUT = 30.0


def segments() -> int:
    """The number of segments that wait for delivery."""
    names = (parse(path.name) for path in Path(os.environ["BLOGAUTO_OTEL_SPOOL_DIR"]).rglob("*"))
    return sum(name is not None and name.state != DAMAGED for name in names)


if __name__ == "__main__":
    telemetry = blogauto_otel.configure()
    deadline = time.monotonic() + TIMEOUT
    while segments() and time.monotonic() < deadline:
        time.sleep(0.1)
    print_result(telemetry.status().as_dict()["delivery"])
    telemetry.shutdown()
