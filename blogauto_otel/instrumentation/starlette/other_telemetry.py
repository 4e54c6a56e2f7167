"""Other request telemetry: FastAPI's own, Starlette's and contrib's middlewares, and asgi-correlation-id.

Only one of two instrumentations records a request, so that it has one server span and one id: ours, unless the
application gave the other a provider of its own. The status says which.

FastAPI (0.142 and later) omits its own telemetry for a request whose scope has the key `fastapi.telemetry`. That is not
documented, so it is tested on the installed FastAPI.
"""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Awaitable, Callable, Coroutine
from importlib import util
from typing import Any, Final, TypeAlias

from blogauto_otel import _process
from blogauto_otel._guard import guard
from blogauto_otel.instrumentation import Context, conventions
from blogauto_otel.instrumentation.server.instrumentation import note_other, state
from blogauto_otel.instrumentation.server.request import Request, current
from blogauto_otel.instrumentation.server.types import MARK, ASGIApp, Receive, Scope, Send

NATIVE_KEY: Final = "fastapi.telemetry"
CONTRIB: Final = "opentelemetry.instrumentation.fastapi"
_PROVIDERS: Final = ("tracer_provider", "meter_provider", "logger_provider")

Call: TypeAlias = Callable[[Any, Scope, Receive, Send], Awaitable[None]]
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


def own_telemetry(app: Any) -> bool | None:
    """Whether this FastAPI application makes spans with its own telemetry; None unless it was given another provider.

    A provider that the application passed itself keeps working.
    """
    config = getattr(app, "_telemetry", None)
    # Asked in C first, because every request asks and nearly no application has one.
    if type(config) is not dict or not any(map(config.get, _PROVIDERS)) or state.active is None:
        return None
    for kind in _PROVIDERS:
        provider = config.get(kind)
        if provider is not None and not any(provider is ours for ours in state.active.providers):
            return bool(config.get("tracing", True))
    return None


# --- middlewares ------------------------------------------------------------------------------------------------------


def pass_through(call: Call) -> Call:
    """Wrap `__call__` of Starlette's or contrib's middleware, which makes no span for a request that has ours."""

    @functools.wraps(call)
    async def __call__(self: Any, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: N807
        request = current()
        if request is None or MARK not in scope or _has_own_provider(self):
            await call(self, scope, receive, send)
            return
        note_other(f"{type(self).__module__}.{type(self).__name__}", "is passed over, because we make the server spans")
        hook = getattr(self, "server_request_hook", None)
        if request.recording and callable(hook):
            with guard("a request hook"):
                hook(request.span, scope)
        await self.app(scope, receive, send)

    return __call__


def _has_own_provider(middleware: Any) -> bool:
    """Whether the application gave this middleware a tracer provider that is not ours."""
    if state.active is None:
        return True
    with guard("looking at the tracer of a middleware"):
        provider = getattr(middleware, "_tracer_provider", None)  # Starlette's
        tracer = getattr(middleware, "tracer", None) if provider is None else provider.get_tracer("blogauto_otel")
        processor = getattr(tracer, "span_processor", None)  # a tracer from before `configure()` has none
        return processor is not None and processor is not getattr(state.active.tracer, "span_processor", None)
    return True


def adopt_correlation_id(call: Call) -> Call:
    """Wrap `__call__` of asgi-correlation-id's middleware: the id that it chooses becomes the request's."""

    @functools.wraps(call)
    async def __call__(self: Any, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: N807
        request = current()
        if request is None:
            await call(self, scope, receive, send)
            return
        adopting = copy.copy(self)
        adopting.app = functools.partial(_adopt, request, self.app)
        await call(adopting, scope, receive, send)

    return __call__


async def _adopt(request: Request, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    with guard("taking over a correlation id"):
        chosen = sys.modules["asgi_correlation_id.context"].correlation_id.get()
        if chosen:
            request.adopt_id(chosen)
            note_other("asgi-correlation-id", "chooses the request ids")
    await app(scope, receive, send)


# --- contrib's instrumentor -------------------------------------------------------------------------------------------


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
