"""The table of instrumentations: each is switched on with one context, and answers with one report."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Final

from blogauto_otel import _process
from blogauto_otel._dataclass import dataclass
from blogauto_otel._guard import guard, swallow
from blogauto_otel.config import Settings
from blogauto_otel.errors import ConfigurationError
from blogauto_otel.hooks import Hooks

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from blogauto_otel._otel import LoggerProvider
    from blogauto_otel.export.pipeline import Delivery
    from blogauto_otel.redaction import Redactor


class State(str, Enum):
    """The state of one instrumentation; the values are the words of the status line."""

    ON = "on"
    OFF = "off"
    MISSING = "missing"
    WRONG_VERSION = "wrong version"
    SKIPPED = "skipped"
    BROKEN = "broken"


@dataclass(frozen=True)
class Report:
    """The state of one instrumentation; `detail` says why, in a few words."""

    name: str
    state: State
    detail: str = ""


@dataclass(frozen=True)
class Context:
    """What every instrumentation receives.

    `write_deferred_span` is that of `BlogautoTracerProvider`, or None when the tracer provider is the application's.
    """

    settings: Settings
    redactor: Redactor
    delivery: Delivery
    tracer_provider: TracerProvider
    meter_provider: MeterProvider
    logger_provider: LoggerProvider
    write_deferred_span: Callable[..., None] | None = None
    hooks: Hooks | None = None


# In the order in which they are switched on: `context` first, because the others start threads.
INSTRUMENTATIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "context": "blogauto_otel.instrumentation.context",
        "logging": "blogauto_otel.instrumentation.logging",
        "asgi": "blogauto_otel.instrumentation.server",
        "sqlalchemy": "blogauto_otel.instrumentation.sqlalchemy",
        "ai": "blogauto_otel.instrumentation.ai",
        "clients": "blogauto_otel.instrumentation.clients",
        "system": "blogauto_otel.instrumentation.system",
        "sdk_metrics": "blogauto_otel.instrumentation.sdk_metrics",
    }
)

# What OTEL_PYTHON_DISABLED_INSTRUMENTATIONS calls the instrumentations that each of ours replaces; some replace none.
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
    """Switch on every instrumentation of the table; one that fails is reported and does not affect the others.

    Raises:
        ConfigurationError: a setting asks for what is not installed, and `strict` is on.
    """
    return tuple(_instrument(name, module, context) for name, module in INSTRUMENTATIONS.items())


def uninstrument_all() -> None:
    """Undo `instrument_all`, the last first."""
    _switched_on.reset()


class _SwitchedOn:
    """The modules that were switched on, in that order."""

    def __init__(self) -> None:
        self._modules: dict[str, ModuleType] = {}

    def add(self, module: ModuleType) -> None:
        self._modules[module.__name__] = module

    def after_fork_in_child(self) -> None:
        """Call the function of this name of every module that has one."""
        self._call("after_fork_in_child", self._modules.values())

    def reset(self) -> None:
        """Call `uninstrument` of every module that has it."""
        modules, self._modules = self._modules, {}
        self._call("uninstrument", reversed(modules.values()))

    def _call(self, function: str, modules: Iterable[ModuleType]) -> None:
        for module in modules:
            call = getattr(module, function, None)
            if call is not None:
                with guard(f"{function} of {module.__name__}"):
                    call()


_switched_on: Final = _process.register(_SwitchedOn(), _process.Phase.INSTRUMENTATIONS)


def _instrument(name: str, module: str, context: Context) -> Report:
    disabled = set(context.settings.disabled_instrumentations)
    known_as = ENTRY_POINTS.get(name, frozenset())
    if known_as and (known_as & disabled or "*" in disabled):
        return Report(name, State.OFF, "by OTEL_PYTHON_DISABLED_INSTRUMENTATIONS")
    try:
        loaded = importlib.import_module(module)
        _switched_on.add(loaded)
        report: Report = loaded.instrument(context)
    except ModuleNotFoundError as error:
        return Report(name, State.MISSING, f"{error.name} is not installed")
    except (Exception, SystemExit) as error:
        is_asked_for = context.settings.strict and isinstance(error, ConfigurationError)
        if is_asked_for or not swallow(f"instrumenting {name}", error):
            raise
        return Report(name, State.BROKEN, f"{type(error).__name__}: {error}")
    return report
