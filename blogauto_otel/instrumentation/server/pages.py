"""Who answers the path of a page of ours: the application where it has a working route of its own, else we.

The routing table says whether it has a route, and the first answer whether the route works (docs/decisions/0051).
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from blogauto_otel._guard import log_once, swallow
from blogauto_otel.instrumentation.server.request import is_client_disconnect
from blogauto_otel.instrumentation.server.types import ASGIApp, Message, Receive, Scope, Send, path_below_root
from blogauto_otel.instrumentation.starlette.routes import names_path

METHODS: Final = frozenset({"GET", "HEAD"})

# The application, called as it would be without the page.
Own: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_works: Final[weakref.WeakKeyDictionary[Any, dict[str, bool]]] = weakref.WeakKeyDictionary()


def are_left_to(app: Any, scope: Scope) -> bool:
    """Whether the application has a route of its own at the path of this request, and none that is known to fail."""
    path = path_below_root(scope, getattr(app, "root_path", ""))
    try:
        return _works.get(app, {}).get(path, True) and names_path(getattr(app, "routes", ()), path)
    except Exception as error:
        if not swallow("looking for a route at the path of a page", error):
            raise
        return False


def stepped_back(path: str) -> bool:
    """Whether some application answers this path itself, with success."""
    return any(works.get(path, False) for works in tuple(_works.values()))


def forget() -> None:
    """Judge every route anew."""
    _works.clear()


async def own_first(own: Own, page: ASGIApp, app: Any, scope: Scope, receive: Receive, send: Send) -> None:
    """Let the application answer; a route that fails before it has ever succeeded is answered for, from now on."""
    path = path_below_root(scope, getattr(app, "root_path", ""))
    if _works.get(app, {}).get(path):
        await own(scope, receive, send)
        return
    first = _FirstAnswer(send)
    error: Exception | None = None
    try:
        await own(scope, receive, first.send)
    except Exception as raised:
        if first.passed or is_client_disconnect(raised):
            raise
        error = raised
    if first.passed:
        if first.status < 400:  # a refusal says nothing of the route behind it
            _judge(app, path, works=True)
            log_once(f"own route {path}", "The application answers %s itself; ours steps back. %s", path, _WAY_OUT)
        return
    _judge(app, path, works=False)
    reason = f"status {first.status}" if error is None else type(error).__name__
    message = "The application's own route %s fails (%s); ours answers in its place. %s"
    log_once(f"own route {path}", message, path, reason, _WAY_OUT, error=error)
    await answer(page, scope, receive, send)


_WAY_OUT: Final = "Set BLOGAUTO_OTEL_METRICS_PATH to serve ours at another path, or `off`."


def _judge(app: Any, path: str, *, works: bool) -> None:
    _works.setdefault(app, {})[path] = works


class _FirstAnswer:
    """The server's `send`, which keeps a failed answer back."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.passed = False  # something of the answer has gone out

    async def send(self, message: Message) -> None:
        """Pass on what belongs to an answer below 500."""
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
        if self.passed or 0 < self.status < 500:
            self.passed = True
            await self._send(message)


async def answer(page: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with a page of ours; if it fails, that is an answer too."""
    started = False

    async def watched(message: Message) -> None:
        nonlocal started
        started = True
        await send(message)

    try:
        await page(scope, receive, watched)
    except Exception as error:
        if not swallow("answering with a page of ours", error):
            raise
        if not started:
            await send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
