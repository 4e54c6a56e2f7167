"""Our own pages, such as /metrics: each is answered by the application where it has a working route, else by us.

The routing table says whether it has a route, and the first response whether the route works (docs/decisions/0051).
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from blogauto_otel import _process
from blogauto_otel._guard import guard, log_once, swallow
from blogauto_otel.instrumentation.server import hooks, routes
from blogauto_otel.instrumentation.server.exceptions import is_client_disconnect
from blogauto_otel.instrumentation.server.types import ASGIApp, Message, Receive, Scope, Send, path_below_root

METHODS: Final = frozenset({"GET", "HEAD"})
_HOW_TO_MOVE: Final = "Set BLOGAUTO_OTEL_METRICS_PATH to serve ours at another path, or `off`."

# The application, called as it would be without the page.
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class _State:
    def __init__(self) -> None:
        self.pages: dict[str, ASGIApp] = {}
        self.endings: tuple[str, ...] = ()  # of the paths that may be one of a page's
        # Whether the application's own route at a path works, once that is known.
        self.works: weakref.WeakKeyDictionary[Any, dict[str, bool]] = weakref.WeakKeyDictionary()


state: Final = _process.register(_State())


def serve(path: str, app: ASGIApp) -> None:
    """Answer GET and HEAD of `path` with `app` in every application of this process, before its middleware.

    An application with a working route there answers itself. Such requests are neither measured nor traced.
    The root path of a proxy in front of `path` is recognised.
    """
    state.pages[path] = app
    _note_endings()


def unserve(path: str) -> None:
    """Stop serving `path`; nothing happens when it was not served."""
    state.pages.pop(path, None)
    _note_endings()
    state.works.clear()


def _note_endings() -> None:
    """A root path may stand before the path of a page; at its very end it counts as `/`."""
    state.endings = tuple("" if path == "/" else path for path in state.pages)


def is_served_by_application(path: str) -> bool:
    """Whether some application answers this path itself, with success."""
    return any(works.get(path, False) for works in tuple(state.works.values()))


def find(scope: Scope, call: Callable[..., Awaitable[None]], app: Any) -> ASGIApp | None:
    """The application that answers a request for one of our pages; None for all other requests.

    Ask only for a path that ends in one of `state.endings`, because every request does.
    `call` is the `__call__` of `app` without instrumentation.
    """
    if scope.get("method") not in METHODS:
        return None
    page, has_route = None, False
    with guard("looking for a page of ours"):
        page = _page_at(scope, app)
        has_route = page is not None and _application_has_route(app, scope)
    if page is None:
        return None
    if has_route:
        return functools.partial(
            _try_application_first, functools.partial(hooks.call_uninstrumented, call, app), page, app
        )
    return functools.partial(_answer, page)


def _page_at(scope: Scope, app: Any) -> ASGIApp | None:
    pages = state.pages
    return pages.get(scope.get("path", "")) or pages.get(path_below_root(scope, getattr(app, "root_path", "")))


def _application_has_route(app: Any, scope: Scope) -> bool:
    """Whether the application has a route of its own at this path, and none that is known to fail."""
    path = path_below_root(scope, getattr(app, "root_path", ""))
    try:
        return state.works.get(app, {}).get(path, True) and routes.has_route(app, path)
    except Exception as error:
        if not swallow("looking for a route at the path of a page", error):
            raise
        return False


async def _try_application_first(
    call: Application, page: ASGIApp, app: Any, scope: Scope, receive: Receive, send: Send
) -> None:
    """Let the application answer; when its route fails before it has ever succeeded, our page answers from then on."""
    path = path_below_root(scope, getattr(app, "root_path", ""))
    if state.works.get(app, {}).get(path):
        await call(scope, receive, send)
        return
    first = _FirstResponse(send)
    error: Exception | None = None
    try:
        await call(scope, receive, first.send)
    except Exception as raised:
        if first.is_sent or is_client_disconnect(raised):
            raise
        error = raised
    if first.is_sent:
        if first.status < 400:  # a refusal may come from a login in front of the route
            _set_works(app, path, works=True)
            log_once(
                f"own route {path}", "The application answers %s itself; ours is not served. %s", path, _HOW_TO_MOVE
            )
        return
    _set_works(app, path, works=False)
    reason = f"status {first.status}" if error is None else type(error).__name__
    message = "The application's own route %s fails (%s); ours answers in its place. %s"
    log_once(f"own route {path}", message, path, reason, _HOW_TO_MOVE, error=error)
    await _answer(page, scope, receive, send)


def _set_works(app: Any, path: str, *, works: bool) -> None:
    state.works.setdefault(app, {})[path] = works


class _FirstResponse:
    """The server's `send`, which does not pass on a failed response."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.is_sent = False

    async def send(self, message: Message) -> None:
        """Pass on messages of a response below 500."""
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
        if self.is_sent or 0 < self.status < 500:
            self.is_sent = True
            await self._send(message)


async def _answer(page: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with our page; with status 500 if it fails."""
    is_started = False

    async def send_and_note(message: Message) -> None:
        nonlocal is_started
        is_started = True
        await send(message)

    try:
        await page(scope, receive, send_and_note)
    except Exception as error:
        if not swallow("answering with a page of ours", error):
            raise
        if not is_started:
            await send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
