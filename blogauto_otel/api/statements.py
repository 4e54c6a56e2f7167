"""SQL statements of one request or operation: which of them repeats, which is slow, and where it was issued.

One detector for the server span, the log, the metric, the page of `blogauto-otel dev` and the fixture of pytest.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Final, NamedTuple

from blogauto_otel._guard import guard, log_once
from blogauto_otel.api.declarations import AtMost, counter

REPEATED: Final = "blogauto.db.repeated"
REPEATED_STATEMENT: Final = "blogauto.db.repeated.statement"
REPEATED_SOURCE: Final = "blogauto.db.repeated.source"
LAZY_LOAD: Final = "blogauto.db.repeated.lazy_load"
SLOW: Final = "blogauto.db.slow"
SLOW_STATEMENT: Final = "blogauto.db.slow.statement"

MAX_STATEMENTS: Final = 1_000  # different ones of one request or operation
MAX_FRAMES: Final = 80
# Compared with the file names of frames.
_LAZY_LOADER: Final = str(Path("sqlalchemy", "orm", "strategies.py"))
_OURS: Final = f"{Path(__file__).parent.parent}{os.sep}"
_LIBRARIES: Final = (
    f"{Path(os.__file__).parent}{os.sep}",
    f"{os.sep}site-packages{os.sep}",
    f"{os.sep}sqlalchemy{os.sep}",
)


@counter("db.repeated_queries", unit="{query}", domain="database")
def repeated_queries(*, route: Annotated[str, AtMost(200)]) -> None:
    """Statements that one request executed repeatedly (N+1 queries), by route template."""


class Source(NamedTuple):
    """The line of the application that issued a statement."""

    path: str
    line: int
    is_lazy_load: bool

    def __str__(self) -> str:
        path = Path(self.path)
        return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{self.line}"


class StatementCounts:
    """The statements of one request or operation, by their text without literals."""

    __slots__ = ("counts", "repeated", "slow", "slowest", "source")

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.repeated: str | None = None  # the first that reached the limit
        self.source: Source | None = None
        self.slow = 0
        self.slowest = ""

    def add(self, text: str, seconds: float, limit: int, slow: float) -> None:
        """Count one execution.

        Args:
            text: of the statement, without literals.
            seconds: its duration.
            limit: executions from which a statement is repeated; 0 for never.
            slow: seconds from which it is slow; 0 for never.
        """
        counts = self.counts
        count = counts[text] = counts.get(text, 0) + 1
        if count == limit and self.repeated is None:
            self.repeated = text
            self.source = find_source()
        elif count == 1 and len(counts) > MAX_STATEMENTS:
            del counts[text]
        if slow and seconds >= slow:
            self.slow += 1
            self.slowest = self.slowest or text

    @property
    def is_remarkable(self) -> bool:
        """Whether there is something to report."""
        return self.repeated is not None or self.slow > 0

    def attributes(self) -> dict[str, Any]:
        """For the span of the request or operation."""
        found: dict[str, Any] = {}
        if self.repeated is not None:
            found[REPEATED] = self.counts[self.repeated]
            found[REPEATED_STATEMENT] = self.repeated
            if self.source is not None:
                found[REPEATED_SOURCE] = str(self.source)
                found[LAZY_LOAD] = self.source.is_lazy_load
        if self.slow:
            found[SLOW], found[SLOW_STATEMENT] = self.slow, self.slowest
        return found


def report(found: StatementCounts, route: str) -> Mapping[str, Any]:
    """Count and log what is remarkable, the log line once a route; returns the attributes for the span."""
    with guard("reporting repeated statements"):
        if found.repeated is not None:
            count = found.counts[found.repeated]
            repeated_queries.add(count, route=route)
            log_once(
                f"repeated {route}", "%s executed one SQL statement %d times: %s%s. %s",
                route, count, found.repeated, f" (at {found.source})" if found.source else "", _advice(found.source),
            )  # fmt: skip
        if found.slow:
            log_once(f"slow statement {route}", "%s executed a slow SQL statement: %s", route, found.slowest)
        return found.attributes()
    return {}


def _advice(source: Source | None) -> str:
    if source is not None and source.is_lazy_load:
        return "It loads related rows one by one: add selectinload() or joinedload() to the query"
    return "Read all rows with one statement, or load related rows with selectinload() or joinedload()"


# --- where a statement was issued -------------------------------------------------------------------------------------


def find_source() -> Source | None:
    """The innermost line of the application in the current stack; None when there is none.

    An `AsyncSession` executes in a greenlet of its own, whose parent has the application's frames.
    """
    is_lazy = False
    for number, frame in enumerate(_frames()):
        name = frame.f_code.co_filename
        if name.endswith(_LAZY_LOADER):
            is_lazy = True
        elif not name.startswith(("<", _OURS)) and not any(part in name for part in _LIBRARIES):
            return Source(name, frame.f_lineno, is_lazy)
        if number >= MAX_FRAMES:
            break
    return None


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back
    greenlet = sys.modules.get("greenlet")
    parent: Any = greenlet.getcurrent().parent if greenlet is not None else None
    frame = getattr(parent, "gr_frame", None)
    while frame is not None:
        yield frame
        frame = frame.f_back
