"""Sentry's scopes of a request: tags and the user set in one request do not appear on the events of another.

Sentry forks two scopes for every request that might fail. These fork when they are first used.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

from sentry_sdk import scope as sentry
from sentry_sdk.client import NonRecordingClient
from sentry_sdk.scope import Scope

from blogauto_otel.instrumentation import context
from blogauto_otel.instrumentation.asgi import hooks

_NO_CLIENT: Final = NonRecordingClient()
_isolated: Final[list[ContextVar[Any]]] = []


class LazyScope(Scope):
    """A fork of the scope around it that is made when something asks for what is in it."""

    __slots__ = ("_around", "_kind")
    _around: Scope | None
    _kind: Any

    def __getattr__(self, name: str) -> Any:
        """Called for a slot that is still empty."""
        if name not in Scope.__slots__:
            raise AttributeError(name)
        around = object.__getattribute__(self, "_around")
        fork = around.fork() if around is not None else Scope(ty=object.__getattribute__(self, "_kind"))
        fork.clear_breadcrumbs()
        for slot in Scope.__slots__:
            try:
                object.__getattribute__(self, slot)
            except AttributeError:
                setattr(self, slot, getattr(fork, slot))
        return object.__getattribute__(self, name)


def _lazily(variable: ContextVar[Scope | None], kind: Any) -> hooks.Make:
    def make() -> Scope:
        scope: LazyScope = object.__new__(LazyScope)
        scope._around = variable.get()
        scope._kind = kind
        scope.client = _NO_CLIENT  # `get_client` looks here first, at every request
        return scope

    return make


def isolate_requests() -> None:
    """Give each request scopes of its own, in all its tasks and pool threads.

    Raises:
        Exception: Sentry keeps its scopes in another way than we know.
    """
    makes = {variable: _lazily(variable, kind) for variable, kind in _variables().items()}
    for make in makes.values():
        _try(make)
    for variable, make in makes.items():
        hooks.in_requests(variable, make)
        context.carry(variable)
        _isolated.append(variable)


def stop() -> None:
    """Leave requests alone."""
    while _isolated:
        variable = _isolated.pop()
        hooks.not_in_requests(variable)
        context.drop(variable)


def _variables() -> dict[ContextVar[Scope | None], Any]:
    return {
        sentry._isolation_scope: sentry.ScopeType.ISOLATION,
        sentry._current_scope: sentry.ScopeType.CURRENT,
    }


def _try(make: hooks.Make) -> None:
    """A tag that is set in one of them is in it, and not in the next."""
    one, other = make(), make()
    one.set_tag("tried", "yes")
    merged = Scope()
    merged.update_from_scope(one)
    if merged._tags.get("tried") != "yes" or "tried" in other.fork()._tags:
        raise TypeError("sentry_sdk's scopes are not what they were")
