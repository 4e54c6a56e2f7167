"""The request of this task or thread, and variables of other libraries that each request has a value of its own of.

The request is the scope of `api.context`: one variable of ours says which request it is, what is bound in it and
its id. OpenTelemetry's variable beside it has the span.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, ContextVar, Token
from typing import Any, Final, TypeAlias

from blogauto_otel import _process
from blogauto_otel._guard import guard

Make: TypeAlias = Callable[[], Any]
Tokens: TypeAlias = list[tuple[ContextVar[Any], Token[Any]]]
Values: TypeAlias = tuple[tuple[ContextVar[Any], Any], ...]


class _State:
    """Variables with the function that makes their value for a request, and the value they have when unset."""

    variables: tuple[tuple[ContextVar[Any], Make, Any], ...] = ()


state: Final = _process.register(_State())


def reset_per_request(variable: ContextVar[Any], make: Make) -> None:
    """Set a context variable to a new value of `make` at the start of each request, and restore it at the end."""
    stop_resetting(variable)
    state.variables = (*state.variables, (variable, make, Context().run(_get, variable)))


def _get(variable: ContextVar[Any]) -> Any:
    try:
        return variable.get()
    except LookupError:
        return None


def stop_resetting(variable: ContextVar[Any]) -> None:
    """Leave the variable as it is in later requests."""
    state.variables = tuple(known for known in state.variables if known[0] is not variable)


def set_variables() -> Tokens:
    """Set the variables of `reset_per_request`."""
    tokens: Tokens = []
    for variable, make, _ in state.variables:
        with guard("setting the variables of a request"):
            tokens.append((variable, variable.set(make())))
    return tokens


def reset_variables(tokens: Tokens) -> None:
    """Restore them."""
    for variable, token in tokens:
        restore_token(token, variable)


def restore_token(token: Token[Any], variable: ContextVar[Any] | None = None) -> None:
    """Reset a variable; nothing happens in another context, in which an abandoned coroutine may be closed."""
    try:
        (variable or token.var).reset(token)
    except ValueError:
        pass


def save_variables() -> Values:
    """The values in force."""
    return tuple((variable, variable.get(unset)) for variable, _, unset in state.variables)


def restore_variables(values: Values) -> None:
    """Put values in force that `save_variables` returned, in this task or another one."""
    for variable, value in values:
        variable.set(value)
