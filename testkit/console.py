"""The console output of an application, line by line: records in JSON, and whatever else was printed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

# What the package logs when items begin to be lost: one of these, once.
LOSS_MESSAGES = ("are being lost", "what it refuses is lost", "and lost:", "rejected")


@dataclass(frozen=True)
class Line:
    """A printed line; without logger and level when it is no record in JSON."""

    text: str
    logger: str = ""
    level: str = ""
    is_record: bool = False

    @property
    def pattern(self) -> str:
        """The text with `#` for numbers, except those of an HTTP status; equal for messages of one kind."""
        return re.sub(r"(?<!HTTP )\b\d+", "#", self.text)

    @property
    def is_error(self) -> bool:
        """Whether it reports an exception, as a record or as a traceback."""
        if self.is_record:
            return self.level in {"ERROR", "CRITICAL"}
        return re.search(r"Traceback|Exception|Error|Segmentation", self.text) is not None

    @property
    def is_own(self) -> bool:
        """Whether the package logged it."""
        return self.logger.partition(".")[0] == "blogauto_otel"


def read_lines(output: str) -> list[Line]:
    """The lines that are not empty."""
    return [_line(text) for text in output.splitlines() if text.strip()]


def _line(text: str) -> Line:
    try:
        record = json.loads(text)
        return Line(record["message"], record["logger"], record["level"], is_record=True)
    except (ValueError, KeyError, TypeError):
        return Line(text)
