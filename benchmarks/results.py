"""The ratios of the README's table: each benchmark keeps its own, and `python -m benchmarks readme` prints the table.

They lie in `.cache/benchmarks/`, one file for each benchmark, from its last run on this machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parents[1] / ".cache" / "benchmarks"

Ratios = Mapping[str, float]

# The rows: their text, the benchmark, and its ratios as a template. A range is the least and the greatest of a case.
ROWS: Final = (
    ("a request, sampled / not", "requests", "{sampled:.2f} / {unsampled:.2f}"),
    (
        "a SQL statement, sampled / not",
        "sql",
        "{least sampled:.2f} to {greatest sampled:.2f} / {least unsampled:.2f} to {greatest unsampled:.2f}",
    ),
    ("a log record", "logs", "{least:.2f} to {greatest:.2f}"),
    ("process start, and its memory", "process", "{cpu:.2f}, and {memory:.2f}"),
    (
        "process exit while the Collector is unavailable",
        "process",
        "{exit seconds:.1f} s instead of {exit seconds of stock:.1f} s",
    ),
)
LOAD_ROWS: Final = (
    ("requests/s, plain route", "{%s, rate, plain:.2f}"),
    ("requests/s, body + SQL + log", "{%s, rate, body + SQL + log:.2f}"),
    ("p99, plain route", "{%s, p99, plain:.1f}"),
    ("p99, body + SQL + log", "{%s, p99, body + SQL + log:.1f}"),
)


def keep(benchmark: str, ratios: Ratios) -> None:
    """Replace what the last run of this benchmark found."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{benchmark}.json").write_text(json.dumps(ratios, indent=1) + "\n")


def main() -> None:
    """Print the README's tables; `-` where a benchmark has not run on this machine."""
    print("| | ours / theirs |\n|---|---|")
    for text, benchmark, template in ROWS:
        print(f"| {text} | {_filled(template, _kept(benchmark))} |")
    load = _kept("load")
    print("\n| under load, ratio to the bare application | ours | contrib |\n|---|---|---|")
    for text, template in LOAD_ROWS:
        print(f"| {text} | {_filled(template % 'ours', load)} | {_filled(template % 'contrib', load)} |")


def _kept(benchmark: str) -> Ratios:
    path = FOLDER / f"{benchmark}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _filled(template: str, ratios: Ratios) -> str:
    return template.format_map(ratios) if ratios else "-"


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    """The least and the greatest, under names of the table."""
    suffix = f" {name}" if name else ""
    return {f"least{suffix}": min(values), f"greatest{suffix}": max(values)}
