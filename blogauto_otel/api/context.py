"""Bound context: attributes of the current request or task, such as its user, for every span and record it emits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from typing import Final, TypeAlias

from opentelemetry import trace

from blogauto_otel import semconv
from blogauto_otel._guard import guarded, log_once
from blogauto_otel.api.text import safe_text

MAX_BOUND: Final = 32
MAX_VALUE_LENGTH: Final = 1024

# Parameters that have a name of their own among the semantic conventions.
_ATTRIBUTE_NAMES: Final[Mapping[str, str]] = {"user_id": semconv.USER_ID, "request_id": semconv.REQUEST_ID}

Value: TypeAlias = str | bool | int | float
_INT64: Final = 2**63  # beyond, a number is its text: OTLP has no room for it, and JSON refuses very long ones


class Scope:
    """The values of one request, which change in place; or those outside requests, replaced as a whole.

    A request has one scope for all its tasks and threads, because `BaseHTTPMiddleware` and the thread pool run parts
    of it in copies of its context, where a bind would be lost. Outside requests the copy is the right scope.
    """

    __slots__ = ("has_ended", "is_request", "outside", "values")

    def __init__(self, values: dict[str, Value], outside: dict[str, Value] | None = None) -> None:
        self.values = values
        self.outside = values if outside is None else outside
        self.is_request = outside is not None
        self.has_ended = False


_EMPTY: Final = Scope({})
_current: Final[ContextVar[Scope]] = ContextVar("blogauto_otel_bound", default=_EMPTY)
RequestToken: TypeAlias = Token[Scope]


@guarded("binding context", None)
def bind(**values: object) -> None:
    """Put `values` on this span and on every later span and log record of this request, or outside one, of this task.

    `user_id` appears as `user.id`; dotted names are given as `bind(**{"app.tenant": tenant})`. `None` unbinds. A value
    that is not text, number or truth value is bound as its text. At most 32 names, 1024 characters each; what exceeds
    that is left out and logged. Nothing is propagated to other requests or other services.

    Example:
        >>> bind(user_id=42)
        >>> bound()["user.id"]
        42
        >>> unbind("user_id")
    """
    new = {_ATTRIBUTE_NAMES.get(name, name): _plain(value) for name, value in values.items() if value is not None}
    unbind(*(name for name, value in values.items() if value is None))
    current = _current.get()
    free = MAX_BOUND - len(current.values)
    fitting = {name: value for name, value in new.items() if name in current.values or (free := free - 1) >= 0}
    if len(fitting) < len(new):
        log_once(
            "too much bound", "bind(): more than %d names; %s left out", MAX_BOUND, sorted(new.keys() - fitting.keys())
        )
    if current.is_request:
        current.values.update(fitting)
    else:
        _current.set(Scope({**current.values, **fitting}))
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attributes(fitting)


@guarded("unbinding context", None)
def unbind(*names: str) -> None:
    """Remove `names` from later spans and log records; a name that is not bound is ignored."""
    gone = {_ATTRIBUTE_NAMES.get(name, name) for name in names}
    current = _current.get()
    if not gone & current.values.keys():
        return
    if current.is_request:
        for name in gone:
            current.values.pop(name, None)
    else:
        _current.set(Scope({name: value for name, value in current.values.items() if name not in gone}))


def bound() -> Mapping[str, Value]:
    """The attributes of later spans and log records; in a request, its `request.id` too (a copy)."""
    values = _current.get().values
    # Most calls return an empty mapping, which needs no copy. The copy is one atomic step for other threads.
    return dict(values) if values else values


def begin_request(request_id: str) -> RequestToken:
    """Open a new scope with what was bound outside requests, and nothing that another request bound."""
    # A pipelined request on one connection starts in the context of the request before it.
    outside = _current.get().outside
    return _current.set(Scope({**outside, semconv.REQUEST_ID: request_id}, outside))


def end_request(token: RequestToken) -> None:
    """End the request and leave its scope; tasks that the request left behind keep it."""
    request = _current.get()
    if leave(token):
        mark_ended(request)


def mark_ended(scope: Scope) -> None:
    """Mark the request of this scope as ended, so that timers which it has set leave it."""
    scope.has_ended = scope.is_request


def leave(token: RequestToken) -> bool:
    """Leave a scope; False in another context than that in which it was entered, which stays as it is."""
    # An abandoned coroutine is closed by the garbage collector in whatever context it meets, which may be another
    # request's.
    try:
        _current.reset(token)
    except ValueError:
        return False
    return True


def in_request() -> bool:
    """True in the scope of a request, also after its end."""
    return _current.get().is_request


def leave_ended_request() -> bool:
    """Leave the scope of a request that has ended; True when there was one. What was bound outside requests stays."""
    request = _current.get()
    if not request.has_ended:
        return False
    _current.set(Scope(request.outside))
    return True


def current_request_id() -> str | None:
    """The id of the request being answered, or None outside one."""
    value = _current.get().values.get(semconv.REQUEST_ID)
    return None if value is None else str(value)


def _plain(value: object) -> Value:
    if type(value) in (bool, float) or (type(value) is int and -_INT64 <= value < _INT64):
        return value  # type: ignore[return-value]
    return safe_text(value, MAX_VALUE_LENGTH)


def scope() -> Scope | None:
    """The current scope, for `enter` in another thread; None when nothing is bound."""
    current = _current.get()
    return None if current is _EMPTY else current


# The scope in force, also when nothing is bound; `enter` puts it in force again.
current_scope: Final[Callable[[], Scope]] = _current.get


def enter(scope: Scope) -> RequestToken:
    """Work within `scope` until `leave` is given what this returns."""
    return _current.set(scope)
