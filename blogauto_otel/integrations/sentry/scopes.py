"""Scopes of a request: tags and the user set in one request do not appear on the events of another.

Sentry's integrations fork two scopes for each request. These fork when they are first used. With an application's own
client they are not used: its integrations fork scopes.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

from sentry_sdk import scope as sentry
from sentry_sdk.client import NonRecordingClient
from sentry_sdk.scope import Scope

from blogauto_otel.instrumentation import context
from blogauto_otel.instrumentation.server import request_context

_NO_CLIENT: Final = NonRecordingClient()
_isolated: Final[list[ContextVar[Any]]] = []


class LazyScope(Scope):
    """A fork of its parent scope that is made when one of its slots is first read."""

    __slots__ = ("_kind", "_parent")
    _parent: Scope | None
    _kind: Any

    def __getattr__(self, name: str) -> Any:
        """Called for a slot that is still empty."""
        if name not in Scope.__slots__:
            raise AttributeError(name)
        parent = object.__getattribute__(self, "_parent")
        fork = parent.fork() if parent is not None else Scope(ty=object.__getattribute__(self, "_kind"))
        fork.clear_breadcrumbs()
        for slot in Scope.__slots__:
            try:
                object.__getattribute__(self, slot)
            except AttributeError:
                setattr(self, slot, getattr(fork, slot))
        return object.__getattribute__(self, name)


def _factory(variable: ContextVar[Scope | None], kind: Any) -> request_context.Make:
    def make() -> Scope:
        scope: LazyScope = object.__new__(LazyScope)
        scope._parent = variable.get()
        scope._kind = kind
        scope.client = _NO_CLIENT  # `get_client` reads this slot in every request
        return scope

    return make


def isolate_requests() -> None:
    """Give each request scopes of its own, in all its tasks and pool threads.

    Raises:
        Exception: this version of sentry_sdk keeps its scopes in another way.
    """
    factories = {variable: _factory(variable, kind) for variable, kind in _variables().items()}
    for make in factories.values():
        _self_test(make)
    for variable, make in factories.items():
        request_context.reset_per_request(variable, make)
        context.propagate(variable)
        _isolated.append(variable)


def stop() -> None:
    """Stop isolating requests."""
    while _isolated:
        variable = _isolated.pop()
        request_context.stop_resetting(variable)
        context.stop_propagating(variable)


def _variables() -> dict[ContextVar[Scope | None], Any]:
    return {
        sentry._isolation_scope: sentry.ScopeType.ISOLATION,
        sentry._current_scope: sentry.ScopeType.CURRENT,
    }


def _self_test(make: request_context.Make) -> None:
    """A tag set in one scope is in that scope, and not in the next one."""
    first, second = make(), make()
    first.set_tag("tried", "yes")
    merged = Scope()
    merged.update_from_scope(first)
    if merged._tags.get("tried") != "yes" or "tried" in second.fork()._tags:
        raise TypeError("sentry_sdk's scopes cannot be forked on first use")
