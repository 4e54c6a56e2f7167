"""The context of a request: the current request, the OpenTelemetry context, bound values, and registered variables.

A request saves the values outside it, and restores them at its end and while the last message is sent: a server starts
its keep-alive timer then, and the timer holds the context it was started in until the event loop discards it. Values
are set, not reset by token, because a response may be sent in another task than the one that the request began in.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, ContextVar, Token
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from opentelemetry.context import Context as OtelContext
from opentelemetry.context import attach, get_current

from blogauto_otel import _process
from blogauto_otel._guard import guard
from blogauto_otel.api.context import Scope, begin_request, current_scope, enter, mark_ended

if TYPE_CHECKING:
    from blogauto_otel.instrumentation.server.request import Request

Make: TypeAlias = Callable[[], Any]
Tokens: TypeAlias = list[tuple[ContextVar[Any], Token[Any]]]
Values: TypeAlias = "tuple[Request | None, OtelContext, Scope, tuple[tuple[ContextVar[Any], Any], ...]]"

# The request of this task or thread; copies of the context share it.
current: Final[ContextVar[Request | None]] = ContextVar("blogauto_otel_request", default=None)


class _State:
    """Variables with the function that makes their value for a request, and the value they have when unset."""

    variables: tuple[tuple[ContextVar[Any], Make, Any], ...] = ()


_state: Final = _process.register(_State())


def reset_per_request(variable: ContextVar[Any], make: Make) -> None:
    """Set a context variable to a new value of `make` at the start of each request, and restore it at the end."""
    stop_resetting(variable)
    _state.variables = (*_state.variables, (variable, make, Context().run(_get, variable)))


def _get(variable: ContextVar[Any]) -> Any:
    try:
        return variable.get()
    except LookupError:
        return None


def stop_resetting(variable: ContextVar[Any]) -> None:
    """Leave the variable as it is in later requests."""
    _state.variables = tuple(known for known in _state.variables if known[0] is not variable)


def set_variables() -> Tokens | None:
    """Set the variables of `reset_per_request`."""
    if not _state.variables:
        return None
    tokens: Tokens = []
    for variable, make, _ in _state.variables:
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


def save() -> Values:
    """The values in force."""
    variables = _state.variables
    others = tuple((variable, variable.get(unset)) for variable, _, unset in variables) if variables else ()
    return current.get(), get_current(), current_scope(), others


def restore(values: Values) -> None:
    """Put values in force that `save` returned, in this task or another one."""
    request, otel_context, scope, others = values
    current.set(request)
    attach(otel_context)
    enter(scope)
    for variable, value in others:
        variable.set(value)


def enter_request(request: Request) -> None:
    """Make it the current request of this task, and of all tasks and threads that the task starts."""
    request.outside = save()
    current.set(request)
    attach(request.context)
    begin_request(request.id.decode("ascii"))
    set_variables()


def leave_request(request: Request) -> None:
    """Restore what was in force before the request; in the context of another request, do nothing."""
    # The garbage collector closes an abandoned coroutine in whatever context it runs in.
    if request.outside is not None and current.get() is request:
        mark_ended(current_scope())
        restore(request.outside)
