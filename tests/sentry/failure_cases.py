"""The table: each kind of failure, the number of its events, and the span that failed."""

from __future__ import annotations

from dataclasses import dataclass

SERVER = "the request's own span"
SQL = "the statement's span"
BACKGROUND = "the background task's span"
NONE = "there is none"


@dataclass(frozen=True)
class Case:
    """One kind of failure.

    Args:
        path: of its route in `failing_app.py`; also the message of its exception.
        span: the span that failed in a sampled trace: a name, or one of the words above.
        written: whether a span is exported in an unsampled trace.
        events: how many.
        kept: the span that the event names in an unsampled trace.
    """

    path: str
    span: str = SERVER
    written: bool = True
    events: int = 1
    kept: str = SERVER


CASES: tuple[Case, ...] = (
    Case("unhandled-async"),
    Case("unhandled-sync"),
    Case("inner-async", "inner-async"),
    Case("inner-sync", "inner-sync"),
    Case("operation", "operation"),
    Case("database-sync", SQL),
    Case("database-async", SQL),
    Case("wrapped"),
    Case("shared"),
    Case("http-503"),
    Case("http-404", events=0),
    Case("validation", events=0),
    Case("handled-500"),
    Case("handled-409", events=0),
    Case("health", NONE, written=False),  # never traced, whatever the caller samples
    Case("log-error"),
    Case("log-error-sync", "log-error-sync"),
    Case("log-exception", "log-exception"),
    Case("log-and-raise-async"),
    Case("log-and-raise-sync"),
    Case("by-hand"),
    Case("by-hand-and-raised"),
    Case("background-async", BACKGROUND, kept=BACKGROUND),
    Case("background-sync", BACKGROUND, kept=BACKGROUND),
    Case("thread-raises"),
    Case("thread-logs"),
    Case("pool-raises"),
    Case("pool-logs"),
    Case("executor-raises"),
    Case("to-thread-raises"),
    Case("task-awaited"),
    Case("task-later"),
    Case("task-abandoned"),
    Case("task-abandoned-inner", "task-abandoned-inner"),
    Case("group-of-one", "group-of-one"),
    Case("group-of-two", "group-of-two"),
    Case("websocket"),
    Case("stream"),
    Case("teardown"),
)
