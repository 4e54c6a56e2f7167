"""A month of business counters before the recorded hour, for panels that count by hour and by day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from monitoring.parameters import BLOGAUTO
from monitoring.verification.replay import BEGIN, RecordedTraffic, Sample

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

# Tenths of the recorded hour's counts for each hour of a day, from midnight; a weekend day has a third of it.
TENTHS_BY_HOUR: Final = (1, 1, 0, 0, 0, 1, 3, 6, 9, 10, 9, 8, 5, 8, 10, 9, 7, 5, 4, 4, 3, 3, 2, 1)
WEEKEND_DIVISOR: Final = 3


def with_history(traffic: RecordedTraffic) -> RecordedTraffic:
    """The recorded traffic, with thirty days of the business counters before it."""
    counters: dict[tuple[str, tuple[tuple[str, str], ...]], list[Sample]] = {}
    others = []
    for sample in traffic.samples:
        if sample.name in COUNTED:
            counters.setdefault((sample.name, tuple(sorted(sample.labels.items()))), []).append(sample)
        else:
            others.append(sample)
    return replace(traffic, samples=[*others, *(one for samples in counters.values() for one in _with_past(samples))])


def _with_past(samples: Sequence[Sample]) -> Iterator[Sample]:
    made = samples[-1].value - samples[0].value
    total = 0.0
    for when in range(BEGIN - DAYS * 86400, BEGIN, STEP):
        total += made * _activity(when) * STEP / 3600
        yield replace(samples[0], time=when, value=round(total))
    start = round(total)
    yield from (replace(sample, value=start + sample.value) for sample in samples)


def _activity(when: int) -> float:
    day, second = divmod(when, 86400)
    weekend = (day + 4) % 7 in {0, 6}  # the first of January 1970 was a Thursday
    return TENTHS_BY_HOUR[second // 3600] / 10 / (WEEKEND_DIVISOR if weekend else 1)
