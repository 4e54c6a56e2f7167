"""The API's global providers: each is set unless the application has set its own, and can be taken out again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

from opentelemetry import metrics, trace

from blogauto_otel import _otel
from blogauto_otel._guard import log_once
from blogauto_otel.config import Settings, warn_or_raise
from blogauto_otel.sdk import private


class _Global(NamedTuple):
    """How a provider is read and set."""

    get: Callable[[], object]
    set: Callable[[Any], None]


_GLOBALS: Final[Mapping[str, _Global]] = MappingProxyType(
    {
        "traces": _Global(trace.get_tracer_provider, trace.set_tracer_provider),
        "metrics": _Global(metrics.get_meter_provider, metrics.set_meter_provider),
        "logs": _Global(_otel.get_logger_provider, _otel.set_logger_provider),
    }
)
SIGNALS: Final = tuple(_GLOBALS)

P = TypeVar("P")


def install(signal: str, build: Callable[[], P], settings: Settings) -> P | None:
    """Build a provider and set it; None when the application has set its own.

    Raises:
        ConfigurationError: only with `strict`: `OTEL_PYTHON_*_PROVIDER` names a provider that cannot be loaded.
    """
    if _is_taken(signal, settings):
        return None
    provider = build()
    _GLOBALS[signal].set(provider)
    return provider


def _is_placeholder(kind: type[object]) -> bool:
    """Whether it is the API's own proxy: what `get_*_provider()` returns while no provider is installed."""
    return "Proxy" in kind.__name__ and kind.__module__.startswith("opentelemetry.") and ".sdk" not in kind.__module__


def _is_taken(signal: str, settings: Settings) -> bool:
    try:
        provider = _GLOBALS[signal].get()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the API passes on whatever loading an entry point raises
        warn_or_raise(
            settings,
            f"{signal}: what OTEL_PYTHON_*_PROVIDER names cannot be loaded ({type(error).__name__}); using ours",
        )
        return False
    if _is_placeholder(type(provider)):
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
    for signal in signals:
        private.uninstall_provider(signal)
