"""Starlette and FastAPI: patches, route templates, background tasks, and their other instrumentations."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import util

from blogauto_otel.instrumentation import Context
from blogauto_otel.instrumentation.patching import version_of
from blogauto_otel.instrumentation.server.instrumentation import state
from blogauto_otel.instrumentation.server.routes import use_resolver
from blogauto_otel.instrumentation.starlette import other_telemetry, patches
from blogauto_otel.instrumentation.starlette.routes import StarletteRoutes

__all__ = [
    "has_contrib",
    "instrument",
    "instrument_entrances",
    "instrument_with_contrib",
    "is_installed",
    "uninstrument",
]


def is_installed() -> bool:
    """Whether Starlette is installed."""
    return util.find_spec("starlette") is not None


def has_contrib() -> bool:
    """Whether OpenTelemetry's FastAPI instrumentation is installed."""
    return other_telemetry.is_contrib_installed()


def instrument() -> str:
    """Apply every patch; returns the versions of the frameworks."""
    use_resolver(StarletteRoutes())
    state.suppression_keys = (other_telemetry.NATIVE_KEY,)
    patches.apply()
    patches.apply(patches.OTHERS)
    return ", ".join(_versions())


def instrument_entrances() -> None:
    """Apply only the patches for our own pages and for lifespans."""
    use_resolver(StarletteRoutes())
    patches.apply(patches.ENTRANCES)


def instrument_with_contrib(context: Context) -> None:
    """The same, and OpenTelemetry's FastAPI instrumentation for the requests."""
    instrument_entrances()
    other_telemetry.instrument_contrib(context)


def uninstrument() -> None:
    """Undo all of it."""
    patches.remove()
    other_telemetry.uninstrument_contrib()


def _versions() -> Iterator[str]:
    for name in ("FastAPI", "Starlette"):
        version = version_of(name.lower())
        if version is not None:
            yield f"{name} {version}"
