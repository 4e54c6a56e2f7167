"""Other request telemetry: FastAPI's own, which is suppressed for instrumented requests, and OpenTelemetry contrib's.

FastAPI (0.142 and later) omits its own telemetry for a request whose scope has the key `fastapi.telemetry`. That is not
documented, so it is tested on the installed FastAPI.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from importlib import util
from typing import Any, Final

from blogauto_otel import _process
from blogauto_otel.instrumentation import Context, conventions
from blogauto_otel.instrumentation.server.types import MARK, Scope

NATIVE_KEY: Final = "fastapi.telemetry"
CONTRIB: Final = "opentelemetry.instrumentation.fastapi"
_CONTRIB_PACKAGES: Final = ("fastapi", "asgi")  # the first creates the second's middleware


class _State:
    is_contrib_on = False


_state: Final = _process.register(_State())


# --- FastAPI's own ----------------------------------------------------------------------------------------------------


class _Probe:
    """Replaces FastAPI's telemetry, switched on, and records whether it is called."""

    is_called = False

    def enabled(self) -> bool:
        return True

    async def __call__(self, **_: object) -> None:
        self.is_called = True


def native_is_suppressed(
    fastapi: Callable[..., Any], call: Callable[..., Coroutine[Any, Any, None]], scope: Scope
) -> bool:
    """Whether this FastAPI omits its own telemetry for a request with this `scope`."""
    app = fastapi(openapi_url=None)
    if not hasattr(app, "_native_telemetry"):
        return True
    probe = app._native_telemetry = _Probe()

    async def answer(*_: object) -> None:
        pass

    app.middleware_stack = answer
    # As complete as a server's, because other wrappers may read it.
    request = {"method": "GET", "path": "/", "root_path": "", "query_string": b"", "headers": [], MARK: True}
    running = call(app, {"type": "http", **request, **scope}, None, None)
    try:
        running.send(None)  # nothing in it waits, so one step is all of it
    except StopIteration:
        return not probe.is_called
    running.close()
    return False


# --- contrib's --------------------------------------------------------------------------------------------------------


def is_contrib_installed() -> bool:
    """Whether OpenTelemetry's FastAPI instrumentation is installed."""
    return util.find_spec("opentelemetry.instrumentation") is not None and util.find_spec(CONTRIB) is not None


def instrument_contrib(context: Context) -> None:
    """Switch it on with the stable conventions and without a span per ASGI message."""
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    conventions.prefer_stable(*_CONTRIB_PACKAGES)
    _state.is_contrib_on = True
    FastAPIInstrumentor().instrument(
        tracer_provider=context.tracer_provider,
        meter_provider=context.meter_provider,
        exclude_spans=["send", "receive"],
    )


def uninstrument_contrib() -> None:
    """Switch it off, if we switched it on."""
    if not _state.is_contrib_on:
        return
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    _state.is_contrib_on = False
    conventions.forget(*_CONTRIB_PACKAGES)
    FastAPIInstrumentor().uninstrument()
