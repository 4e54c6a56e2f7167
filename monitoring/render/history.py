"""A month before the hour, for charts that count by hour and by day: the same hour, again and again, as often as people work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from monitoring.parameters import BLOGAUTO
from monitoring.proof.hour import BEGIN, Hour, Reading

COUNTED: Final = frozenset(
    BLOGAUTO.metric(name)
    for name in (
        "content.generated",
        "titles.generated",
        "keywords.analyzed",
        "wordpress.posts.published",
        "api_keys.stored",
    )
)
DAYS: Final = 30
STEP: Final = 240  # seconds; Prometheus forgets a series after five minutes

# How much of the hour each hour of a day has, from midnight; a weekend has a third of it.
WORK: Final = (1, 1, 0, 0, 0, 1, 3, 6, 9, 10, 9, 8, 5, 8, 10, 9, 7, 5, 4, 4, 3, 3, 2, 1)
WEEKEND: Final = 3


def with_history(hour: Hour) -> Hour:
    """The hour, and what the business counters counted in the thirty days before it."""
    counters: dict[tuple[str, tuple[tuple[str, str], ...]], list[Reading]] = {}
    others = []
    for reading in hour.readings:
        if reading.name in COUNTED:
            counters.setdefault((reading.name, tuple(sorted(reading.labels.items()))), []).append(reading)
        else:
            others.append(reading)
    return replace(hour, readings=[*others, *(one for readings in counters.values() for one in _long(readings))])


def _long(readings: Sequence[Reading]) -> Iterator[Reading]:
    made = readings[-1].value - readings[0].value
    total = 0.0
    for when in range(BEGIN - DAYS * 86400, BEGIN, STEP):
        total += made * _share(when) * STEP / 3600
        yield replace(readings[0], time=when, value=round(total))
    start = round(total)
    yield from (replace(reading, value=start + reading.value) for reading in readings)


def _share(when: int) -> float:
    day, second = divmod(when, 86400)
    weekend = (day + 4) % 7 in {0, 6}  # the first of January 1970 was a Thursday
    return WORK[second // 3600] / 10 / (WEEKEND if weekend else 1)
