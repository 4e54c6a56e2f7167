"""Sentry's client: made by us as strict as it can be, or the application's own, which keeps its options."""

from __future__ import annotations

import functools
import logging
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final

import sentry_sdk
from opentelemetry.trace import format_span_id, format_trace_id, get_current_span
from sentry_sdk import scope as sentry
from sentry_sdk.consts import DEFAULT_OPTIONS
from sentry_sdk.integrations.excepthook import ExcepthookIntegration
from sentry_sdk.integrations.logging import ignore_logger
from sentry_sdk.scope import Scope

from blogauto_otel._guard import guard, tell
from blogauto_otel.config import Settings
from blogauto_otel.integrations.sentry import privacy
from blogauto_otel.integrations.sentry.capture import OWN_LOGGERS
from blogauto_otel.integrations.sentry.dsn import host_of
from blogauto_otel.integrations.sentry.events import EventProcessor
from blogauto_otel.integrations.sentry.transport_stats import TransportStats

Client = Any  # sentry_sdk's, or what stands in for it before `init`

# Integrations that tell of the same errors as we do: each event is built twice, and sent once.
_DUPLICATE_INTEGRATIONS: Final = ("starlette", "fastapi", "asgi")


def options(settings: Settings, resource: Mapping[str, Any]) -> dict[str, Any]:
    """The options of our own client: errors only, nothing private, nothing that other parts of ours do.

    Those that this version of Sentry's SDK does not know are left out; the defaults it has instead are no less strict.
    """
    wanted = {
        "dsn": settings.sentry_dsn,
        # Without a release Sentry asks git for one, and the event would say something else than its span.
        "release": resource.get("service.version") or "",
        "environment": settings.environment,
        "server_name": resource.get("host.name") or "",
        "default_integrations": False,
        "auto_enabling_integrations": False,
        "in_app_exclude": ["blogauto_otel"],
        "integrations": [ExcepthookIntegration()],
        "traces_sample_rate": None,
        "trace_propagation_targets": [],
        "enable_logs": False,
        "auto_session_tracking": False,
        "enable_backpressure_handling": False,
        "include_source_context": False,  # `source` adds it
        "include_local_variables": settings.sentry_frame_variables,
        "max_request_body_size": "never",
        "data_collection": {**privacy.DATA_COLLECTION, "stack_frame_variables": settings.sentry_frame_variables},
        # Which processes are profiled is decided here, anew in each forked child.
        "profile_session_sample_rate": 1.0 if settings.sentry_profiles_rate else 0.0,
        "profile_lifecycle": {"process": "manual", "trace": "trace"}[settings.sentry_profiles],
    }
    return {name: value for name, value in wanted.items() if name in DEFAULT_OPTIONS}


class LinkedClients:
    """The clients that are linked: those that exist, and each that the application makes later."""

    def __init__(self, events: EventProcessor, transport_stats: TransportStats) -> None:
        self._events = events
        self._transport_stats = transport_stats
        self._linked: weakref.WeakSet[Client] = weakref.WeakSet()
        self._undo: list[Callable[[], object]] = []
        self._set_client: Callable[..., Any] | None = None
        self.own: Client | None = None
        self.is_started = False

    def start(self, settings: Settings, resource: Mapping[str, Any]) -> None:
        """Link the client that is there, or make one when there is a DSN."""
        self._watch_init()
        if sentry_sdk.get_client().is_active():
            self.link(sentry_sdk.get_client())
        elif settings.sentry_dsn is not None:
            sentry_sdk.init(**options(settings, resource))
            self.own = self._events.own_client = sentry_sdk.get_client()
            self.link(self.own)
        self.is_started = True

    def stop(self) -> None:
        """Watch no longer for new clients, give back those we linked, and close our own."""
        if self._set_client is not None and getattr(Scope.set_client, "__wrapped__", None) is self._set_client:
            Scope.set_client = self._set_client  # type: ignore[assignment, method-assign]
        self._set_client = None
        while self._undo:
            self._undo.pop()()
        if self.own is not None:
            self.own.close(timeout=0.0)
            sentry_sdk.get_global_scope().set_client(None)

    def _watch_init(self) -> None:
        """`sentry_sdk.init` ends in `Scope.set_client`, whoever imported it under whatever name."""
        original = self._set_client = Scope.set_client

        def set_client(scope: Scope, client: Client = None) -> None:
            original(scope, client)
            if self._set_client is not None and client is not None:
                with guard("linking a Sentry client"):
                    self.link(client)
                    self._tell(client)

        set_client.__wrapped__ = original  # type: ignore[attr-defined]
        Scope.set_client = set_client  # type: ignore[assignment, method-assign]

    def _tell(self, client: Client) -> None:
        """Of a client that is made after the status line was printed."""
        if self.is_started:
            tell("sentry client", "sentry: %s", self.describe(client), level=logging.INFO)

    # --- linking ------------------------------------------------------------------------------------------------------

    def link(self, client: Client) -> None:
        """Put ourselves behind the application's `before_send`, and listen to the transport; once."""
        if client in self._linked or not client.is_active():
            return
        self._linked.add(client)
        for name in _hooks(client):
            users = client.options.get(name)
            client.options[name] = self._events.before_send(users)
            self._undo.append(functools.partial(client.options.__setitem__, name, users))
        if client.transport is not None:
            self._undo.append(self._transport_stats.listen(client.transport, self._events.accepted))
        self._undo.append(_leave_headers_to_us())
        for name in OWN_LOGGERS:
            ignore_logger(name)

    def active(self) -> list[Client]:
        """The client that takes events now, and our own if that is another."""
        found = [client for client in (sentry_sdk.get_client(), self.own) if client is not None and client.is_active()]
        return [client for number, client in enumerate(found) if client not in found[:number]]

    def level_of(self, client: Client) -> int | None:
        """From which level on a log record is an event; an application's own client says it in its integration."""
        if not client.is_active():
            return None
        self.link(client)
        if client is self.own:
            return logging.ERROR
        integration = client.integrations.get("logging")
        handler = getattr(integration, "_handler", None)
        return None if handler is None else int(handler.level)

    def describe(self, client: Client) -> str:
        """For the status line: what is linked, and what we could not change."""
        place = host_of(client.dsn) if client.dsn else "nowhere, as it has no DSN"
        if client is self.own:
            return f"errors to {place}"
        said = [f"errors to {place} by the application's own client, whose options stay"]
        twice = [name for name in _DUPLICATE_INTEGRATIONS if name in client.integrations]
        if twice:
            said.append(f"its integrations {', '.join(twice)} build each error a second time")
        if client.options.get("traces_sample_rate") is not None or client.options.get("traces_sampler") is not None:
            said.append("its tracing stays on, beside OpenTelemetry's")
        if client.options.get("include_local_variables") and not _collects_strictly(client):
            said.append("it collects frame variables, which are redacted")
        return "; ".join(said)


def _collects_strictly(client: Client) -> bool:
    collection = client.options.get("data_collection")
    return isinstance(collection, Mapping) and not collection.get("stack_frame_variables", True)


def _hooks(client: Client) -> tuple[str, ...]:
    """The callbacks through which goes what may hold secrets."""
    traces = client.options.get("traces_sample_rate") is not None or client.options.get("traces_sampler") is not None
    return ("before_send", "before_send_transaction") if traces else ("before_send",)


def _leave_headers_to_us() -> Callable[[], object]:
    """With a propagation context from outside Sentry puts no `sentry-trace` on requests (since sentry-sdk 2.48)."""
    register = getattr(sentry, "register_external_propagation_context", None)
    if register is None:
        return lambda: None
    before = sentry._external_propagation_context_fn
    register(_current_ids)
    return lambda: register(before)


def _current_ids() -> tuple[str, str] | None:
    span = get_current_span().get_span_context()
    return (format_trace_id(span.trace_id), format_span_id(span.span_id)) if span.is_valid else None
