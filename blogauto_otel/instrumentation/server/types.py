"""ASGI types, and what every part of the server instrumentation reads from a scope.

https://asgi.readthedocs.io/en/latest/specs/main.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# Set in the scope by the outermost instrumented application; applications mounted inside it do nothing.
MARK: Final = "blogauto_otel.seen"


def path_below_root(scope: Scope, root_path: str = "") -> str:
    """The path without the root path of a proxy or mount, as the application's own routes see it."""
    path: str = scope.get("path", "")
    root: str = scope.get("root_path") or root_path
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in {"/", ""}:
        return path[len(root) :] or "/"
    return path


def header(scope: Scope, wanted: bytes) -> str | None:
    """The first value of one request header."""
    headers: Iterable[tuple[Any, Any]] = scope["headers"]
    for name, value in headers:
        if name == wanted:
            text: str = value.decode("latin-1")
            return text
    return None
