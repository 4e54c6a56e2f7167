"""Logs once that a receiver takes nothing, for all signals together, and once that it does again."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from blogauto_otel._guard import log_once
from blogauto_otel.export.transport import ExportResult
from blogauto_otel.otlp.signal import Signal

WHAT_TO_DO: Final = (
    "start a Collector there, set OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_{TRACES,METRICS,LOGS}_EXPORTER=none"
)


@dataclass
class _Outage:
    signals: set[Signal] = field(default_factory=set)  # that cannot be delivered
    logged: set[str] = field(default_factory=set)  # reasons


class Outages:
    """The outages of all receivers of this process.

    Several threads may be here at once; at worst a line is logged twice. A lock would be held while logging.
    """

    def __init__(self) -> None:
        self._outages: dict[str, _Outage] = {}

    def failed(self, place: str, signal: Signal, result: ExportResult) -> None:
        """A request of this signal failed and is to be sent again; logged when that, or the reason for it, is new."""
        receiver = _receiver(place)
        outage = self._outages.setdefault(receiver, _Outage())
        outage.signals.add(signal)
        if result.reason in outage.logged:
            return
        if log_once(
            f"away {receiver} {result.reason}",
            "cannot deliver %s to %s, keeping what waits and trying again: %s%s",
            signal.value if result.answered else "telemetry", receiver, result.message,
            "" if result.answered else f"; {WHAT_TO_DO}",
        ):  # fmt: skip
            outage.logged.add(result.reason)

    def succeeded(self, place: str, signal: Signal) -> None:
        """A request of this signal was answered; logged when the receiver takes every signal again."""
        receiver = _receiver(place)
        outage = self._outages.get(receiver)
        if outage is None:
            return
        outage.signals.discard(signal)
        if outage.signals:
            return
        self._outages.pop(receiver, None)
        if outage.logged:
            log_once(f"back {receiver}", "delivering to %s again", receiver, level=logging.INFO)


def _receiver(place: str) -> str:
    """Scheme and address: what the signals have in common."""
    parts = urlsplit(place)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else place
