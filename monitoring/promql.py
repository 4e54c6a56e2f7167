"""Pieces of PromQL that rules and boards share, so that a figure is computed in one way wherever it is shown."""

from __future__ import annotations

# Buckets spell their edge `2` when pushed by OTLP and `2.0` when scraped.
ANY_SPELLING = {2.0: "2|2[.]0"}


def edge(seconds: float) -> str:
    """A matcher for the bucket with that upper edge, however it is spelled."""
    whole = f"{seconds:g}"
    return f'le=~"{whole}|{whole}[.]0"' if seconds == int(seconds) else f'le="{whole}"'


def braces(*matchers: str) -> str:
    """A selector's braces, or nothing without matchers."""
    present = [matcher for matcher in matchers if matcher]
    return "{" + ",".join(present) + "}" if present else ""


def counted(series: str, window: str, *, alive: str) -> str:
    """How much a counter grew in `window`, its first value included.

    `increase()` compares two samples and so misses what a series is born with: the first failure of a kind. A series that
    did not exist a window ago counts with all it has. `alive` selects a series that the same process always has: when that
    one is new as well, the process is new to Prometheus, and nobody knows how old its counts are.
    """
    return f"(({series} unless {series} offset {window}) and on (job, instance) {alive} offset {window} or increase({series}[{window}]))"


def zero_filled(value: str, like: str) -> str:
    """`value`, and 0 for the label sets that only `like` has: no failure yet is not "no data"."""
    return f"({value} or 0 * {like})"
