"""The words of the ASGI specification, as types (https://asgi.readthedocs.io/en/latest/specs/main.html)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# Set in the scope by the outermost application we meet; applications mounted inside see it and leave the request alone.
MARK: Final = "blogauto_otel.seen"


def path_below_root(scope: Scope, root_path: str = "") -> str:
    """The path as the application's own routes see it: without what a proxy or a mount put before it."""
    path: str = scope.get("path", "")
    root: str = scope.get("root_path") or root_path
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in {"/", ""}:
        return path[len(root) :] or "/"
    return path
