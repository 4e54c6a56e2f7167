"""Libraries we patch or configure, and whether it worked: one table, one report each."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from blogauto_otel._guard import guard, swallow
from blogauto_otel.config import Settings
from blogauto_otel.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from blogauto_otel._otel import LoggerProvider
    from blogauto_otel.export.pipeline import Delivery
    from blogauto_otel.redaction import Redactor


class State(str, Enum):
    """How it stands with one instrumentation; the words are those of the status line."""

    ON = "on"
    OFF = "off"
    MISSING = "missing"
    WRONG_VERSION = "wrong version"
    SKIPPED = "skipped"
    BROKEN = "broken"


@dataclass(frozen=True)
class Report:
    """What became of one instrumentation; `detail` says why, in a few words for a person."""

    name: str
    state: State
    detail: str = ""


@dataclass(frozen=True)
class Context:
    """What an instrumentation gets to work with; it reaches for no global.

    `write_deferred_span` is that of `BlogautoTracerProvider`, or `None` when the tracer provider is not ours.
    """

    settings: Settings
    redactor: Redactor
    delivery: Delivery
    tracer_provider: TracerProvider
    meter_provider: MeterProvider
    logger_provider: LoggerProvider
    write_deferred_span: Callable[..., None] | None = None


# In the order in which they are switched on: context first, because the others start threads.
INSTRUMENTATIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "context": "blogauto_otel.instrumentation.context",
        "logging": "blogauto_otel.instrumentation.logging",
        "asgi": "blogauto_otel.instrumentation.server",
        "sqlalchemy": "blogauto_otel.instrumentation.sqlalchemy",
        "clients": "blogauto_otel.instrumentation.clients",
        "system": "blogauto_otel.instrumentation.system",
        "selfmetrics": "blogauto_otel.instrumentation.sdk_metrics",
    }
)

# The names under which OTEL_PYTHON_DISABLED_INSTRUMENTATIONS knows what ours replace.
# One without a name here is no library's.
ENTRY_POINTS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "context": frozenset({"threading"}),
        "logging": frozenset({"logging"}),
        "asgi": frozenset({"asgi", "fastapi", "starlette"}),
        "sqlalchemy": frozenset({"sqlalchemy"}),
        "clients": frozenset({"clients"}),  # each client is asked for by its own name there
        "system": frozenset({"system_metrics"}),
    }
)


def instrument_all(context: Context) -> tuple[Report, ...]:
    """Switch on every instrumentation of the table; one that fails is reported and costs the others nothing.

    Raises:
        ConfigurationError: a setting asks for what cannot be had, and `strict` is on.
    """
    return tuple(_instrument(name, module, context) for name, module in INSTRUMENTATIONS.items())


def uninstrument_all() -> None:
    """Put back everything `instrument_all` patched, last first; safe to call when nothing was."""
    _call_loaded("uninstrument", reversed(tuple(INSTRUMENTATIONS.values())))


def after_fork_in_child() -> None:
    """Let every instrumentation that keeps state begin anew in a forked child."""
    _call_loaded("after_fork_in_child", INSTRUMENTATIONS.values())


def _instrument(name: str, module: str, context: Context) -> Report:
    disabled = set(context.settings.disabled_instrumentations)
    known_as = ENTRY_POINTS.get(name, frozenset())
    if known_as and (known_as & disabled or "*" in disabled):
        return Report(name, State.OFF, "by OTEL_PYTHON_DISABLED_INSTRUMENTATIONS")
    try:
        report: Report = importlib.import_module(module).instrument(context)
    except ModuleNotFoundError as error:
        return Report(name, State.MISSING, f"{error.name} is not installed")
    except (Exception, SystemExit) as error:
        is_asked_for = context.settings.strict and isinstance(error, ConfigurationError)
        if is_asked_for or not swallow(f"instrumenting {name}", error):
            raise
        return Report(name, State.BROKEN, f"{type(error).__name__}: {error}")
    return report


def _call_loaded(function: str, modules: Iterable[str]) -> None:
    for module in modules:
        loaded = sys.modules.get(module)
        call = getattr(loaded, function, None)
        if call is not None:
            with guard(f"{function} of {module}"):
                call()
