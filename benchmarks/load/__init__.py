"""Live servers under load: requests/s, latency, CPU and garbage collections, beside the bare application.

    python -m benchmarks load                  # a quarter of an hour
    python -m benchmarks load --quick          # under 90 seconds
    python -m benchmarks load --others         # also Sentry, logfire, ddtrace and FastAPI's own telemetry
    python -m benchmarks load --python .venv-3.14/bin/python

One uvicorn worker for each variant and event loop, all of them running; wrk sends the load to one at a time. A round
passes every variant in random order, and each is compared with the bare application of the same round, because the
speed of a machine varies. The table shows medians of the rounds. Without wrk a slower client of ours sends the load.

This package is imported in other environments too: what it imports at the top is the standard library.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] = ()) -> int:
    """Run it and print the table; the exit status."""
    from benchmarks.load.command import run

    return run(arguments)
