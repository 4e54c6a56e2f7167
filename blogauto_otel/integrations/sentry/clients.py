"""Sentry's client: our own, which collects as little as it can, or the application's, which keeps its options."""

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

from blogauto_otel._guard import guard, log_once
from blogauto_otel.config import Settings
from blogauto_otel.integrations.sentry import privacy, scopes
from blogauto_otel.integrations.sentry.dsn import host_of
from blogauto_otel.integrations.sentry.events import EventProcessor
from blogauto_otel.integrations.sentry.transport_stats import TransportStats

Client = Any  # `sentry_sdk.Client`, or `NonRecordingClient` before `init`

# An event about sending an event would cause the next one. Sentry ignores its own loggers and urllib3's as well.
OWN_LOGGERS: Final = ("opentelemetry", "opentelemetry.*", "blogauto_otel", "blogauto_otel.*")
# Integrations that capture errors that we capture, too: each event is built twice and sent once.
_DUPLICATE_INTEGRATIONS: Final = ("starlette", "fastapi", "asgi")


def own_client_options(settings: Settings, resource: Mapping[str, Any]) -> dict[str, Any]:
    """The options of our own client: errors only, nothing private, no feature that another part of ours has.

    An option that this version of Sentry's SDK does not know is left out; the default of that version is as strict.
    """
    wanted = {
        "dsn": settings.sentry_dsn,
        # Without a release Sentry asks git for one, and the event would have another one than its span.
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
        "include_source_context": False,  # `source_context` adds it
        "include_local_variables": settings.sentry_frame_variables,
        "max_request_body_size": "never",
        "data_collection": {**privacy.DATA_COLLECTION, "stack_frame_variables": settings.sentry_frame_variables},
        # Which processes are profiled is decided in `profiles`, again in each forked child.
        "profile_session_sample_rate": 1.0 if settings.sentry_profiles_rate else 0.0,
        "profile_lifecycle": {"process": "manual", "trace": "trace"}[settings.sentry_profiles],
    }
    return {name: value for name, value in wanted.items() if name in DEFAULT_OPTIONS}


class LinkedClients:
    """The clients that are linked: the one that exists, and each that the application makes later."""

    def __init__(self, events: EventProcessor, transport_stats: TransportStats) -> None:
        self._events = events
        self._transport_stats = transport_stats
        self._linked: weakref.WeakSet[Client] = weakref.WeakSet()
        self._undo: list[Callable[[], object]] = []
        self._original_set_client: Callable[..., Any] | None = None
        self.own: Client | None = None
        self.is_started = False

    def start(self, settings: Settings, resource: Mapping[str, Any]) -> None:
        """Link the client that exists, or make one when there is a DSN."""
        self._patch_set_client()
        if sentry_sdk.get_client().is_active():
            self.link(sentry_sdk.get_client())
        elif settings.sentry_dsn is not None:
            sentry_sdk.init(**own_client_options(settings, resource))
            self.own = self._events.own_client = sentry_sdk.get_client()
            self.link(self.own)
            self._undo.append(_disable_propagation_headers())
        self.is_started = True

    def stop(self) -> None:
        """Stop watching for new clients, restore those that were linked, and close our own."""
        original = self._original_set_client
        if original is not None and getattr(Scope.set_client, "__wrapped__", None) is original:
            Scope.set_client = original  # type: ignore[assignment, method-assign]
        self._original_set_client = None
        self._undo_all()
        if self.own is not None:
            self.own.close(timeout=0.0)
            sentry_sdk.get_global_scope().set_client(None)

    def _undo_all(self) -> None:
        while self._undo:
            self._undo.pop()()

    def _patch_set_client(self) -> None:
        """`sentry_sdk.init` calls `Scope.set_client`, whatever name it was imported under."""
        original = self._original_set_client = Scope.set_client

        def set_client(scope: Scope, client: Client = None) -> None:
            original(scope, client)
            if self._original_set_client is not None and client is not None:
                with guard("linking a Sentry client"):
                    self.link(client)
                    self._log_client(client)

        set_client.__wrapped__ = original  # type: ignore[attr-defined]
        Scope.set_client = set_client  # type: ignore[assignment, method-assign]

    def _log_client(self, client: Client) -> None:
        """Log a client that is made after the status line."""
        if self.is_started:
            log_once("sentry client", "sentry: %s", self.describe(client), level=logging.INFO)

    # --- linking ------------------------------------------------------------------------------------------------------

    def link(self, client: Client) -> None:
        """Chain our `before_send` behind the application's, and count what the transport does; once for each client."""
        if client in self._linked or not client.is_active():
            return
        self._linked.add(client)
        if self.own is not None and client is not self.own:
            self._step_back()
        for name in _redacted_callbacks(client):
            callback = client.options.get(name)
            client.options[name] = self._events.before_send(callback)
            self._undo.append(functools.partial(client.options.__setitem__, name, callback))
        if client.transport is not None:
            self._undo.append(self._transport_stats.attach(client.transport, self._events.on_queued))
        for name in OWN_LOGGERS:
            ignore_logger(name)

    def _step_back(self) -> None:
        """The application's client replaces ours: what is process-wide behaves as without us."""
        scopes.stop()
        _enable_propagation_headers()

    def active(self) -> list[Client]:
        """The client that takes events now, and our own if that is another."""
        found = [client for client in (sentry_sdk.get_client(), self.own) if client is not None and client.is_active()]
        return [client for number, client in enumerate(found) if client not in found[:number]]

    def is_own(self, client: Client) -> bool:
        """Whether a client is ours."""
        return client is self.own

    def event_handler(self, client: Client) -> logging.Handler | None:
        """The handler of an application's client that makes events of log records; None where there is none."""
        if client is self.own or not client.is_active():
            return None
        self.link(client)
        handler = getattr(client.integrations.get("logging"), "_handler", None)
        return handler if isinstance(handler, logging.Handler) else None

    def describe(self, client: Client) -> str:
        """For the status line: what is linked, and what is done twice."""
        host = host_of(client.dsn) if client.dsn else "nowhere, as it has no DSN"
        if client is self.own:
            return f"errors to {host}"
        parts = [f"errors to {host} by the application's own client, whose options stay"]
        duplicates = [name for name in _DUPLICATE_INTEGRATIONS if name in client.integrations]
        if duplicates:
            parts.append(f"its integrations {', '.join(duplicates)} build each error a second time")
        if client.options.get("traces_sample_rate") is not None or client.options.get("traces_sampler") is not None:
            parts.append("its tracing stays on, beside OpenTelemetry's")
        if client.options.get("include_local_variables") and not _excludes_variables(client):
            parts.append("it collects frame variables, which are redacted")
        return "; ".join(parts)


def _excludes_variables(client: Client) -> bool:
    collection = client.options.get("data_collection")
    return isinstance(collection, Mapping) and not collection.get("stack_frame_variables", True)


def _redacted_callbacks(client: Client) -> tuple[str, ...]:
    """The callbacks that see what may contain secrets."""
    traces = client.options.get("traces_sample_rate") is not None or client.options.get("traces_sampler") is not None
    return ("before_send", "before_send_transaction") if traces else ("before_send",)


def _disable_propagation_headers() -> Callable[[], object]:
    """With an external propagation context Sentry adds no `sentry-trace` to requests (since sentry-sdk 2.48)."""
    register: Any = getattr(sentry, "register_external_propagation_context", None)
    if register is not None:
        register(_current_ids)
    return _enable_propagation_headers


def _enable_propagation_headers() -> None:
    register: Any = getattr(sentry, "register_external_propagation_context", None)
    if getattr(sentry, "_external_propagation_context_fn", None) is _current_ids:
        register(None)


def _current_ids() -> tuple[str, str] | None:
    span = get_current_span().get_span_context()
    return (format_trace_id(span.trace_id), format_span_id(span.span_id)) if span.is_valid else None
