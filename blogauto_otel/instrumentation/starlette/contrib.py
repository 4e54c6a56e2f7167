"""Requests watched by OpenTelemetry's FastAPI instrumentation, for those who prefer it."""

from __future__ import annotations

from importlib import util
from typing import Final

from blogauto_otel.instrumentation import Context, conventions

PACKAGE: Final = "opentelemetry.instrumentation.fastapi"
_PACKAGES: Final = ("fastapi", "asgi")  # the first creates the second's middleware


def is_installed() -> bool:
    """Whether the package is there."""
    return util.find_spec("opentelemetry.instrumentation") is not None and util.find_spec(PACKAGE) is not None


def instrument(context: Context) -> None:
    """Switch it on with the stable conventions and without a span per ASGI message, its best settings."""
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    conventions.prefer_stable(*_PACKAGES)
    FastAPIInstrumentor().instrument(
        tracer_provider=context.tracer_provider,
        meter_provider=context.meter_provider,
        exclude_spans=["send", "receive"],
    )


def uninstrument() -> None:
    """Switch it off again."""
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    conventions.forget(*_PACKAGES)
    FastAPIInstrumentor().uninstrument()
