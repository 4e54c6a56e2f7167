"""A hop on the way of telemetry, its result, and what all hops share."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from blogauto_otel.cli.common import message, padded
from blogauto_otel.config import Settings

TOTAL_SECONDS: Final = 30.0
MAX_CLOCK_DIFFERENCE: Final = 60.0  # seconds; Prometheus refuses samples that are much older or newer


class HopState(str, Enum):
    """The state of one hop; the values are the words of the report."""

    OK = "ok"
    BROKEN = "broken"
    WARNING = "warning"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Result:
    """What was found at one hop, and what to do about it."""

    hop: str
    state: HopState
    detail: str
    fix: str = ""


def ok(hop: str, detail: str) -> Result:
    """The hop works."""
    return Result(hop, HopState.OK, detail)


def broken(hop: str, detail: str, fix: str) -> Result:
    """Telemetry does not get past the hop."""
    return Result(hop, HopState.BROKEN, detail, fix)


def warning(hop: str, detail: str, fix: str = "") -> Result:
    """Telemetry gets past the hop, but something is missing or cannot be seen."""
    return Result(hop, HopState.WARNING, detail, fix)


def not_checked(hop: str, detail: str) -> Result:
    """The hop is not configured, or an earlier one is broken."""
    return Result(hop, HopState.NOT_CHECKED, detail)


def waiting(hop: str, seconds: float) -> None:
    """Tell the person who looks on that the result of a hop takes a while."""
    text = message("at most {seconds} s", seconds=f"{seconds:.0f}")
    print(f"{padded(message('waiting'), 12)} {hop:<20} {text}", file=sys.stderr, flush=True)


@dataclass
class Run:
    """One run of the command: settings, options, and what the hops have found so far."""

    settings: Settings
    problems: tuple[str, ...]
    notes: tuple[str, ...]  # settings that contradict each other, and what else is worth knowing about them
    options: argparse.Namespace
    deadline: float = field(default_factory=lambda: time.monotonic() + TOTAL_SECONDS)
    trace_id: str = field(default_factory=lambda: secrets.token_hex(16))
    request_id: str | None = None  # of the answer of the application
    answered_at: float = 0.0  # when the application answered, as Unix time; 0: it did not
    traced: bool = False  # whether the request can be in a backend for traces

    def seconds(self, most: float) -> float:
        """At most `most` seconds, and no more than are left of the whole run."""
        return max(0.2, min(most, self.deadline - time.monotonic()))

    def is_over(self) -> bool:
        """Whether the time of the run is used up."""
        return time.monotonic() >= self.deadline


def clock_difference(hop: str, whose: str, seconds: float) -> Result | None:
    """A result when another clock differs too much from that of this machine; `seconds` is theirs less ours."""
    if abs(seconds) <= MAX_CLOCK_DIFFERENCE:
        return None
    found = {"whose": whose, "seconds": f"{abs(seconds):.0f}"}
    return broken(
        hop,
        message("the clock of {whose} is {seconds} s ahead of that of this machine", **found)
        if seconds > 0
        else message("the clock of {whose} is {seconds} s behind that of this machine", **found),
        message("synchronise both clocks (NTP): spans and samples with a wrong time are not found, or refused"),
    )
