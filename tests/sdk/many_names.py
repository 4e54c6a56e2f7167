"""Name things with ever new names, as foreign code may: `python -m ... KIND WARM_UP NAMES`.

Prints, as JSON, the resident memory in bytes after the first number of names, and after the second.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Final

import blogauto_otel
from blogauto_otel import operation
from testkit.memory import resident_around


def loggers(number: int) -> None:
    """Not from `getLogger`, which keeps each logger for ever."""
    logger = logging.Logger(f"logger {number}", logging.INFO)  # noqa: LOG001
    logger.parent = logging.getLogger()
    logger.info("message %d", number)


def operations(number: int) -> None:
    with operation(f"operation {number}"):
        pass


KINDS: Final[dict[str, Callable[[int], None]]] = {"loggers": loggers, "operations": operations}


def main(kind: str, warm_up: int, names: int) -> None:
    logging.getLogger().addHandler(logging.NullHandler())  # otherwise errors go to stderr
    telemetry = blogauto_otel.configure(console="off")

    def use(numbers: range) -> None:
        for number in numbers:
            KINDS[kind](number)

    print(json.dumps(resident_around(telemetry, use, warm_up, names)))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
