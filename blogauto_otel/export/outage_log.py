"""Logs once that a receiver is unavailable or items are dropped, and once that this is over."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import field
from typing import Final
from urllib.parse import urlsplit

from blogauto_otel._dataclass import dataclass
from blogauto_otel._guard import log_once
from blogauto_otel.export.transport import ExportResult
from blogauto_otel.otlp import drop_reasons
from blogauto_otel.otlp.signal import Signal

WHAT_TO_DO: Final = (
    "; start a Collector there, set OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_{TRACES,METRICS,LOGS}_EXPORTER=none"
)


@dataclass
class _Outage:
    signals: set[Signal] = field(default_factory=set)  # that cannot be delivered
    logged: set[str] = field(default_factory=set)  # reasons


class OutageLog:
    """Logs the outages of all receivers of this process.

    Several threads may be here at once; at worst a line is logged twice. A lock would be held while logging.
    """

    def __init__(self) -> None:
        self._outages: dict[str, _Outage] = {}

    def failed(self, endpoint: str, signal: Signal, result: ExportResult) -> None:
        """A request of this signal failed and is retried; logged when the outage, or the reason for it, is new."""
        receiver = _receiver(endpoint)
        outage = self._outages.setdefault(receiver, _Outage())
        outage.signals.add(signal)
        if result.reason in outage.logged:
            return
        if log_once(
            f"away {receiver} {result.reason}",
            "cannot deliver %s to %s, keeping what waits and trying again: %s%s",
            signal.value if result.answered else "telemetry", receiver, result.message,
            "" if result.answered else WHAT_TO_DO,
        ):  # fmt: skip
            outage.logged.add(result.reason)

    def succeeded(self, endpoint: str, signal: Signal) -> None:
        """A request of this signal was answered; logged when the receiver answers for every signal again."""
        receiver = _receiver(endpoint)
        outage = self._outages.get(receiver)
        if outage is None:
            return
        outage.signals.discard(signal)
        if outage.signals:
            return
        self._outages.pop(receiver, None)
        if outage.logged:
            log_once(f"back {receiver}", "delivering to %s again", receiver, level=logging.INFO)


def _receiver(endpoint: str) -> str:
    """Scheme and address: what the signals have in common."""
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else endpoint


class DropLog:
    """Logs when items of a signal begin to be dropped, and when that is over."""

    def __init__(self, signal: Signal, quiet_seconds: float) -> None:
        self._signal = signal
        self._quiet_seconds = quiet_seconds  # without a drop, until it is over
        self._seen = 0
        self._since: float | None = None
        self._last = 0.0
        self._before = 0

    def update(self, dropped: Mapping[str, int], now: float, *, receiver_available: bool) -> bool:
        """Compare with the last call, and log a change; True while items are being dropped.

        Args:
            dropped: the number of dropped items so far, by reason.
            now: the time (monotonic).
            receiver_available: False: the cause of the drops is not over.
        """
        counts = {reason: count for reason, count in dropped.items() if reason != drop_reasons.SUPERSEDED}
        total = sum(counts.values())
        if total > self._seen:
            if self._since is None:
                self._since, self._before = now, self._seen
                reasons = ", ".join(sorted(counts))
                log_once(f"loss {self._signal.value}", "%s are being lost: %s", self._signal.value, reasons)
            self._seen, self._last = total, now
        elif self._since is not None and receiver_available and now - self._last >= self._quiet_seconds:
            log_once(
                f"loss over {self._signal.value}",
                "%s are no longer lost; %d were lost in %.0f s",
                self._signal.value, total - self._before, self._last - self._since,
            )  # fmt: skip
            self._since = None
        return self._since is not None
