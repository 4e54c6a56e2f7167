"""Exceptions of the request path: groups, client disconnects, cancellation, and the error type of a handled one."""

from __future__ import annotations

from typing import Any, Final

from blogauto_otel._class_names import class_name, module_name, type_name
from blogauto_otel._guard import guard

_CLIENT_ERRORS: Final = frozenset({"ClientDisconnect", "WebSocketDisconnect"})
_GROUPS: Final = frozenset({"ExceptionGroup", "BaseExceptionGroup"})  # by name: Python 3.10 has them from a package
_MAX_GROUPS: Final = 100  # within each other
_CANCELLED: Final = frozenset({"CancelledError", "Cancelled"})


def unwrap_group(error: BaseException) -> BaseException:
    """The only exception of a group, as task groups raise it; else the exception itself."""
    for _ in range(_MAX_GROUPS):
        inside: Any = getattr(error, "exceptions", ()) if class_name(type(error)) in _GROUPS else ()
        if len(inside) != 1:
            break
        error = inside[0]
    return error


def is_client_disconnect(error: BaseException) -> bool:
    """Whether an exception only reports that the client has disconnected."""
    kind = type(error)
    return class_name(kind) in _CLIENT_ERRORS and module_name(kind).startswith(("starlette.", "fastapi."))


def error_type(handled: BaseException | None, code: int) -> str:
    """The error type; an HTTPException adds nothing to its status code."""
    if handled is None or _has_status(handled):
        return str(code)
    return type_name(type(handled))


def _has_status(error: BaseException) -> bool:
    with guard("looking for an exception's status"):
        return hasattr(error, "status_code")
    return False


def is_cancellation(error: BaseException) -> bool:
    """Whether a task was cancelled, by asyncio or trio."""
    return class_name(type(error)) in _CANCELLED
