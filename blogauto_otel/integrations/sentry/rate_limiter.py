"""How many events may be built: one takes milliseconds of the event loop, and a storm brings hundreds a second.

A bucket of tokens for each place in the code, and one for all places together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Final

# Of all places together, in multiples of what one place may have: by default 60 events at once and 5 a second, which at
# some 5 ms each are 2.5 % of a core.
ALL_BURST: Final = 6.0
ALL_RATE: Final = 30.0
MAX_PLACES: Final = 512


class RateLimiter:
    """Asked before an event is built.

    There is no lock, because the garbage collector may bring an error in the middle of another: at worst a race spends
    a token twice.

    Args:
        per_minute: events of one place, in the long run and at once; 0 for none at all.
        clock: seconds that only go forward.
    """

    def __init__(self, per_minute: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_minute / 60.0
        self._burst = per_minute
        self._clock = clock
        self._all = _Bucket(ALL_BURST * self._burst, clock())
        self._places: dict[Hashable, _Bucket] = {}

    def clear(self) -> None:
        """Begin anew, in a forked child."""
        self._all = _Bucket(ALL_BURST * self._burst, self._clock())
        self._places.clear()

    def allow(self, place: Hashable) -> bool:
        """Whether an event of this place may be built now; it is paid for with the answer."""
        now = self._clock()
        bucket = self._bucket(place, now)
        bucket.fill(self._per_second, self._burst, now)
        self._all.fill(ALL_RATE * self._per_second, ALL_BURST * self._burst, now)
        if bucket.tokens < 1.0 or self._all.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        self._all.tokens -= 1.0
        return True

    def _bucket(self, place: Hashable, now: float) -> _Bucket:
        found = self._places.get(place)
        if found is None:
            if len(self._places) >= MAX_PLACES:
                self._places.clear()  # so many places at once: the bucket of all of them is what holds
            found = self._places[place] = _Bucket(self._burst, now)
        return found


class _Bucket:
    __slots__ = ("tokens", "when")

    def __init__(self, tokens: float, when: float) -> None:
        self.tokens = tokens
        self.when = when

    def fill(self, per_second: float, most: float, now: float) -> None:
        self.tokens = min(most, self.tokens + (now - self.when) * per_second)
        self.when = now
