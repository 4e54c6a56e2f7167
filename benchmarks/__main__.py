"""Run all benchmarks: `python -m benchmarks`, or some: `python -m benchmarks requests sql`.

The soak runs only on request: `python -m benchmarks soak --minutes 20`.
"""

from __future__ import annotations

import importlib
import sys

# The request path first.
BENCHMARKS = ("requests", "sql", "logs", "encode", "redaction", "process", "sentry", "journey", "inspector")


def main(names: list[str]) -> int:
    """Run the named ones, or all; returns the exit status."""
    if names[:1] == ["soak"]:  # not part of all: it takes minutes, and has its own options
        return int(importlib.import_module("benchmarks.soak").main(names[1:]))
    for name in names or BENCHMARKS:
        importlib.import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
