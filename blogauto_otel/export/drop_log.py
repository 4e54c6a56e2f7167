"""Losses are told: once when they begin, once when they are over."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from blogauto_otel._guard import log_once
from blogauto_otel.otlp import drop_reasons
from blogauto_otel.otlp.signal import Signal

CALM: Final = 10.0  # seconds without a loss, after which a loss is over


class Losses:
    """Says when items begin to be lost, and when that is over."""

    def __init__(self, signal: Signal) -> None:
        self._signal = signal
        self._seen = 0
        self._since: float | None = None
        self._last = 0.0
        self._before = 0

    def look(self, dropped: Mapping[str, int], *, over: bool) -> bool:
        """Compare with the last look, and tell; True while items are being lost.

        Args:
            dropped: how many items were lost so far, by reason.
            over: whether what caused it may be over: the receiver is there.
        """
        counts = {reason: count for reason, count in dropped.items() if reason != drop_reasons.SUPERSEDED}
        lost = sum(counts.values())
        now = time.monotonic()
        if lost > self._seen:
            if self._since is None:
                self._since, self._before = now, self._seen
                why = ", ".join(sorted(counts))
                log_once(f"loss {self._signal.value}", "%s are being lost: %s", self._signal.value, why)
            self._seen, self._last = lost, now
        elif self._since is not None and over and now - self._last >= CALM:
            log_once(
                f"loss over {self._signal.value}",
                "%s are no longer lost; it was %d of them in %.0f s",
                self._signal.value, lost - self._before, self._last - self._since,
            )  # fmt: skip
            self._since = None
        return self._since is not None
