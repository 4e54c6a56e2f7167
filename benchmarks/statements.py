"""The detector of repeated and slow statements: CPU of one statement of a sampled request.

    python -m benchmarks.statements

Each statement is counted by `StatementCounts.add`. A request that repeats a statement looks once for the line of code.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

from benchmarks.table import print_table
from blogauto_otel.api.statements import StatementCounts

ROUNDS, REQUESTS, LIMIT, SLOW = 30, 300, 10, 0.5
GOAL_MICROSECONDS = 1.0
DIFFERENT = [f"SELECT id, title FROM posts_{number} WHERE author = ?" for number in range(10)]

REQUESTS_OF: dict[str, Sequence[str]] = {
    "ten different statements": DIFFERENT,
    "one statement nine times": DIFFERENT[:1] * 9,
    "one statement fifty times (repeated)": DIFFERENT[:1] * 50,
}


def microseconds(run: Callable[[], None], statements: int) -> float:
    """Median CPU of one statement over the rounds."""
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(REQUESTS):
            run()
        found.append((time.process_time() - began) / (REQUESTS * statements) * 1e6)
    return statistics.median(found)


def main() -> None:
    """Print the cost by kind of request, without that of the loop."""
    rows = []
    for name, texts in REQUESTS_OF.items():

        def counted(texts: Sequence[str] = texts) -> None:
            counts = StatementCounts()
            for text in texts:
                counts.add(text, 0.001, LIMIT, SLOW)

        def bare(texts: Sequence[str] = texts) -> None:
            for _ in texts:
                pass

        rows.append([name, f"{microseconds(counted, len(texts)) - microseconds(bare, len(texts)):.2f} µs"])
    print_table(
        f"Detector of repeated statements (goal: {GOAL_MICROSECONDS:g} µs)", ["request", "CPU a statement"], rows
    )


if __name__ == "__main__":
    main()
