"""What becomes of events: Sentry says it nowhere, so its transport is listened to.

`capture_event` returns an id even of an event that found the queue full. What a transport was given, sent and lost is
counted here, and shown with the figures of our own delivery.
"""

from __future__ import annotations

import inspect
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from opentelemetry import context as otel_context

from blogauto_otel._guard import guard
from blogauto_otel.delivery.lane import SignalStats
from blogauto_otel.delivery.reasons import WITHHELD

RATE_LIMITED: Final = "http_429"
OVERFLOW: Final = "queue_overflow"

# There from the start at 0, so that the first loss is an increase.
_USUAL: Final = (RATE_LIMITED, OVERFLOW, "network_error", "ratelimit_backoff")

# Decided by the application, or by us because Sentry has the event already: no losses.
_DECIDED: Final = frozenset({"before_send", "event_processor", "sample_rate"})
_NEVER_ACCEPTED: Final = frozenset({WITHHELD, OVERFLOW, "callback_error"})
_COUNTED: Final = frozenset({"error", "default", "profile_chunk", "profile_chunk_ui", "transaction", "monitor"})
_SUPPRESSED: Final = {
    otel_context._SUPPRESS_INSTRUMENTATION_KEY: True,
    otel_context._SUPPRESS_HTTP_INSTRUMENTATION_KEY: True,
    "suppress_instrumentation": True,
}


class _Thread(threading.local):
    lost = 0  # items lost in the call under way


class TransportStats:
    """Lives as long as the link; a race costs a count, because a lock may be taken here while the collector runs."""

    def __init__(self) -> None:
        self.accepted = 0
        self.sent = 0
        self.requests = 0
        self.dropped = Counter(dict.fromkeys(_USUAL, 0))
        self._thread = _Thread()

    def clear(self) -> None:
        """Begin anew, in a forked child."""
        self.accepted = self.sent = self.requests = 0
        self.dropped = Counter(dict.fromkeys(_USUAL, 0))

    def lose(self, reason: str, count: int = 1) -> None:
        """Count events that are not sent."""
        self.dropped[reason] += count
        self._thread.lost += count

    @property
    def waiting(self) -> int:
        """How many are in Sentry's queue, or on their way."""
        lost = sum(count for reason, count in self.dropped.items() if reason not in _NEVER_ACCEPTED)
        return max(0, self.accepted - self.sent - lost)

    def stats(self) -> SignalStats:
        """The same figures that our own delivery has; what Sentry does not say is 0."""
        return SignalStats(
            accepted=self.accepted, sent=self.sent, dropped=dict(self.dropped), retries=0, requests=self.requests,
            request_seconds=0.0, queue_items=self.waiting, queue_bytes=0, high_water=0, oldest_age=0.0, last_error=None,
        )  # fmt: skip

    def listen(self, transport: Any, accepted: Callable[[Mapping[str, Any]], None]) -> Callable[[], None]:
        """Count what a transport does from now on, and call `accepted` with each event that it has queued.

        Returns:
            What gives the transport its own methods back.
        """
        listening = {
            "capture_envelope": self._capturing(transport.capture_envelope, accepted),
            "record_lost_event": self._losing(transport.record_lost_event),
            "on_dropped_event": self._dropping(getattr(transport, "on_dropped_event", lambda _: None)),
        }
        send = getattr(transport, "_send_envelope", None)
        if send is not None and not inspect.iscoroutinefunction(send):
            listening["_send_envelope"] = self._sending(send)
        transport.__dict__.update(listening)

        def stop() -> None:
            for name, method in listening.items():
                if transport.__dict__.get(name) is method:
                    del transport.__dict__[name]

        return stop

    # --- in the thread that captures ----------------------------------------------------------------------------------

    def _capturing(self, capture: Callable[..., Any], accepted: Callable[[Mapping[str, Any]], None]) -> Any:
        def capture_envelope(envelope: Any) -> Any:
            self._thread.lost = 0
            result = capture(envelope)
            with guard("noting a Sentry event"):
                count = _count(envelope)
                if count and not self._thread.lost:
                    self.accepted += count
                    event = envelope.get_event()
                    if event is not None:
                        accepted(event)
            return result

        return capture_envelope

    def _losing(self, record_lost: Callable[..., Any]) -> Any:
        def record_lost_event(
            reason: str, data_category: str | None = None, item: Any = None, *, quantity: int = 1
        ) -> Any:
            with guard("noting a lost Sentry event"):
                category = item.data_category if item is not None else data_category
                if category in _COUNTED and reason not in _DECIDED:
                    self.lose(reason, 1 if item is not None else quantity)
            return record_lost(reason, data_category, item, quantity=quantity)

        return record_lost_event

    def _dropping(self, drop: Callable[[str], Any]) -> Any:
        def on_dropped_event(reason: str) -> Any:
            if reason == "status_429":  # the only loss that Sentry does not record, because its server has
                self.lose(RATE_LIMITED)
            return drop(reason)

        return on_dropped_event

    # --- in Sentry's thread -------------------------------------------------------------------------------------------

    def _sending(self, send: Callable[[Any], Any]) -> Any:
        """Not a span and not a log record of its own comes of sending."""

        def send_envelope(envelope: Any) -> Any:
            token = otel_context.attach(otel_context.Context({**otel_context.get_current(), **_SUPPRESSED}))
            self._thread.lost = 0
            try:
                result = send(envelope)
            finally:
                otel_context.detach(token)
            self.requests += 1
            self.sent += max(0, _count(envelope) - self._thread.lost)
            return result

        return send_envelope


def _count(envelope: Any) -> int:
    items: Iterable[Any] = envelope.items
    return sum(item.data_category in _COUNTED for item in items)
