"""Run all benchmarks: `python -m benchmarks`, or some: `python -m benchmarks requests sql`.

On request only, because they take minutes and have options: `python -m benchmarks load`, `... live_profile`,
`... soak`, `... scale`.
`python -m benchmarks readme` prints the README's tables from what the last runs found.
"""

from __future__ import annotations

import importlib
import sys

from benchmarks import results

# The request path first.
BENCHMARKS = (
    "requests",
    "sql",
    "logs",
    "spans",
    "encode",
    "redaction",
    "process",
    "sentry",
    "journey",
    "inspector",
    "fixture",
    "statements",
)
ON_REQUEST = ("load", "live_profile", "soak", "scale")


def main(names: list[str]) -> int:
    """Run the named ones, or all; returns the exit status."""
    if names[:1] == ["readme"]:
        results.main()
        return 0
    if names and names[0] in ON_REQUEST:
        return int(importlib.import_module(f"benchmarks.{names[0]}").main(names[1:]))
    for name in names or BENCHMARKS:
        importlib.import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
