"""The ends of an application's lifespan: the process it is served by, and the last moment before that may be killed.

uvicorn raises SIGTERM again when the lifespan is over, so `atexit` never runs (uvicorn 0.54, `Server.capture_signals`).
"""

from __future__ import annotations

from blogauto_otel._guard import swallow
from blogauto_otel.instrumentation.server import hooks
from blogauto_otel.instrumentation.server.types import ASGIApp, Message, Receive, Scope, Send

_ENDS = frozenset({"lifespan.shutdown.complete", "lifespan.shutdown.failed", "lifespan.startup.failed"})


async def watch(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run a lifespan, and what waits for its end before the server learns of it; also when the application raises."""
    is_told = False

    async def telling(message: Message) -> None:
        nonlocal is_told
        if message["type"] == "lifespan.startup.complete":
            hooks.lifespan_began()
        if message["type"] in _ENDS and not is_told:
            is_told = True
            await _log_once()
        await send(message)

    try:
        await app(scope, receive, telling)
    except GeneratorExit:  # nothing can be awaited any more
        raise
    except BaseException:
        if not is_told:
            await _log_once()
        raise
    if not is_told:
        await _log_once()


async def _log_once() -> None:
    """In a thread, because it may take seconds; with a limiter of its own, because all others may be taken by then."""
    try:
        from anyio import CapacityLimiter, to_thread

        try:
            await to_thread.run_sync(hooks.lifespan_ended, limiter=CapacityLimiter(1))
        except RuntimeError:  # no thread can be had; the application has ended, and nobody is held up
            hooks.lifespan_ended()
    except Exception as error:
        if not swallow("the end of the lifespan", error):
            raise
