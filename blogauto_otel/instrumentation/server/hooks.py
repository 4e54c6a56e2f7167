"""Callbacks of the request path: lifespan start and end, and failed requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from opentelemetry.trace import Span, get_current_span

from blogauto_otel import _process
from blogauto_otel._guard import guard, swallow
from blogauto_otel.instrumentation.server.exceptions import is_client_disconnect
from blogauto_otel.instrumentation.server.request_context import reset_variables, set_variables
from blogauto_otel.instrumentation.server.types import ASGIApp, Message, Receive, Scope, Send

LifespanCallback: TypeAlias = Callable[[], None]
ErrorCallback: TypeAlias = Callable[[BaseException, Span], None]
RequestCallback: TypeAlias = Callable[[Span, Scope], None]
ResponseCallback: TypeAlias = Callable[[Span, Scope, int], None]

_LIFESPAN_ENDS: Final = frozenset({"lifespan.shutdown.complete", "lifespan.shutdown.failed", "lifespan.startup.failed"})


class _State:
    """What is registered; it stays registered when requests are no longer instrumented."""

    def __init__(self) -> None:
        self.lifespan_startup: list[LifespanCallback] = []
        self.lifespan_shutdown: list[LifespanCallback] = []
        self.request_error: list[ErrorCallback] = []
        self.request: tuple[RequestCallback, ...] = ()
        self.response: tuple[ResponseCallback, ...] = ()


state: Final = _process.register(_State())


def on_lifespan_startup(callback: LifespanCallback) -> None:
    """Call `callback` when an application has started, before the server is notified.

    It must not block. Registered twice, it is called once.
    """
    if callback not in state.lifespan_startup:
        state.lifespan_startup.append(callback)


def on_lifespan_shutdown(callback: LifespanCallback) -> None:
    """Call `callback` in a thread when an application's lifespan ends, before the server is notified.

    The server waits for it, so the callback must limit its own time. Registered twice, it is called once.
    """
    if callback not in state.lifespan_shutdown:
        state.lifespan_shutdown.append(callback)


def on_request_error(callback: ErrorCallback) -> None:
    """Call `callback` with the exception and the span of each request that an exception failed; the span is still open.

    For a request that was not sampled, the span stores attributes for the deferred span.
    """
    if callback not in state.request_error:
        state.request_error.append(callback)


def remove_on_request_error(callback: ErrorCallback) -> None:
    """Remove a callback of `on_request_error`."""
    if callback in state.request_error:
        state.request_error.remove(callback)


def on_request(callback: RequestCallback) -> None:
    """Call `callback` with the server span and the ASGI scope when a request begins.

    contrib calls it `server_request_hook`. For an unsampled request it is called only when a deferred span is written,
    right before that. What it raises is swallowed and counted.
    """
    if callback not in state.request:
        state.request = (*state.request, callback)


def on_response(callback: ResponseCallback) -> None:
    """Call `callback` with the server span, the ASGI scope and the status code when the response begins.

    For an unsampled request it is called like `on_request`.
    """
    if callback not in state.response:
        state.response = (*state.response, callback)


def remove(callback: Callable[..., None]) -> None:
    """Remove a callback of `on_request` or `on_response`."""
    state.request = tuple(known for known in state.request if known != callback)
    state.response = tuple(known for known in state.response if known != callback)


def request_started(span: Span, scope: Scope) -> None:
    """Call every callback of `on_request`."""
    for callback in state.request:
        try:
            callback(span, scope)
        except BaseException as error:
            if not swallow("a request hook", error):
                raise


def response_started(span: Span, scope: Scope, code: int) -> None:
    """Call every callback of `on_response`."""
    for callback in state.response:
        try:
            callback(span, scope, code)
        except BaseException as error:
            if not swallow("a response hook", error):
                raise


def has_response_callbacks() -> bool:
    """Whether `on_response` has callbacks."""
    return bool(state.response)


def request_failed(error: BaseException, span: Span) -> None:
    """Call every callback of `on_request_error`."""
    for callback in tuple(state.request_error):
        with guard("reporting a failed request"):
            callback(error, span)


async def call_uninstrumented(
    call: Callable[[Any, Scope, Receive, Send], Awaitable[None]], app: Any, scope: Scope, receive: Receive, send: Send
) -> None:
    """Call an application without instrumentation; exceptions that it does not handle are reported to the callbacks."""
    tokens = set_variables()
    try:
        await call(app, scope, receive, send)
    except Exception as error:
        if not is_client_disconnect(error):
            request_failed(error, get_current_span())
        raise
    finally:
        if tokens:
            reset_variables(tokens)


# --- the lifespan -----------------------------------------------------------------------------------------------------


async def run_lifespan(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run a lifespan with its callbacks; those of its end run before the server is notified, also after an exception.

    uvicorn raises SIGTERM again when the lifespan is over, so `atexit` never runs (uvicorn 0.54,
    `Server.capture_signals`).
    """
    has_ended = False

    async def send_after_callbacks(message: Message) -> None:
        nonlocal has_ended
        if message["type"] == "lifespan.startup.complete":
            _run("the beginning of the lifespan", state.lifespan_startup)
        if message["type"] in _LIFESPAN_ENDS and not has_ended:
            has_ended = True
            await _run_shutdown_in_thread()
        await send(message)

    try:
        await app(scope, receive, send_after_callbacks)
    except GeneratorExit:  # nothing can be awaited any more
        raise
    except BaseException:
        if not has_ended:
            await _run_shutdown_in_thread()
        raise
    if not has_ended:
        await _run_shutdown_in_thread()


async def _run_shutdown_in_thread() -> None:
    """In a thread, because it may take seconds; with its own limiter, because every other one may be exhausted."""
    try:
        from anyio import CapacityLimiter, to_thread

        try:
            await to_thread.run_sync(_run_shutdown, limiter=CapacityLimiter(1))
        except RuntimeError:  # no thread can be started; the application has ended, so nothing is held up
            _run_shutdown()
    except Exception as error:
        if not swallow("the end of the lifespan", error):
            raise


def _run_shutdown() -> None:
    _run("the end of the lifespan", state.lifespan_shutdown)


def _run(where: str, callbacks: list[LifespanCallback]) -> None:
    for callback in tuple(callbacks):
        with guard(where):
            callback()
