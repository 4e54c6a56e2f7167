"""The wrapper around an ASGI application's `__call__`: what it does with each kind of scope."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from opentelemetry.context import Context

from blogauto_otel._otel import current_context
from blogauto_otel._suppression import is_http_suppressed
from blogauto_otel.instrumentation.server import hooks, pages
from blogauto_otel.instrumentation.server.instrumentation import ServerInstrumentation, state
from blogauto_otel.instrumentation.server.types import MARK, ASGIApp, Receive, Scope, Send

# Attribute of an application that is not instrumented.
EXCLUDED: Final = "blogauto_otel_excluded"

Call: TypeAlias = Callable[[Any, Scope, Receive, Send], Awaitable[None]]


def wrap_asgi_call(  # noqa: C901 - flat, because every request takes it
    call: Call, own_telemetry: Callable[[Any], bool | None] | None = None
) -> Call:
    """Wrap `__call__` of an application class, so that applications made earlier are covered too.

    The wrapper is a coroutine function, because servers recognise ASGI 3 by it.

    Args:
        call: The function.
        own_telemetry: Whether an application makes the server spans of its requests with a provider of its own; None if
            it has no telemetry of its own.
    """

    @functools.wraps(call)
    async def __call__(  # noqa: C901, N807 - flat, because every request takes it
        self: Any, scope: Scope, receive: Receive, send: Send
    ) -> None:
        is_traced = own_telemetry(self) if own_telemetry is not None else None
        if MARK in scope:  # mounted in an instrumented application
            if is_traced is not None and scope[MARK]:
                _allow_other_telemetry(scope)
            await call(self, scope, receive, send)
            return
        scope[MARK] = is_traced is None  # whether the keys for other telemetry are ours, not the application's
        server, outer = state.active, current_context()
        try:
            if (  # else `_uninstrumented` returns None, so it is not called for nearly every request
                outer or server is None or server.excluded is not None or scope.get("type") != "http"
                or scope.get("path", "").endswith(pages.state.endings) or getattr(self, EXCLUDED, False)
            ):  # fmt: skip
                other = _uninstrumented(call, self, scope, server, outer)
                if other is not None:
                    await other(scope, receive, send)
                    return
            request = server.begin(scope, receive, send, outer, is_traced=bool(is_traced)) if server else None
            if server is None or request is None:
                await hooks.call_uninstrumented(call, self, scope, receive, send)
                return
            keys = state.suppression_keys
            if keys and is_traced is None:
                for key in keys:
                    scope.setdefault(key, None)
            try:
                await call(self, scope, request.receive, request.send)
            except BaseException as error:
                server.fail(request, error)
                raise
            finally:
                server.close(request)
        finally:
            scope.pop(MARK, None)  # an application may have emptied it
            for key in state.suppression_keys:
                if scope.get(key, scope) is None:
                    del scope[key]

    return __call__


class InstrumentedApp:
    """An ASGI application of any framework, instrumented while `configure()` is in force."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    @wrap_asgi_call
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application."""
        await self.app(scope, receive, send)

    def __getattr__(self, name: str) -> Any:
        """Attributes of the application, such as its `state`."""
        if name == "app":  # not set yet, as while it is unpickled
            raise AttributeError(name)
        return getattr(self.app, name)


def _uninstrumented(
    call: Call, app: Any, scope: Scope, server: ServerInstrumentation | None, outer: Context
) -> ASGIApp | None:
    """Who answers a scope that is not instrumented as a request; None for those that are."""
    kind = scope.get("type")
    if kind == "http":
        page = pages.find(scope, call, app) if scope.get("path", "").endswith(pages.state.endings) else None
        if page is not None:
            _suppress_other_telemetry(scope)
            return page
    elif kind == "lifespan":
        return functools.partial(hooks.run_lifespan, functools.partial(call, app))
    elif kind != "websocket":
        return functools.partial(call, app)
    if (outer and is_http_suppressed(outer)) or (
        server is not None
        and (getattr(app, EXCLUDED, False) is True or (server.excluded is not None and server.excludes(scope)))
    ):
        _suppress_other_telemetry(scope)
        return functools.partial(hooks.call_uninstrumented, call, app)
    return None


def _suppress_other_telemetry(scope: Scope) -> None:
    """Set the keys by which frameworks switch off telemetry of their own for one request."""
    if state.active is not None:
        for key in state.suppression_keys:
            scope.setdefault(key, None)


def _allow_other_telemetry(scope: Scope) -> None:
    """Remove the keys that we have set, once: what is set from now on is the application's."""
    scope[MARK] = False
    for key in state.suppression_keys:
        if scope.get(key, scope) is None:
            del scope[key]
