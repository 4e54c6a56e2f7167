"""Patches of Starlette, FastAPI and uvicorn's supervisors: one table, applied and removed.

A class is patched when its module is imported, at once if it already is. We do not import a web framework: that costs
a process that serves nothing a third of a second, and importing it before the application does can change its
behaviour (gevent's monkey patching).
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable
from types import ModuleType
from typing import Any, Final

from blogauto_otel import _process
from blogauto_otel._dataclass import dataclass
from blogauto_otel._guard import guard, log_once
from blogauto_otel.api.context import SCOPE
from blogauto_otel.instrumentation.import_hooks import when_imported
from blogauto_otel.instrumentation.server.instrumentation import state
from blogauto_otel.instrumentation.server.middleware import wrap_asgi_call
from blogauto_otel.instrumentation.server.request import Request, current
from blogauto_otel.instrumentation.server.types import Receive, Scope, Send
from blogauto_otel.instrumentation.starlette import background, other_telemetry
from blogauto_otel.instrumentation.starlette.routes import mount_prefix

Function = Callable[..., Any]


# --- the wrappers -----------------------------------------------------------------------------------------------------


def _wrap_fastapi_call(call: Function) -> Function:
    return wrap_asgi_call(call, other_telemetry.own_telemetry)


def _note_route(handle: Function) -> Function:
    @functools.wraps(handle)
    def recording(self: Any, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        request = SCOPE.get()
        if isinstance(request, Request):
            request.route, request.route_scope = self, scope
        coroutine: Awaitable[None] = handle(self, scope, receive, send)
        return coroutine

    return recording


def _note_mount(handle: Function) -> Function:
    @functools.wraps(handle)
    def recording(self: Any, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        request = current()
        if request is not None:
            with guard("recording a mount"):
                request.enter_mount(self, mount_prefix(self), scope)
        coroutine: Awaitable[None] = handle(self, scope, receive, send)
        return coroutine

    return recording


def _note_exception(is_async_callable: Function) -> Function:
    """Starlette asks this of each exception handler right before it calls it, while the exception is being handled."""

    @functools.wraps(is_async_callable)
    def recording(handler: Any) -> Any:
        request = current()
        if request is not None:
            request.handled = sys.exc_info()[1]
        return is_async_callable(handler)

    return recording


def _trace_background_task(call: Function) -> Function:
    @functools.wraps(call)
    async def __call__(self: Any) -> None:  # noqa: N807
        request, server = current(), state.active
        if request is None or server is None:
            await call(self)
        else:
            await background.run(server, request, self, call)

    return __call__


def _log_supervisor(run: Function) -> Function:
    """For the parent of workers, or of a reloaded process, which serves no requests itself."""

    @functools.wraps(run)
    def running(self: Any, *args: Any, **kwargs: Any) -> Any:
        log_once(
            "supervises",
            "this process supervises uvicorn's workers and serves nothing itself: each of them configures telemetry as "
            "it imports the application, so configure() must not be called under `if __name__ == '__main__'`",
            level=logging.INFO,
        )
        return run(self, *args, **kwargs)

    return running


@dataclass(frozen=True)
class Patch:
    """One function of a class or module, and its wrapper."""

    module: str
    owner: str | None
    function: str
    wrap: Callable[[Function], Function]


PATCHES: Final = (
    Patch("starlette.applications", "Starlette", "__call__", wrap_asgi_call),
    Patch("fastapi.applications", "FastAPI", "__call__", _wrap_fastapi_call),  # outside its own telemetry
    Patch("starlette.routing", "Route", "handle", _note_route),
    Patch("starlette.routing", "WebSocketRoute", "handle", _note_route),
    Patch("starlette.routing", "Mount", "handle", _note_mount),
    Patch("fastapi.routing", "APIRoute", "handle", _note_route),  # since 0.137 it does not always call its parent's
    Patch("starlette._exception_handler", None, "is_async_callable", _note_exception),
    Patch("starlette.background", "BackgroundTask", "__call__", _trace_background_task),
    Patch("uvicorn.supervisors.multiprocess", "Multiprocess", "run", _log_supervisor),
    Patch("uvicorn.supervisors.basereload", "BaseReload", "run", _log_supervisor),
)


# The patches for our own pages and for lifespans, without requests.
_ENTRANCE_WRAPPERS: Final = (wrap_asgi_call, _wrap_fastapi_call, _log_supervisor)
ENTRANCES: Final = tuple(patch for patch in PATCHES if patch.wrap in _ENTRANCE_WRAPPERS)

# Middlewares that cover the same requests.
OTHERS: Final = (
    Patch("starlette.middleware.opentelemetry", "OpenTelemetryMiddleware", "__call__", other_telemetry.pass_through),
    Patch("opentelemetry.instrumentation.asgi", "OpenTelemetryMiddleware", "__call__", other_telemetry.pass_through),
    Patch(
        "asgi_correlation_id.middleware", "CorrelationIdMiddleware", "__call__", other_telemetry.adopt_correlation_id
    ),
)


# --- applying and removing --------------------------------------------------------------------------------------------


class _State:
    def __init__(self) -> None:
        self.is_on = False
        self.originals: dict[Patch, tuple[Any, Function, Function]] = {}  # owner, original, ours


_state: Final = _process.register(_State())


def apply(patches: Iterable[Patch] = PATCHES) -> None:
    """Patch what is imported now, and the rest when it is imported."""
    _state.is_on = True
    for patch in patches:
        when_imported(patch.module, functools.partial(_patch, patch))


def remove() -> None:
    """Restore the originals; a patch that others have wrapped since stays in place and passes every call through."""
    _state.is_on = False
    for patch, (owner, original, ours) in reversed(tuple(_state.originals.items())):
        if vars(owner).get(patch.function) is ours:
            setattr(owner, patch.function, original)
            _state.originals.pop(patch)


def _patch(patch: Patch, module: ModuleType) -> None:
    if not _state.is_on or patch in _state.originals:
        return
    with guard(f"instrumenting {patch.module}"):
        owner = module if patch.owner is None else getattr(module, patch.owner, None)
        original = vars(owner).get(patch.function) if owner is not None else None
        if original is None:
            _log_if_missing(patch)
            return
        ours = patch.wrap(original)
        setattr(owner, patch.function, ours)
        _state.originals[patch] = (owner, original, ours)
        if patch.owner == "FastAPI":
            _check_native_telemetry(owner, original)


def _check_native_telemetry(fastapi: Any, call: Function) -> None:
    if not other_telemetry.native_is_suppressed(fastapi, call, {other_telemetry.NATIVE_KEY: None}):
        log_once(
            "native telemetry",
            "FastAPI's own telemetry cannot be suppressed, so requests are reported twice; switch it off with "
            'FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})',
        )


def _log_if_missing(patch: Patch) -> None:
    # Before 0.137 APIRoute inherits `handle`; a missing supervisor loses no telemetry.
    if patch.owner == "APIRoute" or patch.wrap is _log_supervisor:
        return
    name = ".".join(filter(None, (patch.module, patch.owner, patch.function)))
    log_once(f"no {name}", "%s does not exist in this version; request telemetry will be incomplete", name)
