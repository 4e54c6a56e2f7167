"""Propagators: they carry trace context and baggage between processes."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from blogauto_otel import plugins
from blogauto_otel._guard import log_once
from blogauto_otel.errors import NotInstalledError

if TYPE_CHECKING:
    from opentelemetry.propagators.textmap import TextMapPropagator

VARIABLE = "OTEL_PROPAGATORS"


def import_safely() -> None:
    """Import `opentelemetry.propagate`, which raises at import when the variable names one that is not installed.

    In that case the variable is removed from the environment for the time of a second attempt.
    """
    if "opentelemetry.propagate" in sys.modules:
        return
    try:
        import opentelemetry.propagate
    except (Exception, SystemExit):
        named = os.environ.pop(VARIABLE, None)
        if named is None:
            raise
        try:
            import opentelemetry.propagate  # noqa: F401
        finally:
            os.environ[VARIABLE] = named


def build_propagator(names: tuple[str, ...]) -> TextMapPropagator:
    """Compose the named propagators; `none` is no propagation, an unknown name is logged and skipped."""
    from opentelemetry.propagators.composite import CompositePropagator

    if "none" in names:
        return CompositePropagator([])
    return CompositePropagator([found for name in dict.fromkeys(names) if (found := _load(name)) is not None])


def _load(name: str) -> TextMapPropagator | None:

    try:
        propagator: TextMapPropagator = plugins.load("opentelemetry_propagator", name)()
        return propagator
    except NotInstalledError:
        reason = "no such propagator is installed"
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
        reason = f"it does not load ({type(error).__name__})"
    log_once(f"propagator {name}", "%s=%r: %s; using the others", VARIABLE, name, reason)
    return None
