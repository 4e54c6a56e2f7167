"""The way through us: what happens between the server and the outermost application, by kind of connection."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from opentelemetry.context import get_current
from opentelemetry.trace import get_current_span

from blogauto_otel._guard import guard
from blogauto_otel.instrumentation.server import hooks, lifespan, pages
from blogauto_otel.instrumentation.server.instrumentation import Observer
from blogauto_otel.instrumentation.server.request import is_client_disconnect
from blogauto_otel.instrumentation.server.types import MARK, ASGIApp, Receive, Scope, Send
from blogauto_otel.instrumentation.starlette import native_telemetry
from blogauto_otel.instrumentation.suppression import is_http_suppressed

# Who watches requests; None while nobody does, when all that is left to us are our own pages and the lifespan.
observer: Observer | None = None

Call = Callable[[Any, Scope, Receive, Send], Awaitable[None]]


def around(call: Call) -> Call:
    """Wrap `__call__` of an application class, so that it does not matter when applications are made.

    It is a coroutine function, because servers look at it to tell ASGI 3 from ASGI 2.
    """

    @functools.wraps(call)
    async def __call__(self: Any, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: N807
        if MARK in scope:  # mounted in an application that has seen this request already
            await call(self, scope, receive, send)
            return
        scope[MARK] = True
        try:
            other = _not_a_request(call, self, scope)
            if other is not None:
                await other(scope, receive, send)
                return
            if is_http_suppressed(get_current()):
                scope.setdefault(native_telemetry.KEY, None)
                await _unwatched(call, self, scope, receive, send)
                return
            watching = observer
            request = watching.begin(scope, receive, send) if watching is not None else None
            if watching is None or request is None:
                await _unwatched(call, self, scope, receive, send)
                return
            scope.setdefault(native_telemetry.KEY, None)
            try:
                await call(self, scope, request.receive, request.send)
            except BaseException as error:
                watching.fail(request, error)
                raise
            finally:
                watching.close(request)
        finally:
            scope.pop(MARK, None)  # an application may have emptied it
            if scope.get(native_telemetry.KEY, scope) is None:
                del scope[native_telemetry.KEY]

    return __call__


async def _unwatched(call: Call, app: Any, scope: Scope, receive: Receive, send: Send) -> None:
    """A request that somebody else watches, or nobody: who wants to know of failures is told of the unhandled ones."""
    tokens = hooks.enter_request()
    try:
        await call(app, scope, receive, send)
    except Exception as error:
        if not is_client_disconnect(error):
            hooks.request_failed(error, get_current_span())
        raise
    finally:
        if tokens:
            hooks.leave_request(tokens)


def _not_a_request(call: Call, app: Any, scope: Scope) -> ASGIApp | None:
    """Who answers what is no request to the application: a page of ours, a lifespan, a kind that we do not know."""
    kind = scope.get("type")
    if kind == "http":
        page, is_left = None, False
        with guard("looking for a page of ours"):
            page = hooks.page_for(scope, app)
            is_left = page is not None and pages.are_left_to(app, scope)
        if page is None:
            return None
        if is_left:
            if observer is not None:  # neither measured nor traced, whoever answers
                scope.setdefault(native_telemetry.KEY, None)
            return functools.partial(pages.own_first, functools.partial(_unwatched, call, app), page, app)
        return functools.partial(pages.answer, page)
    if kind == "websocket":
        return None
    alone = functools.partial(call, app)
    return functools.partial(lifespan.watch, alone) if kind == "lifespan" else alone
