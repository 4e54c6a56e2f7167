"""Every benchmark, one after the other: `python -m benchmarks`, or `python -m benchmarks requests sql`."""

from __future__ import annotations

import importlib
import sys

# Request path first: it is what users feel.
BENCHMARKS = ("requests", "sql", "logs", "encode", "redaction", "process", "sentry")


def main(names: list[str]) -> None:
    """Run the named ones, or all."""
    for name in names or BENCHMARKS:
        importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main(sys.argv[1:])
