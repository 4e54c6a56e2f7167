"""Integrations with other systems: a table of modules, each with `link(context, metering) -> Report`."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from blogauto_otel import _process
from blogauto_otel._guard import guard, swallow
from blogauto_otel.instrumentation import clients
from blogauto_otel.instrumentation.registry import Context, Report, State

if TYPE_CHECKING:
    from blogauto_otel.sdk.meter_provider import BlogautoMeterProvider

INTEGRATIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "prometheus": "blogauto_otel.integrations.prometheus",
        "sentry": "blogauto_otel.integrations.sentry",
    }
)


def link_all(context: Context, metering: BlogautoMeterProvider | None) -> tuple[Report, ...]:
    """Link every integration of the table; one that fails is reported and does not affect the others.

    Raises:
        ConfigurationError: only with `strict`.
    """
    return tuple(_link(name, module, context, metering) for name, module in INTEGRATIONS.items())


def _link(name: str, module: str, context: Context, metering: BlogautoMeterProvider | None) -> Report:
    try:
        loaded = _linked.modules[name] = importlib.import_module(module)
        report: Report = loaded.link(context, metering)
    except (Exception, SystemExit) as error:
        if context.settings.strict or not swallow(f"linking {name}", error):
            raise
        return Report(name, State.BROKEN, f"{type(error).__name__}: {error}")
    return report


# --- functions that a module may have ---------------------------------------------------------------------------------


def current_reports(reports: Sequence[Report]) -> tuple[Report, ...]:
    """The current reports: an application may have made a Sentry client since, or imported a library."""
    current: dict[str, Report] = {}

    def add(report: Callable[[], Report | None]) -> None:
        new = report()
        if new is not None:
            current[new.name] = new

    _each("report", add)
    add(clients.report)
    server = sys.modules.get("blogauto_otel.instrumentation.server")
    if server is not None:
        with guard("reporting on requests"):
            add(server.report)
    return tuple(current.get(report.name, report) for report in reports)


def unlink_all() -> None:
    """Undo `link_all`."""
    _linked.reset()


def flush_all(timeout: float) -> None:
    """Send what every integration has queued, for at most `timeout` seconds in total."""
    _each_until("flush", time.monotonic() + timeout)


def shutdown_all(timeout: float) -> None:
    """Send what every integration has queued; what is left is counted as dropped."""
    _each_until("shutdown", time.monotonic() + timeout)


def _each_until(function: str, deadline: float) -> None:
    _each(function, lambda call: call(max(0.0, deadline - time.monotonic())))


class _Linked:
    """The modules of the integrations that were linked, by name."""

    def __init__(self) -> None:
        self.modules: dict[str, ModuleType] = {}

    def reset(self) -> None:
        """Call `unlink` of every module."""
        _each("unlink", lambda unlink: unlink())
        self.modules.clear()


_linked: Final = _process.register(_Linked(), _process.Phase.INTEGRATIONS)


def _each(function: str, call: Callable[[Callable[..., Any]], object]) -> None:
    for name, module in tuple(_linked.modules.items()):
        found = getattr(module, function, None)
        if found is not None:
            with guard(f"{function} of {name}"):
                call(found)
