"""The handle of a configured process: flush, shut down, and report the status."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from blogauto_otel import _guard, api, integrations, redaction, resource
from blogauto_otel._dataclass import dataclass
from blogauto_otel._global_providers import SIGNALS
from blogauto_otel._guard import guard
from blogauto_otel._messages import log_text
from blogauto_otel.config import Settings
from blogauto_otel.export.pipeline import Delivery
from blogauto_otel.export.stats import ExportStats
from blogauto_otel.hooks import Hooks
from blogauto_otel.instrumentation.registry import Report, State
from blogauto_otel.sdk import self_test
from blogauto_otel.sdk.logger_provider import BlogautoLoggerProvider
from blogauto_otel.sdk.meter_provider import BlogautoMeterProvider
from blogauto_otel.sdk.tracer_provider import BlogautoTracerProvider

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

# The share of the remaining time that integrations get at the end. They come first, because they write log records.
INTEGRATIONS_SHARE: Final = 0.25


@dataclass(frozen=True)
class Status:
    """What is instrumented, what is not and why, where each signal goes, and the figures of the delivery.

    `str(status)` is the line that is logged at start; `as_dict()` is the same as plain data.
    """

    service: str
    environment: str
    destinations: Mapping[str, str]
    instrumentation: tuple[Report, ...] = ()
    problems: tuple[str, ...] = ()
    delivery: ExportStats | None = None
    swallowed: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        head = f"{self.service} ({self.environment}): {_destinations_text(self.destinations)}"
        line = ""
        for has_detail in _DETAILS:  # as many details as there is room for
            line = f"{head}; {_reports_text(self.instrumentation, has_detail)}"
            if len(line) <= MAX_LINE:
                return line
        return f"{line[: MAX_LINE - len(_CUT)]}{_CUT}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "service": self.service,
            "environment": self.environment,
            "destinations": dict(self.destinations),
            "instrumentation": {report.name: _report_text(report) for report in self.instrumentation},
            "problems": list(self.problems),
            "delivery": self.delivery.as_dict() if self.delivery else {},
            "swallowed": dict(self.swallowed),
        }


# Characters of the line at start: with a timestamp, level and logger before it, three lines of 120 columns.
MAX_LINE: Final = 320
_CUT: Final = "... (all of it: telemetry.status().as_dict())"

HasDetail = Callable[[Report], bool]

# Which reports show their detail: all; those with more than a version; those that are not on; none.
_DETAILS: Final[tuple[HasDetail, ...]] = (
    lambda report: True,  # noqa: ARG005
    lambda report: report.state is not State.ON or report.name in ("clients", "prometheus"),
    lambda report: report.state is not State.ON,
    lambda report: False,  # noqa: ARG005
)


def _reports_text(reports: Sequence[Report], has_detail: HasDetail) -> str:
    def detail(report: Report) -> str:
        return _in_brackets(report.detail) if has_detail(report) else ""

    on = ", ".join(report.name + detail(report) for report in reports if report.state is State.ON)
    rest = ", ".join(f"{one.name} {one.state.value}{detail(one)}" for one in reports if one.state is not State.ON)
    head = log_text("on: %s") % (on or log_text("nothing"))
    return head + (log_text("; not: %s") % rest if rest else "")


def _destinations_text(destinations: Mapping[str, str]) -> str:
    """`traces, metrics, logs to http://localhost:4318`: signals with the same base URL are listed together."""
    signals_of: dict[str, list[str]] = {}
    for signal, destination in destinations.items():
        signals_of.setdefault(destination.removesuffix(f"/v1/{signal}"), []).append(signal)
    return ", ".join(
        log_text("%s to %s") % (", ".join(names), destination) for destination, names in signals_of.items()
    )


def _in_brackets(detail: str) -> str:
    return f" ({detail})" if detail else ""


def _report_text(report: Report) -> str:
    return report.state.value + _in_brackets(report.detail)


@dataclass(frozen=True)
class Parts:
    """What `configure` built; None for a signal whose provider the application installed."""

    resource: Resource
    delivery: Delivery
    tracing: BlogautoTracerProvider | None
    metering: BlogautoMeterProvider | None
    logs: BlogautoLoggerProvider | None
    reports: tuple[Report, ...]
    destinations: Mapping[str, str]
    redactor: redaction.Redactor
    hooks: Hooks | None = None


def _histogram_reports(parts: Parts) -> tuple[Report, ...]:
    """Which histograms the SDK records, and why: a measurement costs 6 to 12 µs there, and half a microsecond here."""
    histograms = parts.metering.histograms if parts.metering is not None else None
    if histograms is None or not histograms.left_to_sdk:
        return ()
    names = ", ".join(f"{name}: {why}" for name, why in tuple(histograms.left_to_sdk.items()))
    return (Report("histograms", State.ON, f"recorded by the SDK: {names}"),)


class Telemetry:
    """The handle of a configured process: flush, shut down, ask for the status.

    Also a context manager: leaving the block shuts telemetry down.
    """

    def __init__(self, settings: Settings, parts: Parts | None, problems: tuple[str, ...] = ()) -> None:
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
        """Send what is queued, all signals in parallel.

        Args:
            timeout: total time in seconds, whatever the Collector does.

        Returns:
            True when the Collector has accepted everything that was queued.
        """
        if self._parts is None or self._closed:
            return True
        deadline = time.monotonic() + timeout
        with guard("flushing"):
            integrations.flush_all(timeout * INTEGRATIONS_SHARE)
            return self._parts.delivery.force_flush(deadline - time.monotonic())
        return False

    def shutdown(self, timeout: float | None = None) -> bool:
        """Send what is queued and stop; further calls, and telemetry after it, do nothing.

        Args:
            timeout: total time in seconds; by default `BLOGAUTO_OTEL_SHUTDOWN_TIMEOUT`, less what a flush at the end of
                the application's lifespan has used of it. An unreachable Collector costs at most half of it.

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
            integrations.shutdown_all(self._remaining() * INTEGRATIONS_SHARE)
            return self._parts.delivery.shutdown(self._remaining())
        return False

    @property
    def is_shut_down(self) -> bool:
        """True after `shutdown`."""
        return self._closed

    def status(self) -> Status:
        """What is instrumented, what is not and why, where each signal goes, and the figures of the delivery."""
        if self._parts is None:
            return Status(
                self.settings.service_name, self.settings.environment, dict.fromkeys(SIGNALS, "nowhere (disabled)")
            )
        redact = self._parts.redactor.text
        return Status(
            service=self.settings.service_name,
            environment=self.settings.environment,
            destinations={signal: redact(text) for signal, text in self._parts.destinations.items()},
            instrumentation=(*integrations.current_reports(self._parts.reports), *_histogram_reports(self._parts)),
            problems=tuple(map(redact, (*self._problems, *self_test.problems()))),
            delivery=self._parts.delivery.stats(),
            swallowed=_guard.swallowed(),
        )

    def _own_signals(self) -> Sequence[str]:
        """The signals whose provider is ours."""
        parts = self._parts
        built = (parts.tracing, parts.metering, parts.logs) if parts is not None else (None, None, None)
        return [signal for signal, provider in zip(SIGNALS, built, strict=True) if provider is not None]

    def _continue_in(self, successor: Telemetry) -> None:
        if self._parts is not None and successor._parts is not None:
            self._parts.delivery.continue_in(successor._parts.delivery)

    def _hold(self) -> None:
        """Send nothing yet, because `configure` may be called again, with another service name."""
        if self._parts is not None:
            self._parts.delivery.hold()

    def _release(self) -> None:
        if self._parts is not None:
            self._parts.delivery.release()

    def _end_delivery(self, timeout: float) -> None:
        """Send what is queued and stop, when a successor is in force; integrations are the successor's."""
        self._closed = True
        if self._parts is not None:
            self._parts.delivery.shutdown(timeout)

    # --- the process serves, forks and ends --------------------------------------------------------------------------

    def _start(self) -> None:
        """Start the worker, so that a service without requests exports the metrics of its host.

        Not in `configure`, which also runs in the parent of workers and in programs that never serve.
        """
        if self._parts is not None and not self._closed:
            self._parts.delivery.start()

    def _flush_at_lifespan_end(self) -> None:
        """Send what is queued, because uvicorn raises SIGTERM again after the lifespan and `atexit` never runs.

        The handle stays usable: a process may run several lifespans, one after another.
        """
        self._deadline = None
        with guard("flushing at the end of the lifespan"):
            if self._parts is not None and not self._closed:
                integrations.flush_all(self._remaining() * INTEGRATIONS_SHARE)
                if not self._parts.delivery.force_flush(self._remaining()):
                    self._parts.delivery.spool_pending(self._remaining())

    def _remaining(self) -> float:
        """Seconds left for the end of the process; the lifespan's flush and `atexit` share them."""
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self.settings.shutdown_timeout
        return max(0.1, self._deadline - now)

    def _after_fork_in_child(self) -> None:
        """Start with empty queues, and with metrics from zero under the child's own resource."""
        if self._parts is None or self._closed:
            return
        self._deadline = None
        parts = self._parts
        child = parts.resource
        with guard("naming a forked child"):
            child = resource.child_resource(parts.resource, self.settings)
        for part in (parts.delivery, parts.tracing, parts.metering, parts.logs):
            if part is not None:
                with guard(f"resetting {type(part).__name__} in a forked child"):
                    part.after_fork_in_child(child)
        with guard("counting from zero in a forked child"):
            api.start_at_zero()
