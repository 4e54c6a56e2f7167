"""Transport statistics: how many events Sentry's transport queued, sent and lost.

Sentry's SDK does not report it: `capture_event` returns an id even when the queue is full. So the methods of a
transport are wrapped, and what they do is counted here.
"""

from __future__ import annotations

import inspect
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from opentelemetry import context as otel_context

from blogauto_otel._guard import guard
from blogauto_otel._suppression import SUPPRESSED
from blogauto_otel.instrumentation.sdk_metrics import SignalFigures
from blogauto_otel.otlp.drop_reasons import WITHHELD

RATE_LIMITED: Final = "http_429"
OVERFLOW: Final = "queue_overflow"

# Exported as 0 from the start, so that the first loss is an increase.
_USUAL_REASONS: Final = (RATE_LIMITED, OVERFLOW, "network_error", "ratelimit_backoff")

# Not a loss: the application decided it, or we did because Sentry has the event already.
_INTENDED_REASONS: Final = frozenset({"before_send", "event_processor", "sample_rate"})
_NEVER_ACCEPTED: Final = frozenset({WITHHELD, OVERFLOW, "callback_error"})
_COUNTED_CATEGORIES: Final = frozenset(
    {"error", "default", "profile_chunk", "profile_chunk_ui", "transaction", "monitor"}
)


class _ThreadState(threading.local):
    dropped = 0  # items dropped during the current call


class TransportStats:
    """Counts until `unlink`. There is no lock, because the garbage collector may run in it; a race costs a count.

    Args:
        clean_envelope: called with each envelope before it is sent, in the thread that sends.
    """

    def __init__(self, clean_envelope: Callable[[Any], object]) -> None:
        self._clean_envelope = clean_envelope
        self._thread = _ThreadState()
        self.reset()

    def reset(self) -> None:
        """Start from zero, as a forked child does."""
        self.accepted = self.sent = self.requests = 0
        self.dropped = Counter(dict.fromkeys(_USUAL_REASONS, 0))

    def drop(self, reason: str, count: int = 1) -> None:
        """Count events that are not sent."""
        self.dropped[reason] += count
        self._thread.dropped += count

    @property
    def in_flight(self) -> int:
        """Items in Sentry's queue, or being sent."""
        lost = sum(count for reason, count in self.dropped.items() if reason not in _NEVER_ACCEPTED)
        return max(0, self.accepted - self.sent - lost)

    def figures(self) -> SignalFigures:
        """The metrics of this signal, by their name in `api.sdk_metrics`: a metric on Sentry is added here."""
        return SignalFigures(
            {
                "items.accepted": self.accepted,
                "items.sent": self.sent,
                "items.withheld": self.dropped[WITHHELD],
                "export.requests": self.requests,
                "queue.items": self.in_flight,
            },
            dict(self.dropped),
        )

    def attach(self, transport: Any, on_queued: Callable[[Mapping[str, Any]], None]) -> Callable[[], None]:
        """Wrap the methods of a transport; `on_queued` is called with each event that it has queued.

        Returns:
            A function that removes the wrappers.
        """
        send: Any = getattr(transport, "_send_envelope", None)
        can_wrap_send = send is not None and not inspect.iscoroutinefunction(send)
        wrappers = {
            "capture_envelope": self._wrap_capture(transport.capture_envelope, on_queued, cleans=not can_wrap_send),
            "record_lost_event": self._wrap_record_lost(transport.record_lost_event),
            "on_dropped_event": self._wrap_on_dropped(getattr(transport, "on_dropped_event", lambda _: None)),
        }
        if can_wrap_send:
            wrappers["_send_envelope"] = self._wrap_send(send)
        transport.__dict__.update(wrappers)

        def detach() -> None:
            for name, wrapper in wrappers.items():
                if transport.__dict__.get(name) is wrapper:
                    del transport.__dict__[name]

        return detach

    # --- in the thread that captures ----------------------------------------------------------------------------------

    def _wrap_capture(
        self, capture: Callable[..., Any], on_queued: Callable[[Mapping[str, Any]], None], *, cleans: bool
    ) -> Any:
        def capture_envelope(envelope: Any) -> Any:
            self._thread.dropped = 0
            if cleans:
                self._clean_envelope(envelope)
            result = capture(envelope)
            with guard("counting a Sentry event"):
                count = _count(envelope)
                if count and not self._thread.dropped:
                    self.accepted += count
                    event = envelope.get_event()
                    if event is not None:
                        on_queued(event)
            return result

        return capture_envelope

    def _wrap_record_lost(self, record_lost: Callable[..., Any]) -> Any:
        def record_lost_event(
            reason: str, data_category: str | None = None, item: Any = None, *, quantity: int = 1
        ) -> Any:
            with guard("counting a lost Sentry event"):
                category = item.data_category if item is not None else data_category
                if category in _COUNTED_CATEGORIES and reason not in _INTENDED_REASONS:
                    self.drop(reason, 1 if item is not None else quantity)
            return record_lost(reason, data_category, item, quantity=quantity)

        return record_lost_event

    def _wrap_on_dropped(self, on_dropped: Callable[[str], Any]) -> Any:
        def on_dropped_event(reason: str) -> Any:
            if reason == "status_429":  # the only loss that Sentry's SDK does not record: its server does
                self.drop(RATE_LIMITED)
            return on_dropped(reason)

        return on_dropped_event

    # --- in Sentry's thread -------------------------------------------------------------------------------------------

    def _wrap_send(self, send: Callable[[Any], Any]) -> Any:
        """Sending creates no span and no log record of its own."""

        def send_envelope(envelope: Any) -> Any:
            token = otel_context.attach(otel_context.Context({**otel_context.get_current(), **SUPPRESSED}))
            self._thread.dropped = 0
            try:
                self._clean_envelope(envelope)
                result = send(envelope)
            finally:
                otel_context.detach(token)
            self.requests += 1
            self.sent += max(0, _count(envelope) - self._thread.dropped)
            return result

        return send_envelope


def _count(envelope: Any) -> int:
    items: Iterable[Any] = envelope.items
    return sum(item.data_category in _COUNTED_CATEGORIES for item in items)
