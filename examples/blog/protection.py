"""Protection: attacks are rejected, clients are rate limited, and repeated offenders are blocked for a while."""

from __future__ import annotations

import logging
import re
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote_plus

from fastapi import HTTPException, Request

from blogauto_otel import metrics

logger = logging.getLogger(__name__)

WINDOW: Final = 60.0  # seconds
REJECTIONS_UNTIL_BLOCKED: Final = 20  # within one window
BLOCKED_FOR: Final = 300.0  # seconds
ATTACK: Final = re.compile(r"<script|\.\./|\bunion\s+select\b", re.IGNORECASE)


class Protection:
    """Rate limits and blocks of one process, in memory: each worker counts separately."""

    def __init__(self, *, requests_per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = requests_per_minute
        self._clock = clock
        self._seen: defaultdict[str, deque[float]] = defaultdict(deque)  # by visitor and endpoint
        self._rejected: defaultdict[str, deque[float]] = defaultdict(deque)
        self._blocked_until: dict[str, float] = {}

    def is_blocked(self, visitor: str) -> bool:
        """Whether the client is blocked; removes expired blocks."""
        now = self._clock()
        over = [address for address, until in self._blocked_until.items() if until <= now]
        for address in over:
            del self._blocked_until[address]
        metrics.security.blocked_ips.set(len(self._blocked_until))
        return visitor in self._blocked_until

    def may_ask(self, visitor: str, endpoint: str) -> bool:
        """Whether the client is within the limit of this endpoint; each refusal counts towards a block."""
        now = self._clock()
        self._forget_old(now)
        seen = self._seen[f"{visitor} {endpoint}"]
        if len(seen) < self._limit:
            seen.append(now)
            return True
        rejected = self._rejected[visitor]
        rejected.append(now)
        if len(rejected) >= REJECTIONS_UNTIL_BLOCKED:
            self._blocked_until[visitor] = now + BLOCKED_FOR
            logger.warning("blocked %s for %d s", visitor, BLOCKED_FOR)
        return False

    def _forget_old(self, now: float) -> None:
        """Remove expired entries; linear in the number of clients, which is fine for an example."""
        for windows in (self._seen, self._rejected):
            for key in list(windows):
                window = windows[key]
                while window and window[0] <= now - WINDOW:
                    window.popleft()
                if not window:
                    del windows[key]


async def protect(request: Request) -> None:
    """The dependency of every route: reject blocked clients (403), attacks (400) and requests above the limit (429)."""
    protection: Protection = request.app.state.protection
    visitor = request.client.host if request.client else "unknown"
    if protection.is_blocked(visitor):
        raise HTTPException(403, "blocked")
    if ATTACK.search(unquote_plus(request.url.query)):
        metrics.security.security_events.add(type="suspicious_pattern")
        logger.warning("suspicious pattern from %s", visitor)
        raise HTTPException(400, "not like this")
    endpoint = request.scope["route"].path
    if not protection.may_ask(visitor, endpoint):
        metrics.security.rate_limit_rejected.add(endpoint=endpoint)
        raise HTTPException(429, "too many requests", headers={"Retry-After": str(int(WINDOW))})
