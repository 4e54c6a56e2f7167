"""The link between Sentry's SDK and OpenTelemetry: its parts, and where each of them is registered."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import sentry_sdk
from sentry_sdk.scope import add_global_event_processor

from blogauto_otel import _process
from blogauto_otel._guard import guard, log_once
from blogauto_otel.export.pipeline import Delivery
from blogauto_otel.instrumentation import Context, State, logging, sdk_metrics
from blogauto_otel.instrumentation.server import hooks
from blogauto_otel.integrations.sentry import privacy, scopes, threads
from blogauto_otel.integrations.sentry.breadcrumbs import BreadcrumbBuffer
from blogauto_otel.integrations.sentry.capture import Capture
from blogauto_otel.integrations.sentry.clients import LinkedClients
from blogauto_otel.integrations.sentry.events import Event, EventProcessor, Hint
from blogauto_otel.integrations.sentry.profiles import Profiles
from blogauto_otel.integrations.sentry.rate_limiter import RateLimiter
from blogauto_otel.integrations.sentry.traces import SentryTraces, build_traces
from blogauto_otel.integrations.sentry.transport_stats import TransportStats
from blogauto_otel.otlp import drop_reasons
from blogauto_otel.otlp.signal import Signal

SIGNAL: Final = "sentry"
TRACES_SIGNAL: Final = "sentry_traces"


class SentryLink:
    """Lives from `link` to `unlink`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._settings = context.settings
        self._transport_stats = TransportStats(
            lambda envelope: privacy.redact_envelope(envelope, context.redactor),
        )
        breadcrumbs = BreadcrumbBuffer()
        self._events = EventProcessor(context, breadcrumbs)
        self._clients = LinkedClients(self._events, self._transport_stats)
        self._rate_limiter = RateLimiter(self._settings.sentry_events_per_minute)
        self._capture = Capture(self._events, breadcrumbs, self._rate_limiter, self._transport_stats, self._clients)
        self._profiles: Profiles | None = None
        self._traces: tuple[Delivery, SentryTraces] | None = None
        self._details: list[str] = []  # on traces and profiles, for the status line
        self._is_shut_down = False

    def start(self) -> None:
        """Register every part."""
        _state.events = self._events
        _register_event_processor()
        self._clients.start(self._settings, self._resource())
        hooks.on_request_error(self._capture.request_error)
        logging.watch_records(self._context, self._capture.log_record)
        threads.patch(self._capture.thread_error)
        sdk_metrics.report_also(SIGNAL, self._transport_stats.figures)
        if self._settings.sentry_dsn is not None:
            self._details.append(self._start_traces())
        if self._clients.own is not None:
            self._isolate_requests()
            self._profiles = Profiles(self._settings, self._context.tracer_provider)
            self._details.append(self._profiles.start())

    def state(self) -> tuple[State, str]:
        """For the status line; an application may have made a client of its own meanwhile."""
        client = sentry_sdk.get_client()
        if not client.is_active():
            return State.OFF, "no SENTRY_DSN"
        return State.ON, ", ".join([self._clients.describe(client), *self._details])

    def _isolate_requests(self) -> None:
        try:
            scopes.isolate_requests()
        except Exception as error:  # noqa: BLE001 - it depends on private members of sentry_sdk
            log_once(
                "sentry scopes",
                "this version of sentry_sdk keeps its scopes in another way (%s): tags and users that are set in "
                "one request may appear on events of another",
                error,
            )

    def _start_traces(self) -> str:
        provider: Any = self._context.tracer_provider
        if self._settings.sentry_traces != "direct":
            return {"collector": "traces by the Collector", "off": "no traces"}[self._settings.sentry_traces]
        resource = getattr(provider, "resource", None)
        if resource is None or not hasattr(provider, "add_span_processor"):
            return "no traces: the tracer provider is the application's"
        delivery, processor = self._traces = build_traces(self._settings, resource, self._context.redactor)
        provider.add_span_processor(processor)
        sdk_metrics.report_also(TRACES_SIGNAL, lambda: sdk_metrics.figures_of(delivery.stats().signals[Signal.TRACES]))
        return f"{self._settings.sentry_traces_rate:.0%} of traces"

    def _resource(self) -> dict[str, Any]:
        resource = getattr(self._context.tracer_provider, "resource", None)
        return dict(resource.attributes) if resource is not None else {}

    # --- the end ------------------------------------------------------------------------------------------------------

    def flush(self, timeout: float) -> bool:
        """Send what is queued: spans by our own delivery, then events and profiles by Sentry's transport."""
        deadline = time.monotonic() + timeout
        sent = self._traces is None or self._traces[0].force_flush(timeout / 2)
        if self._profiles is not None:
            self._profiles.flush()
        for client in self._clients.active() if self._transport_stats.in_flight else ():
            client.flush(timeout=max(0.1, deadline - time.monotonic()))
        return sent and not self._transport_stats.in_flight

    def shutdown(self, timeout: float) -> bool:
        """Send what is queued; count what is left as dropped."""
        deadline = time.monotonic() + timeout
        self._is_shut_down = True
        if self._profiles is not None:
            self._profiles.stop()
        sent = self.flush(timeout)
        if self._transport_stats.in_flight:
            self._transport_stats.drop(drop_reasons.SHUTDOWN, self._transport_stats.in_flight)
        if self._traces is not None:
            self._traces[0].shutdown(max(0.1, deadline - time.monotonic()))
        return sent

    def stop(self) -> None:
        """Unregister every part; what cannot be unregistered does nothing any more."""
        _state.events = None
        hooks.remove_on_request_error(self._capture.request_error)
        logging.unwatch_records(self._capture.log_record)
        threads.unpatch()
        for signal in (SIGNAL, TRACES_SIGNAL):
            sdk_metrics.report_no_longer(signal)
        scopes.stop()
        if self._profiles is not None:
            self._profiles.stop()
        if self._traces is not None:
            self._traces[1].enabled = False
            self._traces[0].shutdown(0.1)
        self._clients.stop()

    def after_fork_in_child(self) -> None:
        """The parent sends what is in its queue, and a thread of it may have held a lock: the child gets fresh ones."""
        if self._is_shut_down:
            return
        self._transport_stats.reset()
        self._rate_limiter.reset()
        with guard("a fresh queue for Sentry"):
            for client in self._clients.active():
                _renew_worker(client.transport)
        if self._traces is not None:
            self._traces[0].after_fork_in_child(self._context.tracer_provider.resource)  # type: ignore[attr-defined]
        if self._profiles is not None:
            self._profiles.after_fork_in_child()


def _renew_worker(transport: Any) -> None:
    worker = getattr(transport, "_worker", None)
    if worker is None:
        return
    create: Callable[[Any], Any] | None = getattr(transport, "_create_worker", None)
    if create is not None:
        transport._worker = create(transport.options)
    else:  # before sentry-sdk 2.58
        transport._worker = type(worker)(queue_size=transport.options["transport_queue_size"])


# --- Sentry's global event processors: none can be removed, so ours does nothing after `unlink` -----------------------


class _State:
    """The events that the registered processor processes; None after `unlink`."""

    events: EventProcessor | None = None
    is_registered = False


_state: Final = _process.register(_State())


def _process_event(event: Event, hint: Hint) -> Event | None:
    return event if _state.events is None else _state.events.process(event, hint)


def _register_event_processor() -> None:
    """Once per process."""
    if not _state.is_registered:
        _state.is_registered = True
        add_global_event_processor(_process_event)  # type: ignore[arg-type]  # a TypedDict of theirs
