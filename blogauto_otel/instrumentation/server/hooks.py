"""What other parts of ours hang into the path of requests: our own pages, the end of the lifespan, failures."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any, Final, TypeAlias

from opentelemetry.trace import Span

from blogauto_otel._guard import guard
from blogauto_otel.instrumentation.server.pages import METHODS, forget
from blogauto_otel.instrumentation.server.types import ASGIApp, Scope, path_below_root

Make: TypeAlias = Callable[[], Any]
Tokens: TypeAlias = list[tuple[ContextVar[Any], Token[Any]]]

_served: Final[dict[str, ASGIApp]] = {}
_at_lifespan_start: Final[list[Callable[[], None]]] = []
_at_lifespan_end: Final[list[Callable[[], None]]] = []
_at_request_error: Final[list[Callable[[BaseException, Span], None]]] = []
_variables: tuple[tuple[ContextVar[Any], Make], ...] = ()


def serve(path: str, app: ASGIApp) -> None:
    """Answer GET and HEAD of `path` with `app` in every application of this process, before its middleware.

    An application with a working route of its own there answers itself (`pages`). Such requests are neither measured
    nor traced. A path that a proxy's root path stands before is recognised.
    """
    _served[path] = app


def unserve(path: str) -> None:
    """Leave `path` to the application again; nothing happens when it was not served."""
    _served.pop(path, None)
    forget()


def on_lifespan_startup(callback: Callable[[], None]) -> None:
    """Call `callback` when an application has started, before the server learns of it. It must not wait for anything.

    Registered twice, it is called once.
    """
    if callback not in _at_lifespan_start:
        _at_lifespan_start.append(callback)


def on_lifespan_shutdown(callback: Callable[[], None]) -> None:
    """Call `callback` in a thread when an application's lifespan ends, before the server learns of it.

    The server waits for it, so the callback must bound itself. Registered twice, it is called once.
    """
    if callback not in _at_lifespan_end:
        _at_lifespan_end.append(callback)


def on_request_error(callback: Callable[[BaseException, Span], None]) -> None:
    """Call `callback` with the exception and the span of each request that failed by one, while its span is still open.

    A request that was not sampled passes a span that keeps attributes for the span written after the fact.
    """
    if callback not in _at_request_error:
        _at_request_error.append(callback)


def not_on_request_error(callback: Callable[[BaseException, Span], None]) -> None:
    """Call it no longer."""
    if callback in _at_request_error:
        _at_request_error.remove(callback)


def reset_per_request(variable: ContextVar[Any], make: Make) -> None:
    """Set somebody's context variable to something new at the beginning of each request, and back at its end."""
    global _variables
    keep_across_requests(variable)
    _variables = (*_variables, (variable, make))


def keep_across_requests(variable: ContextVar[Any]) -> None:
    """Leave the variable alone."""
    global _variables
    _variables = tuple(known for known in _variables if known[0] is not variable)


def enter_request() -> Tokens | None:
    """Set what `in_requests` was told of."""
    if not _variables:
        return None
    tokens: Tokens = []
    for variable, make in _variables:
        with guard("setting the variables of a request"):
            tokens.append((variable, variable.set(make())))
    return tokens


def leave_request(tokens: Tokens) -> None:
    """Set it back."""
    for variable, token in tokens:
        try:
            variable.reset(token)
        except ValueError:  # closed in another context than it was opened in, as an abandoned generator is
            pass


def page_for(scope: Scope, app: object) -> ASGIApp | None:
    """The page of ours that answers this request, if one does."""
    if not _served or scope.get("method") not in METHODS:
        return None
    return _served.get(scope.get("path", "")) or _served.get(path_below_root(scope, getattr(app, "root_path", "")))


def lifespan_began() -> None:
    """Run what was registered for the beginning of a lifespan."""
    for callback in tuple(_at_lifespan_start):
        with guard("the beginning of the lifespan"):
            callback()


def lifespan_ended() -> None:
    """Run what was registered for the end of a lifespan."""
    for callback in tuple(_at_lifespan_end):
        with guard("the end of the lifespan"):
            callback()


def request_failed(error: BaseException, span: Span) -> None:
    """Tell everybody who wants to know of a failed request."""
    for callback in tuple(_at_request_error):
        with guard("telling of a failed request"):
            callback(error, span)
