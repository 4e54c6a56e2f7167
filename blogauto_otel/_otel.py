"""OpenTelemetry API names whose place may change, imported in this one module; all others import them from here.

Each private name has a public substitute, which is used where OpenTelemetry has renamed it. The logs of the SDK are
imported in `sdk/unstable.py`, because that costs what the SDK costs; its private members are in `sdk/private.py`.
"""

from __future__ import annotations

import contextvars
import functools
import importlib.metadata
from collections.abc import Callable
from importlib.metadata import EntryPoint
from operator import methodcaller
from typing import Any, Final

from opentelemetry import _logs as logs_api
from opentelemetry import context as context_api
from opentelemetry._logs import (
    Logger,
    LoggerProvider,
    LogRecord,
    SeverityNumber,
    get_logger_provider,
    set_logger_provider,
)
from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import get_current_span

__all__ = [
    "SUPPRESS_HTTP_KEY",
    "SUPPRESS_KEY",
    "LogRecord",
    "Logger",
    "LoggerProvider",
    "SeverityNumber",
    "attach_context",
    "current_context",
    "entry_points",
    "get_logger_provider",
    "logs_api",
    "set_logger_provider",
    "span_in",
]


def _context_variable() -> contextvars.ContextVar[Context] | None:
    """The variable in which OpenTelemetry keeps its context, as the token of `attach` names it; None if it has none."""
    try:
        given = Context({"test": True})
        variable: Any = attach(given).var
        has_default = contextvars.Context().run(variable.get) == Context()
        return variable if variable.get() is get_current() is given and has_default else None
    except (AttributeError, LookupError):  # a runtime context of another kind (`OTEL_PYTHON_CONTEXT`)
        return None


_variable: Final = contextvars.Context().run(_context_variable)
# `get_current` and `attach` in one step each: every request takes ten.
current_context: Final[Callable[[], Context]] = get_current if _variable is None else _variable.get
attach_context: Final[Callable[[Context], object]] = attach if _variable is None else _variable.set


def _span_getter() -> Callable[[Context], Any]:
    """The function that returns the span of a context, or None where there is none; in C where that is possible."""
    try:
        from opentelemetry.trace.propagation import _SPAN_KEY
    except ImportError:
        return get_current_span
    return methodcaller("get", _SPAN_KEY)


span_in: Final = _span_getter()

# The keys of a context in which instrumentation is suppressed; the defaults are the names from which they are made.
SUPPRESS_KEY: Final[str] = getattr(context_api, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")
SUPPRESS_HTTP_KEY: Final[str] = getattr(
    context_api, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "suppress_http_instrumentation"
)


def entry_points(*, group: str, name: str | None = None) -> tuple[EntryPoint, ...]:
    """The entry points of a group of OpenTelemetry (`opentelemetry_...`), which are read once."""
    return tuple(point for point in _registered() if point.group == group and name in (None, point.name))


@functools.cache
def _registered() -> tuple[EntryPoint, ...]:
    """`importlib.metadata.entry_points` parses those of every installed package, for three times as long."""
    found: dict[tuple[str, str, str], EntryPoint] = {}
    for distribution in importlib.metadata.distributions():
        if _GROUPS in (distribution.read_text("entry_points.txt") or ""):
            for point in distribution.entry_points:
                if point.group.startswith(_GROUPS):
                    found.setdefault((point.group, point.name, point.value), point)  # the first on the path is imported
    return tuple(found.values())


_GROUPS: Final = "opentelemetry_"
