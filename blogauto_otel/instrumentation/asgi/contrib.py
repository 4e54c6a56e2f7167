"""Requests watched by OpenTelemetry's FastAPI instrumentation, for those who prefer it."""

from __future__ import annotations

import os
from importlib import util
from typing import Final

from blogauto_otel.instrumentation import Context

PACKAGE: Final = "opentelemetry.instrumentation.fastapi"
_SEMCONV: Final = "OTEL_SEMCONV_STABILITY_OPT_IN"


def is_installed() -> bool:
    """Whether the package is there."""
    return util.find_spec("opentelemetry.instrumentation") is not None and util.find_spec(PACKAGE) is not None


def instrument(context: Context) -> None:
    """Switch it on with the stable conventions and without a span per ASGI message, its best settings."""
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    chosen = {word for word in os.environ.get(_SEMCONV, "").split(",") if word}
    if not chosen & {"http", "http/dup"}:  # read once per process, at the first instrumentation
        os.environ[_SEMCONV] = ",".join(sorted({*chosen, "http"}))
    FastAPIInstrumentor().instrument(
        tracer_provider=context.tracer_provider,
        meter_provider=context.meter_provider,
        exclude_spans=["send", "receive"],
    )


def uninstrument() -> None:
    """Switch it off again."""
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    FastAPIInstrumentor().uninstrument()
