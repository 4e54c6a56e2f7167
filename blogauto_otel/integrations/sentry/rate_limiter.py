"""Rate limiter for events: building one takes milliseconds of the event loop, and many errors may occur at once.

A token bucket for each place in the code, and one for all of them together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Final

from blogauto_otel._memo import BoundedMemo

# The common bucket, in multiples of the bucket of one key. By default 60 events at once and 5 a second, which at some
# 5 ms each are 2.5 % of a core.
TOTAL_BURST: Final = 6.0
TOTAL_RATE: Final = 30.0
MAX_KEYS: Final = 512


class RateLimiter:
    """Asked before an event is built.

    There is no lock, because the garbage collector may report an error while another one is reported: a race spends a
    token twice at worst.

    Args:
        per_minute: events of one key, as a rate and at once; 0 allows none.
        clock: monotonic seconds.
    """

    def __init__(self, per_minute: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_minute / 60.0
        self._burst = per_minute
        self._clock = clock
        self._total = _TokenBucket(TOTAL_BURST * self._burst, clock())
        # With this many keys the common bucket is the one that limits.
        self._buckets: BoundedMemo[Hashable, _TokenBucket] = BoundedMemo(MAX_KEYS)

    def reset(self) -> None:
        """Fill every bucket, in a forked child."""
        self._total = _TokenBucket(TOTAL_BURST * self._burst, self._clock())
        self._buckets.clear()

    def allow(self, key: Hashable) -> bool:
        """Take a token for an event of this key; False when there is none."""
        now = self._clock()
        bucket = self._bucket(key, now)
        bucket.refill(self._per_second, self._burst, now)
        self._total.refill(TOTAL_RATE * self._per_second, TOTAL_BURST * self._burst, now)
        if bucket.tokens < 1.0 or self._total.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        self._total.tokens -= 1.0
        return True

    def _bucket(self, key: Hashable, now: float) -> _TokenBucket:
        found = self._buckets.get(key)
        if found is None:
            found = self._buckets.remember(key, _TokenBucket(self._burst, now))
        return found


class _TokenBucket:
    __slots__ = ("refilled_at", "tokens")

    def __init__(self, tokens: float, now: float) -> None:
        self.tokens = tokens
        self.refilled_at = now

    def refill(self, per_second: float, burst: float, now: float) -> None:
        self.tokens = min(burst, self.tokens + (now - self.refilled_at) * per_second)
        self.refilled_at = now
