"""PromQL that rules and boards share, so that a value is computed in one way everywhere."""

from __future__ import annotations


def bucket_at(seconds: float) -> str:
    """A matcher for the bucket with that upper bound: a whole number is `2` when pushed by OTLP and `2.0` when scraped."""
    whole = f"{seconds:g}"
    return f'le=~"{whole}|{whole}[.]0"' if seconds == int(seconds) else f'le="{whole}"'


def increase_from_zero(series: str, window: str, *, always_present: str) -> str:
    """The increase of a counter in `window`, its first value included.

    `increase()` compares two samples, so it misses the value with which a series appears: the first failure of a kind.
    Here a series that did not exist a window ago counts with its whole value. `always_present` selects a series that
    the same process exports from its start: when that one is new as well, Prometheus has only just found the process,
    and the age of its counts is unknown.
    """
    return (
        f"(({series} unless {series} offset {window}) and on (job, instance) {always_present} offset {window}"
        f" or increase({series}[{window}]))"
    )


def or_zero(value: str, like: str) -> str:
    """`value`, and 0 for the label sets that only `like` has: without a failure the ratio is 0, not "no data"."""
    return f"({value} or 0 * {like})"
