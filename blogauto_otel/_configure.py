"""The composition root: `configure()` builds the parts, installs the providers, and returns `Telemetry`.

The launcher's distro and the test capture call the same function, and emit the same telemetry.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict, TypeVar

from opentelemetry import metrics, trace

from blogauto_otel import (
    _gc_freeze,
    _global_providers,
    _guard,
    _messages,
    _otel,
    _process,
    api,
    config,
    integrations,
    propagation,
    redaction,
    resource,
)
from blogauto_otel._global_providers import SIGNALS, install
from blogauto_otel._guard import guard, log_once, logger
from blogauto_otel.config import Settings
from blogauto_otel.export.pipeline import Delivery, build_delivery
from blogauto_otel.hooks import Hooks
from blogauto_otel.instrumentation import registry, task_workers
from blogauto_otel.sdk.logger_provider import build_logger_provider
from blogauto_otel.sdk.meter_provider import build_meter_provider
from blogauto_otel.sdk.tracer_provider import build_tracer_provider
from blogauto_otel.sdk.views import build_views
from blogauto_otel.telemetry import Parts, Telemetry

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.view import View
    from opentelemetry.sdk.trace import SpanProcessor
    from typing_extensions import Unpack

    from blogauto_otel.arguments import SettingsArguments
    from blogauto_otel.sdk.unstable import LogRecordProcessor


T = TypeVar("T")


class _State:
    """The handle of this process, and what it does as the process serves, forks and ends."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.telemetry: Telemetry | None = None
        self.on_successor: Callable[[Telemetry], None] | None = None  # while the handle is provisional

    def on_lifespan_startup(self) -> None:
        """Start the worker, then freeze what start-up left."""
        if self.telemetry is not None:
            self.telemetry._start()
            if self.telemetry.settings.gc_freeze and not self.telemetry.settings.sdk_disabled:
                _gc_freeze.freeze_once()

    def on_lifespan_shutdown(self) -> None:
        """Send what is queued."""
        if self.telemetry is not None:
            self.telemetry._flush_at_lifespan_end()

    def after_fork_in_child(self) -> None:
        """A fresh lock and empty queues."""
        self.lock = threading.RLock()
        if self.telemetry is not None:
            self.telemetry._after_fork_in_child()

    def at_exit(self) -> None:
        """Send what is queued and stop."""
        if self.telemetry is not None:
            self.telemetry.shutdown()

    def reset(self) -> None:
        """Give the API its proxy providers back."""
        self.telemetry = self.on_successor = None
        api.detach()
        _global_providers.uninstall()


_state: Final = _process.register(_State(), _process.Phase.PROVIDERS)


def configure(
    *,
    app: object = None,  # noqa: ARG001 - for clarity: its class is instrumented
    span_processors: Sequence[SpanProcessor] = (),
    log_processors: Sequence[LogRecordProcessor] = (),
    views: Sequence[View] = (),
    hooks: Hooks | None = None,
    strict: bool | None = None,
    **settings: Unpack[SettingsArguments],
) -> Telemetry:
    """Switch telemetry on for this process: build three providers, install them, instrument the installed libraries.

    Call it once, before or after the application, its engines and its loggers are made. A second call returns the same
    handle; after `shutdown()`, as in a notebook, it configures again. It does not wait for the Collector, and raises
    only with `strict`.

    Args:
        app: the ASGI application; accepted for clarity, never required.
        span_processors: further span processors, called before ours.
        log_processors: further log record processors, called before ours.
        views: views of the meter provider, as of the OpenTelemetry SDK.
        hooks: functions that add to the spans of requests, client calls and SQL statements.
        strict: raise `ConfigurationError` where a warning and the default would do. Default: `BLOGAUTO_OTEL_STRICT`.
        settings: any field of `Settings` (docs/settings.md), winning over the environment; durations in seconds.

    Returns:
        The handle of this process.

    Raises:
        ConfigurationError: only with `strict`: a setting that cannot be used, or a package it needs that is missing.

    Examples:
        >>> telemetry = configure(service_name="shop-backend", namespace="shop", traces_exporter="none",
        ...                       metrics_exporter="none", logs_exporter="none", console="off")
        >>> telemetry.status().service
        'shop-backend'
    """
    with _state.lock:
        former, on_successor = _state.telemetry, _state.on_successor
        if former is not None and on_successor is None and (_process.is_ending() or not former.is_shut_down):
            _log_unused_arguments(former.settings, settings)
            return former
        given = _Given(span_processors, log_processors, views, hooks)
        telemetry, notes = _build(former, given, {**settings, "strict": strict})
        _state.telemetry, _state.on_successor = telemetry, None
    if on_successor is not None:
        on_successor(telemetry)
    _hook_into_process()
    logger.info("%s", telemetry.status())  # not with the lock, because it calls the application's handlers
    for note in notes:
        log_once(f"note {note}", "%s", note, level=logging.INFO)
    return telemetry


def _build(former: Telemetry | None, given: _Given, arguments: Mapping[str, Any]) -> tuple[Telemetry, Sequence[str]]:
    """The handle, and what is to be logged about the settings; a former handle passes its undelivered items on."""
    if former is not None:
        _uninstall(former)
    loaded = config.load(None, **arguments)
    redaction.redact_own_log()
    if loaded.settings.internal_log_level is not None:
        _guard.set_level(loaded.settings.internal_log_level)
    _messages.set_language(loaded.settings.language)
    for problem in loaded.problems:
        log_once(f"setting {problem}", "%s", problem)
    given = given._replace(views=(*given.views, *build_views(loaded.views)))
    telemetry = Telemetry(loaded.settings, _try_compose(loaded.settings, given), loaded.problems)
    if former is not None:
        former._continue_in(telemetry)
    return telemetry, loaded.notes


def current() -> Telemetry | None:
    """The handle of this process, or None before `configure`."""
    return _state.telemetry


def reset() -> None:
    """Return the process to the state before `configure`; only tests do it."""
    telemetry = _state.telemetry
    if telemetry is not None:
        telemetry.shutdown(0.5)
    _process.reset()


def make_provisional(on_successor: Callable[[Telemetry], None]) -> None:
    """Let the next `configure` replace the handle, and call `on_successor` with the new one; only tests do it."""
    _state.on_successor = on_successor


class SetAside(NamedTuple):
    """A handle that was taken out of the process, and the callback that receives its successor."""

    telemetry: Telemetry
    on_successor: Callable[[Telemetry], None] | None


def set_aside() -> SetAside | None:
    """Take the handle out of the process without shutting it down, for `reinstate`; only tests do it."""
    with _state.lock:
        former, on_successor = _state.telemetry, _state.on_successor
        _state.telemetry = _state.on_successor = None
    if former is None:
        return None
    _uninstall(former)
    return SetAside(former, on_successor)


def reinstate(former: SetAside) -> None:
    """Make a handle that was set aside the handle of this process again, with its providers."""
    telemetry, parts = former.telemetry, former.telemetry._parts
    with _state.lock:
        _state.telemetry, _state.on_successor = former
    if parts is not None:
        for signal, provider in zip(SIGNALS, (parts.tracing, parts.metering, parts.logs), strict=True):
            if provider is not None:
                install(signal, functools.partial(_same, provider), telemetry.settings)
        telemetry._parts = _connect(parts, telemetry.settings)


def _same(provider: T) -> T:
    return provider


def _uninstall(telemetry: Telemetry) -> None:
    """Prepare for the next `configure`; providers of the application stay."""
    with guard("configuring again"):
        integrations.unlink_all()
        registry.uninstrument_all()
        api.detach()
        _global_providers.uninstall(telemetry._own_signals())


def _log_unused_arguments(settings: Settings, arguments: Mapping[str, Any]) -> None:
    wanted = config.read(**arguments).settings
    different = sorted(name for name in arguments if getattr(wanted, name, None) != getattr(settings, name, None))
    if different:
        log_once("configure twice", "configure() was called before; %s of this call not used", ", ".join(different))


def _hook_into_process() -> None:
    _process.hook()
    with guard("hooking into task queues"):
        task_workers.before_exit(_process.at_exit)
    with guard("hooking into the lifespan"):
        from blogauto_otel.instrumentation import server

        server.on_lifespan_startup(_process.on_lifespan_startup)
        server.on_lifespan_shutdown(_process.on_lifespan_shutdown)


# --- composition -----------------------------------------------------------------------------------------------------


class _Given(NamedTuple):
    """The arguments of `configure` that are objects of the application."""

    span_processors: Sequence[SpanProcessor]
    log_processors: Sequence[LogRecordProcessor]
    views: Sequence[View]
    hooks: Hooks | None


def _try_compose(settings: Settings, given: _Given) -> Parts | None:
    if settings.sdk_disabled:
        return None
    try:
        return _compose(settings, given)
    except (Exception, SystemExit) as error:
        if settings.strict or not _guard.swallow("configuring telemetry", error):
            raise
        return None


def _compose(settings: Settings, given: _Given) -> Parts:
    redactor = redaction.build_redactor(settings)
    redaction.redact_own_log(redactor)
    own = resource.build_resource(settings, redactor=redactor)
    delivery = build_delivery(settings, own, redactor=redactor)
    common: _Common = {"delivery": delivery, "redactor": redactor}
    tracing = install(
        "traces", lambda: build_tracer_provider(settings, own, processors=given.span_processors, **common), settings
    )
    metering = install("metrics", lambda: build_meter_provider(settings, own, views=given.views, **common), settings)
    logs = install(
        "logs", lambda: build_logger_provider(settings, own, processors=given.log_processors, **common), settings
    )
    destinations = _destinations(delivery, {"traces": tracing, "metrics": metering, "logs": logs})
    parts = Parts(own, delivery, tracing, metering, logs, (), destinations, redactor, given.hooks)
    return _connect(parts, settings)


def _connect(parts: Parts, settings: Settings) -> Parts:
    """Connect the application with the providers: propagation, domain metrics, instrumentation, integrations."""
    _install_propagator(settings)
    context = _context(settings, parts)
    with guard("declaring the domain metrics"):
        api.attach(context.meter_provider, namespace=settings.namespace)
    reports = (*registry.instrument_all(context), *integrations.link_all(context, parts.metering))
    return replace(parts, reports=reports)


class _Common(TypedDict):
    """What all three providers and the instrumentations share."""

    delivery: Delivery
    redactor: redaction.Redactor


def _install_propagator(settings: Settings) -> None:
    propagation.import_safely()
    from opentelemetry import propagate

    propagate.set_global_textmap(propagation.build_propagator(settings.propagators))


def _context(settings: Settings, parts: Parts) -> registry.Context:
    return registry.Context(
        settings=settings,
        redactor=parts.redactor,
        delivery=parts.delivery,
        tracer_provider=trace.get_tracer_provider(),
        meter_provider=metrics.get_meter_provider(),
        logger_provider=_otel.get_logger_provider(),
        write_deferred_span=parts.tracing.write_deferred_span if parts.tracing else None,
        hooks=parts.hooks,
    )


def _destinations(delivery: Delivery, providers: Mapping[str, object]) -> Mapping[str, str]:
    endpoints = {signal.value: endpoint for signal, endpoint in delivery.destinations().items()}
    return {
        name: endpoints[name] if built else "a provider installed by the application"
        for name, built in providers.items()
    }
