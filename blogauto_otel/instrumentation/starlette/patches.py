"""What is changed in Starlette, FastAPI and uvicorn's supervisors, class by class, and put back: one table.

The classes are changed when their module is imported, or at once when it is: importing a web framework for a process
that serves nothing would cost it a third of a second, and importing it before the application does can change its
behaviour (gevent's monkey patching).
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from blogauto_otel._guard import guard, log_once, swallow
from blogauto_otel.instrumentation.patching import when_imported
from blogauto_otel.instrumentation.server import middleware
from blogauto_otel.instrumentation.server.request import current
from blogauto_otel.instrumentation.server.types import Receive, Scope, Send
from blogauto_otel.instrumentation.starlette import background, native_telemetry

Function = Callable[..., Any]


# --- what the changed functions do ------------------------------------------------------------------------------------


def _noting_route(handle: Function) -> Function:
    @functools.wraps(handle)
    def noting(self: Any, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        request = current.get()
        if request is not None:
            try:
                request.end_at(self, scope)
            except BaseException as error:
                if not swallow("noting a route", error):
                    raise
        coroutine: Awaitable[None] = handle(self, scope, receive, send)
        return coroutine

    return noting


def _noting_mount(handle: Function) -> Function:
    @functools.wraps(handle)
    def noting(self: Any, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        request = current.get()
        if request is not None:
            with guard("noting a mount"):
                request.pass_mount(self, scope)
        coroutine: Awaitable[None] = handle(self, scope, receive, send)
        return coroutine

    return noting


def _noting_exception(is_async_callable: Function) -> Function:
    """Starlette asks this of each exception handler right before it calls it, while the exception is being handled."""

    @functools.wraps(is_async_callable)
    def noting(handler: Any) -> Any:
        request = current.get()
        if request is not None:
            request.handled = sys.exc_info()[1]
        return is_async_callable(handler)

    return noting


def _in_a_span(call: Function) -> Function:
    @functools.wraps(call)
    async def __call__(self: Any) -> None:  # noqa: N807
        request, observer = current.get(), middleware.observer
        if request is None or observer is None:
            await call(self)
        else:
            await background.run(observer, request, self, call)

    return __call__


def _supervising(run: Function) -> Function:
    """Around the parent of workers, or of the process that is reloaded: it answers no request itself."""

    @functools.wraps(run)
    def running(self: Any, *args: Any, **kwargs: Any) -> Any:
        log_once(
            "supervises",
            "this process supervises uvicorn's workers and serves nothing itself: each of them configures telemetry as "
            "it imports the application, so configure() must not stand under `if __name__ == '__main__'`",
            level=logging.INFO,
        )
        return run(self, *args, **kwargs)

    return running


@dataclass(frozen=True)
class Patch:
    """One function of a class or module, and what is put around it."""

    module: str
    owner: str | None
    function: str
    around: Callable[[Function], Function]


PATCHES: Final = (
    Patch("starlette.applications", "Starlette", "__call__", middleware.around),
    Patch("fastapi.applications", "FastAPI", "__call__", middleware.around),  # outside of its own telemetry
    Patch("starlette.routing", "Route", "handle", _noting_route),
    Patch("starlette.routing", "WebSocketRoute", "handle", _noting_route),
    Patch("starlette.routing", "Mount", "handle", _noting_mount),
    Patch("fastapi.routing", "APIRoute", "handle", _noting_route),  # since 0.137 it does not always call its parent's
    Patch("starlette._exception_handler", None, "is_async_callable", _noting_exception),
    Patch("starlette.background", "BackgroundTask", "__call__", _in_a_span),
    Patch("uvicorn.supervisors.multiprocess", "Multiprocess", "run", _supervising),
    Patch("uvicorn.supervisors.basereload", "BaseReload", "run", _supervising),
)


# What serving pages of our own and watching the lifespan takes, without watching requests.
ENTRANCES: Final = tuple(patch for patch in PATCHES if patch.around in (middleware.around, _supervising))


# --- changing and putting back ----------------------------------------------------------------------------------------

_wanted = False
_originals: Final[dict[Patch, tuple[Any, Function, Function]]] = {}


def apply(patches: Iterable[Patch] = PATCHES) -> None:
    """Change what is imported now, and the rest when it is imported."""
    global _wanted
    _wanted = True
    for patch in patches:
        when_imported(patch.module, functools.partial(_change, patch))


def remove() -> None:
    """Put back what is still ours; what somebody wrapped since stays, and passes everything through."""
    global _wanted
    _wanted = False
    for patch, (owner, original, ours) in reversed(tuple(_originals.items())):
        if vars(owner).get(patch.function) is ours:
            setattr(owner, patch.function, original)
            _originals.pop(patch)


def _change(patch: Patch, module: ModuleType) -> None:
    if not _wanted or patch in _originals:
        return
    with guard(f"instrumenting {patch.module}"):
        owner = module if patch.owner is None else getattr(module, patch.owner, None)
        original = vars(owner).get(patch.function) if owner is not None else None
        if original is None:
            _say_if_missed(patch)
            return
        ours = patch.around(original)
        setattr(owner, patch.function, ours)
        _originals[patch] = (owner, original, ours)
        if patch.owner == "FastAPI":
            _check_native_telemetry(owner, original)


def _check_native_telemetry(fastapi: Any, call: Function) -> None:
    if not native_telemetry.native_is_suppressed(fastapi, call, {native_telemetry.KEY: None}):
        log_once(
            "native telemetry",
            "this FastAPI's own telemetry does not stand down, so requests are told twice; switch it off with "
            'FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})',
        )


def _say_if_missed(patch: Patch) -> None:
    # Before 0.137 APIRoute inherits `handle`; of a supervisor that is not there nothing has to be said.
    if patch.owner == "APIRoute" or patch.around is _supervising:
        return
    name = ".".join(filter(None, (patch.module, patch.owner, patch.function)))
    log_once(f"no {name}", "%s does not exist in this version; request telemetry will be incomplete", name)
