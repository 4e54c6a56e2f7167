"""The API's global providers: each is set unless the application has set its own, and can be taken out again."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from opentelemetry import _logs, metrics, trace

from blogauto_otel._guard import log_once
from blogauto_otel.config import Settings, warn_or_raise


class _Global(NamedTuple):
    """How a provider is read and set, and where the API keeps it."""

    get: Callable[[], object]
    set: Callable[[Any], None]
    module: str
    name: str


_GLOBALS: Final[Mapping[str, _Global]] = MappingProxyType(
    {
        "traces": _Global(trace.get_tracer_provider, trace.set_tracer_provider, "opentelemetry.trace", "TRACER"),
        "metrics": _Global(
            metrics.get_meter_provider, metrics.set_meter_provider, "opentelemetry.metrics._internal", "METER"
        ),
        "logs": _Global(
            _logs.get_logger_provider, _logs.set_logger_provider, "opentelemetry._logs._internal", "LOGGER"
        ),
    }
)
SIGNALS: Final = tuple(_GLOBALS)

# What the API returns until a provider is set.
_PROXIES: Final = frozenset({"ProxyTracerProvider", "_ProxyMeterProvider", "ProxyLoggerProvider"})


class _Built(Protocol):
    @property
    def provider(self) -> Any: ...


B = TypeVar("B", bound=_Built)


def install(signal: str, build: Callable[[], B], settings: Settings) -> B | None:
    """Build a provider and set it; None when the application has set its own.

    Raises:
        ConfigurationError: only with `strict`: `OTEL_PYTHON_*_PROVIDER` names a provider that cannot be loaded.
    """
    if _is_taken(signal, settings):
        return None
    built = build()
    _GLOBALS[signal].set(built.provider)
    return built


def _is_taken(signal: str, settings: Settings) -> bool:
    try:
        provider = _GLOBALS[signal].get()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the API passes on whatever loading an entry point raises
        warn_or_raise(
            settings,
            f"{signal}: what OTEL_PYTHON_*_PROVIDER names cannot be loaded ({type(error).__name__}); using ours",
        )
        return False
    if type(provider).__name__ in _PROXIES and type(provider).__module__.startswith("opentelemetry."):
        return False
    log_once(
        f"{signal} taken",
        "%s: the application has installed %s, which stays; ours is not used",
        signal,
        type(provider).__qualname__,
        level=logging.INFO,
    )
    return True


def uninstall(signals: Iterable[str] = SIGNALS) -> None:
    """Let the API return its proxies again, because it lets a provider be set only once."""
    from opentelemetry.util._once import Once

    for signal in signals:
        known = _GLOBALS[signal]
        setattr(sys.modules[known.module], f"_{known.name}_PROVIDER", None)
        setattr(sys.modules[known.module], f"_{known.name}_PROVIDER_SET_ONCE", Once())
