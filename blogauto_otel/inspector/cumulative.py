"""Data points of delta temporality as sums, so that every series of the store is cumulative."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import NamedTuple

from blogauto_otel.inspector.points import PointRow


class Figures(NamedTuple):
    """What a data point says."""

    value: float | None
    observations: int | None
    sum: float | None
    buckets: str | None


class Cumulative:
    """Sums by series; a series that is forgotten begins again."""

    def __init__(self) -> None:
        self._sums: dict[int, Figures] = {}

    def figures(self, series: int, row: PointRow) -> Figures:
        """The figures of a data point, as they are or summed."""
        given = Figures(row.value, row.observations, row.sum, row.buckets)
        if not row.is_delta:
            return given
        summed = _added(self._sums.get(series), given)
        self._sums[series] = summed
        return summed

    def keep(self, series: Collection[int]) -> None:
        """Forget all other series."""
        self._sums = {number: figures for number, figures in self._sums.items() if number in series}


def _added(former: Figures | None, given: Figures) -> Figures:
    if former is None:
        return given
    return Figures(
        None if given.value is None else given.value + (former.value or 0.0),
        None if given.observations is None else given.observations + (former.observations or 0),
        None if given.sum is None else given.sum + (former.sum or 0.0),
        _added_buckets(former.buckets, given.buckets),
    )


def _added_buckets(former: str | None, given: str | None) -> str | None:
    """The sum of two histograms; of the newer one alone where their bounds differ."""
    if former is None or given is None:
        return given
    (old_bounds, old_counts), (bounds, counts) = json.loads(former), json.loads(given)
    if old_bounds != bounds or len(old_counts) != len(counts):
        return given
    return json.dumps([bounds, [a + b for a, b in zip(old_counts, counts, strict=True)]])
