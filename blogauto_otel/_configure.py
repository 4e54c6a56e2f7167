"""The composition root, and the only global state: `configure()` builds, installs, patches, and returns `Telemetry`.

The launcher's distro and the test capture call the same function: one path, and the same telemetry.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics, trace

from blogauto_otel import _guard, _otel, api, config, instrumentation, integrations, propagation, redaction, resource
from blogauto_otel._guard import guard, log_once, logger
from blogauto_otel.config import Settings
from blogauto_otel.export.pipeline import Delivery, DeliveryStats, build_delivery
from blogauto_otel.instrumentation import Context, Report, State
from blogauto_otel.sdk import private, self_test
from blogauto_otel.sdk.logger_provider import BlogautoLoggerProvider, build_logger_provider
from blogauto_otel.sdk.meter_provider import BlogautoMeterProvider, build_meter_provider
from blogauto_otel.sdk.tracer_provider import BlogautoTracerProvider, build_tracer_provider

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor
    from typing_extensions import Unpack

    from blogauto_otel.arguments import SettingsArguments
    from blogauto_otel.sdk.unstable import LogRecordProcessor

SIGNALS: Final = ("traces", "metrics", "logs")

# Of the time that is left at the end; they come first, because they write log records of what they send.
OTHERS_SHARE: Final = 0.25


@dataclass(frozen=True)
class Status:
    """What is instrumented, what is not and why, where each signal goes, and how delivery stands.

    `str(status)` is the one line that is logged at start; `as_dict()` is the same as plain data.
    """

    service: str
    environment: str
    destinations: Mapping[str, str]
    instrumentation: tuple[Report, ...] = ()
    problems: tuple[str, ...] = ()
    delivery: DeliveryStats | None = None
    swallowed: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        head = f"{self.service} ({self.environment}): {_places(self.destinations)}"
        line = ""
        for details in _DETAILS:  # as many as there is room for
            line = f"{head}; {_on_and_not(self.instrumentation, details)}"
            if len(line) <= MAX_LINE:
                return line
        return f"{line[: MAX_LINE - len(_THE_REST)]}{_THE_REST}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "service": self.service,
            "environment": self.environment,
            "destinations": dict(self.destinations),
            "instrumentation": {report.name: _in_words(report) for report in self.instrumentation},
            "problems": list(self.problems),
            "delivery": self.delivery.as_dict() if self.delivery else {},
            "swallowed": dict(self.swallowed),
        }


# Characters of the line at start: with a timestamp, level and logger before it, three lines of 120 columns.
MAX_LINE: Final = 320
_THE_REST: Final = "... (all of it: telemetry.status().as_dict())"

Keeps = Callable[[Report], bool]

# Which details the line has: all; those that say more than a version; of what is not on; none.
_DETAILS: Final[tuple[Keeps, ...]] = (
    lambda report: True,  # noqa: ARG005
    lambda report: report.state is not State.ON or report.name in ("clients", "prometheus"),
    lambda report: report.state is not State.ON,
    lambda report: False,  # noqa: ARG005
)


def _on_and_not(reports: Sequence[Report], keeps: Keeps) -> str:
    def words(report: Report) -> str:
        return _in_brackets(report.detail) if keeps(report) else ""

    on = ", ".join(report.name + words(report) for report in reports if report.state is State.ON)
    rest = ", ".join(f"{it.name} {it.state.value}{words(it)}" for it in reports if it.state is not State.ON)
    return f"on: {on or 'nothing'}" + (f"; not: {rest}" if rest else "")


def _places(destinations: Mapping[str, str]) -> str:
    """`traces, metrics, logs to http://localhost:4318`: signals with one base URL are told together."""
    signals_of: dict[str, list[str]] = {}
    for signal, place in destinations.items():
        signals_of.setdefault(place.removesuffix(f"/v1/{signal}"), []).append(signal)
    return ", ".join(f"{', '.join(names)} to {place}" for place, names in signals_of.items())


def _in_brackets(detail: str) -> str:
    return f" ({detail})" if detail else ""


def _in_words(report: Report) -> str:
    return report.state.value + _in_brackets(report.detail)


@dataclass(frozen=True)
class _Parts:
    """What `configure` built; a signal whose provider is somebody else's has none here."""

    resource: Resource
    delivery: Delivery
    tracing: BlogautoTracerProvider | None
    metering: BlogautoMeterProvider | None
    logs: BlogautoLoggerProvider | None
    reports: tuple[Report, ...]
    destinations: Mapping[str, str]
    redactor: redaction.Redactor


class Telemetry:
    """The handle of a configured process: flush, shut down, ask how it stands.

    Also a context manager: leaving the block shuts telemetry down.
    """

    def __init__(self, settings: Settings, parts: _Parts | None, problems: tuple[str, ...] = ()) -> None:
        self.settings = settings
        self._parts = parts
        self._problems = problems
        self._deadline: float | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Telemetry {self.settings.service_name}{' (shut down)' if self._closed else ''}>"

    def __enter__(self) -> Telemetry:  # noqa: PYI034 - Self is not in typing before Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()

    def force_flush(self, timeout: float = 5.0) -> bool:
        """Send what is waiting, all signals in parallel.

        Args:
            timeout: total time in seconds; it is honoured whatever the Collector does.

        Returns:
            True when everything that was waiting has been accepted by the Collector.
        """
        if self._parts is None or self._closed:
            return True
        deadline = time.monotonic() + timeout
        with guard("flushing"):
            integrations.flush_all(timeout * OTHERS_SHARE)
            return self._parts.delivery.force_flush(deadline - time.monotonic())
        return False

    def shutdown(self, timeout: float | None = None) -> bool:
        """Send what is waiting and stop; further calls, and telemetry after it, do nothing.

        Args:
            timeout: total time in seconds; by default `BLOGAUTO_OTEL_SHUTDOWN_TIMEOUT`, less what a flush at the end of
                the application's lifespan has used of it. A Collector that is away costs at most half of it.

        Returns:
            True when nothing was lost.
        """
        if self._closed:
            return True
        self._closed = True
        if self._parts is None:
            return True
        if timeout is not None:
            self._deadline = time.monotonic() + timeout
        with guard("shutting down"):
            integrations.shutdown_all(self._remaining() * OTHERS_SHARE)
            return self._parts.delivery.shutdown(self._remaining())
        return False

    @property
    def is_shut_down(self) -> bool:
        """True after `shutdown`."""
        return self._closed

    def status(self) -> Status:
        """Say what is instrumented, what is not and why, where each signal goes, and how delivery stands."""
        if self._parts is None:
            return Status(
                self.settings.service_name, self.settings.environment, dict.fromkeys(SIGNALS, "nowhere (disabled)")
            )
        redact = self._parts.redactor.text
        return Status(
            service=self.settings.service_name,
            environment=self.settings.environment,
            destinations={signal: redact(place) for signal, place in self._parts.destinations.items()},
            instrumentation=integrations.current_reports(self._parts.reports),
            problems=tuple(map(redact, (*self._problems, *self_test.problems()))),
            delivery=self._parts.delivery.stats(),
            swallowed=_guard.swallowed(),
        )

    def _owned(self) -> Sequence[str]:
        """The signals whose provider is ours."""
        parts = self._parts
        built = (parts.tracing, parts.metering, parts.logs) if parts is not None else (None, None, None)
        return [signal for signal, provider in zip(SIGNALS, built, strict=True) if provider is not None]

    def _continue_in(self, successor: Telemetry) -> None:
        if self._parts is not None and successor._parts is not None:
            self._parts.delivery.continue_in(successor._parts.delivery)

    # --- the process ends, or forks --------------------------------------------------------------------------------

    def _start(self) -> None:
        """A service that nobody asks anything yet is there as well, and its host has figures.

        Not in `configure`, which runs in the parent of the workers as well, and in programs that never serve.
        """
        if self._parts is not None and not self._closed:
            self._parts.delivery.start()

    def _flush_at_lifespan_end(self) -> None:
        """The last chance: uvicorn raises SIGTERM again after the lifespan, and `atexit` never runs.

        The handle stays usable: a process may run several lifespans, one after another.
        """
        self._deadline = None
        with guard("flushing at the end of the lifespan"):
            if self._parts is not None and not self._closed:
                integrations.flush_all(self._remaining() * OTHERS_SHARE)
                if not self._parts.delivery.force_flush(self._remaining()):
                    self._parts.delivery.spool_pending(self._remaining())

    def _remaining(self) -> float:
        """One budget for all that happens at the end: the lifespan's flush, then `atexit`."""
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self.settings.shutdown_timeout
        return max(0.1, self._deadline - now)

    def _after_fork_in_child(self) -> None:
        _guard.reset()
        if self._parts is None or self._closed:
            return
        self._deadline = None
        parts = self._parts
        child = parts.resource
        with guard("naming the forked child"):
            child = resource.child_resource(parts.resource, self.settings)
        for part in (parts.delivery, parts.tracing, parts.metering, parts.logs):
            if part is not None:
                with guard(f"beginning anew in a forked child: {type(part).__name__}"):
                    part.after_fork_in_child(child)
        instrumentation.after_fork_in_child()
        integrations.after_fork_in_child()
        with guard("counting from zero in a forked child"):
            api.start_at_zero()


# --- the only global state -------------------------------------------------------------------------------------------

_lock = threading.RLock()
_telemetry: Telemetry | None = None


def configure(
    *,
    app: object = None,  # noqa: ARG001 - for clarity: its class is instrumented
    span_processors: Sequence[SpanProcessor] = (),
    log_processors: Sequence[LogRecordProcessor] = (),
    strict: bool | None = None,
    **settings: Unpack[SettingsArguments],
) -> Telemetry:
    """Switch telemetry on for this process: build three providers, install them, patch the libraries that are there.

    Call it once, wherever it suits: before or after the application, the engines and the loggers exist. A second call
    returns the same handle; after `shutdown()`, as in a notebook, it configures anew. It never raises unless `strict`
    says so, and waits for nobody: the Collector may be away.

    Args:
        app: the ASGI application; accepted for clarity, never required.
        span_processors: further span processors, called before ours.
        log_processors: further log record processors, called before ours.
        strict: raise `ConfigurationError` where a warning and the default would do. Default: `BLOGAUTO_OTEL_STRICT`.
        settings: any field of `Settings` (docs/settings.md), winning over the environment; durations in seconds.

    Returns:
        The handle of this process.

    Raises:
        ConfigurationError: only with `strict`: a setting that cannot be used, or a package it needs that is missing.

    Example:
        >>> telemetry = configure(service_name="shop-backend", namespace="shop", traces_exporter="none",
        ...                       metrics_exporter="none", logs_exporter="none", console="off")
        >>> telemetry.status().service
        'shop-backend'
    """
    global _telemetry
    with _lock:
        former = _telemetry
        if former is not None and (_ending or not former.is_shut_down):
            _tell_if_different(former.settings, settings)
            return former
        if former is not None:
            _undo(former)
        loaded = config.load(None, **settings, strict=strict)
        redaction.redact_own_log()
        for problem in loaded.problems:
            log_once(f"setting {problem}", "%s", problem)
        telemetry = Telemetry(loaded.settings, None, loaded.problems)
        if not loaded.settings.sdk_disabled:
            try:
                parts = _compose(loaded.settings, span_processors, log_processors)
                telemetry = Telemetry(loaded.settings, parts, loaded.problems)
            except (Exception, SystemExit) as error:
                if loaded.settings.strict or not _guard.swallow("configuring telemetry", error):
                    raise
        if former is not None:
            former._continue_in(telemetry)
        _telemetry = telemetry
    _hook_into_process()
    logger.info("%s", telemetry.status())
    for note in loaded.notes:
        log_once(f"note {note}", "%s", note, level=logging.INFO)
    return telemetry


def current() -> Telemetry | None:
    """The handle of this process, or None before `configure`."""
    return _telemetry


def _tell_if_different(chosen: Settings, arguments: Mapping[str, Any]) -> None:
    wanted = config.read(**arguments).settings
    different = sorted(name for name in arguments if getattr(wanted, name, None) != getattr(chosen, name, None))
    if different:
        log_once("configure twice", "configure() was called before; %s of this call not used", ", ".join(different))


# --- building and installing -----------------------------------------------------------------------------------------


def _compose(
    settings: Settings, span_processors: Sequence[SpanProcessor], log_processors: Sequence[LogRecordProcessor]
) -> _Parts:
    propagation.import_safely()
    from opentelemetry import propagate

    redactor = redaction.build_redactor(settings)
    redaction.redact_own_log(redactor)
    resource_ = resource.build_resource(settings)
    delivery = build_delivery(settings, resource_)
    parts: dict[str, Any] = {"delivery": delivery, "redactor": redactor}
    tracing = metering = logs = None
    if not _is_taken(trace.get_tracer_provider, "traces", settings):
        tracing = build_tracer_provider(settings, resource_, processors=span_processors, **parts)
        trace.set_tracer_provider(tracing)
    if not _is_taken(metrics.get_meter_provider, "metrics", settings):
        metering = build_meter_provider(settings, resource_, **parts)
        metrics.set_meter_provider(metering)
    if not _is_taken(_otel.get_logger_provider, "logs", settings):
        logs = build_logger_provider(settings, resource_, processors=log_processors, **parts)
        _otel.set_logger_provider(logs)
    propagate.set_global_textmap(propagation.build_propagator(settings.propagators))
    context = Context(
        settings=settings,
        redactor=redactor,
        delivery=delivery,
        tracer_provider=trace.get_tracer_provider(),
        meter_provider=metrics.get_meter_provider(),
        logger_provider=_otel.get_logger_provider(),
        write_deferred_span=tracing.write_deferred_span if tracing else None,
    )
    with guard("declaring the domain metrics"):
        api.attach(context.meter_provider, namespace=settings.namespace)
    reports = (*instrumentation.instrument_all(context), *integrations.link_all(context, metering))
    owned = {"traces": tracing, "metrics": metering, "logs": logs}
    places = {signal.value: place for signal, place in delivery.destinations().items()}
    destinations = {name: places[name] if owned[name] else "a provider installed by somebody else" for name in SIGNALS}
    return _Parts(resource_, delivery, tracing, metering, logs, reports, destinations, redactor)


def _is_placeholder(kind: type[object]) -> bool:
    """Whether it is the API's own proxy: what `get_*_provider()` returns while no provider is installed."""
    return "Proxy" in kind.__name__ and kind.__module__.startswith("opentelemetry.") and ".sdk" not in kind.__module__


def _is_taken(get_provider: Callable[[], object], signal: str, settings: Settings) -> bool:
    try:
        provider = get_provider()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the API passes on whatever loading an entry point raises
        config.warn_or_raise(
            settings,
            f"{signal}: what OTEL_PYTHON_*_PROVIDER names cannot be loaded ({type(error).__name__}); using ours",
        )
        return False
    if _is_placeholder(type(provider)):
        return False
    log_once(
        f"{signal} taken",
        "%s: %s is installed already; it is kept, and ours steps back",
        signal,
        type(provider).__qualname__,
        level=20,
    )
    return True


# --- the ends of a process -------------------------------------------------------------------------------------------

_hooked = False
_ending = False  # from here on nobody would flush what is configured


def _hook_into_process() -> None:
    """Flush wherever a process can end, begin anew in every forked child; hooks look the handle up when they run."""
    global _hooked
    with guard("hooking into the lifespan"):
        from blogauto_otel.instrumentation import server

        server.on_lifespan_startup(_at_lifespan_start)
        server.on_lifespan_shutdown(_at_lifespan_end)
    if _hooked:
        return
    _hooked = True
    atexit.register(_at_exit)
    with guard("hooking into multiprocessing"):
        _hook_into_multiprocessing()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork, after_in_child=_in_child)


def _hook_into_multiprocessing() -> None:
    """A child that configures telemetry itself; under `forkserver` it ends with `os._exit` too."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing import util

        util.Finalize(None, _at_exit, exitpriority=0)


def _at_exit() -> None:
    global _ending
    _ending = True
    if _telemetry is not None:
        _telemetry.shutdown()


def _at_lifespan_start() -> None:
    if _telemetry is not None:
        _telemetry._start()


def _at_lifespan_end() -> None:
    if _telemetry is not None:
        _telemetry._flush_at_lifespan_end()


def _in_child() -> None:
    global _lock
    _lock = threading.RLock()
    if _telemetry is not None:
        _telemetry._after_fork_in_child()


class _Anchor:
    """`multiprocessing` forgets callbacks whose object is gone; this one stays."""


_anchor: Final = _Anchor()
_anchored: weakref.WeakSet[_Anchor] = weakref.WeakSet()


def _before_fork() -> None:
    """Two things that a child cannot do for itself any more.

    A thread that imports the codec of host names meanwhile would leave it half imported, and no name resolvable. A
    child of `multiprocessing` ends with `os._exit`, past `atexit`: its own finalizers are the last chance.
    """
    with guard("importing the codec of host names"):
        "localhost".encode("idna")
    util = sys.modules.get("multiprocessing.util")
    if util is not None and _anchor not in _anchored:
        with guard("hooking into multiprocessing"):
            util.register_after_fork(_anchor, lambda _: util.Finalize(None, _at_exit, exitpriority=0))
            _anchored.add(_anchor)


def reset() -> None:
    """Undo everything `configure` did, and give the API back its stand-ins: for tests only."""
    global _telemetry
    with _lock:
        telemetry, _telemetry = _telemetry, None
    if telemetry is not None:
        telemetry.shutdown(0.5)
        _uninstall()
    _guard.reset()
    _give_back(SIGNALS)


def _undo(telemetry: Telemetry) -> None:
    """Make way for the next `configure`: providers of somebody else stay."""
    with guard("configuring anew"):
        _uninstall()
        _give_back(telemetry._owned())


def _uninstall() -> None:
    integrations.unlink_all()
    instrumentation.uninstrument_all()
    api.detach()


def _give_back(signal_names: Iterable[str]) -> None:
    """Let the API have its stand-ins again: it lets a provider be set once."""
    for signal in signal_names:
        private.uninstall_provider(signal)
