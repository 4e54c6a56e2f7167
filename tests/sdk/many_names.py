"""Name things with ever new names, as foreign code may: `python -m ... KIND WARM_UP NAMES`.

Prints, as JSON, the resident memory in bytes after the first number of names, and after the second.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import blogauto_otel
from blogauto_otel import operation


def loggers(number: int) -> None:
    """Not from `getLogger`, which keeps each logger for ever."""
    logger = logging.Logger(f"logger {number}", logging.INFO)  # noqa: LOG001
    logger.parent = logging.getLogger()
    logger.info("message %d", number)


def operations(number: int) -> None:
    with operation(f"operation {number}"):
        pass


KINDS: Final[dict[str, Callable[[int], None]]] = {"loggers": loggers, "operations": operations}


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(kind: str, warm_up: int, names: int) -> None:
    logging.getLogger().addHandler(logging.NullHandler())  # otherwise errors go to stderr
    telemetry = blogauto_otel.configure(console="off")
    use = KINDS[kind]
    for number in range(warm_up):
        use(number)
    telemetry.force_flush(30.0)
    before = resident()
    for number in range(warm_up, warm_up + names):
        use(number)
    telemetry.force_flush(30.0)
    print(json.dumps([before, resident()]))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
