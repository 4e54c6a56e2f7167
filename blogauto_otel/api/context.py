"""Bound context: attributes of the current request or task, such as its user, for every span and record it emits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from opentelemetry import trace

from blogauto_otel import _process, semconv
from blogauto_otel._guard import guarded, log_once
from blogauto_otel.api.text import safe_text

if TYPE_CHECKING:
    from blogauto_otel.api.statements import StatementCounts

MAX_BOUND: Final = 32
MAX_VALUE_LENGTH: Final = 1024

# Parameters that have a name of their own among the semantic conventions.
_ATTRIBUTE_NAMES: Final[Mapping[str, str]] = {"user_id": semconv.USER_ID, "request_id": semconv.REQUEST_ID}

Value: TypeAlias = str | bool | int | float
_INT64: Final = 2**63  # beyond, a number is its text: OTLP has no room for it, and JSON refuses very long ones


class Scope:
    """The values outside requests, replaced as a whole: a copy of the context has its own."""

    __slots__ = ("outside", "secret_path", "values")

    is_request = False
    has_ended = False

    def __init__(self, values: dict[str, Value], secret_path: object = None) -> None:
        self.values = self.outside = values  # what a request begins with
        self.secret_path = secret_path  # of the request that this task has just answered; see `server.paths`

    def current_route(self) -> str | None:
        """The template of the route that answers the request; None outside requests, and where none answers."""
        return None


class RequestScope(Scope):
    """The values of one request, which change in place; made when they are first asked for.

    A request has one scope for all its tasks and threads, because `BaseHTTPMiddleware` and the thread pool run parts
    of it in copies of its context, where a bind would be lost.
    """

    __slots__ = ("has_ended", "id", "opened", "statements")

    is_request = True

    def __init__(self, request_id: bytes, outside: dict[str, Value]) -> None:
        self.opened: dict[str, Value] | None = None  # its values, once somebody has asked for them
        self.has_ended = False
        self.secret_path = None
        self.statements: StatementCounts | None = None  # from the first SQL statement on
        self.id = request_id
        self.outside = outside

    @property
    def values(self) -> dict[str, Value]:  # type: ignore[override]
        """What was bound outside requests, the request id, and what the request binds."""
        found = self.opened
        return self._open() if found is None else found

    def _open(self) -> dict[str, Value]:
        with _opening:  # several threads of a request must get the same object
            if self.opened is None:
                self.opened = {**self.outside, semconv.REQUEST_ID: self.id.decode("ascii")}
            return self.opened


class _Opening:
    """A reentrant lock, fresh in a forked child."""

    def __init__(self) -> None:
        self.after_fork_in_child()

    def after_fork_in_child(self) -> None:
        """A thread of the parent may have held the lock."""
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


_opening: Final = _process.register(_Opening())
_EMPTY: Final = Scope({})
# The only context variable of this package; OpenTelemetry's own context is separate.
SCOPE: Final[ContextVar[Scope]] = ContextVar("blogauto_otel_scope", default=_EMPTY)
RequestToken: TypeAlias = Token[Scope]


@guarded("binding context", None)
def bind(**values: object) -> None:
    """Put `values` on this span and on every later span and log record of this request, or outside one, of this task.

    `user_id` appears as `user.id`; dotted names are given as `bind(**{"app.tenant": tenant})`. `None` unbinds. A value
    that is not text, number or truth value is bound as its text. At most 32 names, 1024 characters each; what exceeds
    that is left out and logged. Nothing is propagated to other requests or other services.

    Examples:
        >>> bind(user_id=42)
        >>> bound()["user.id"]
        42
        >>> unbind("user_id")
    """
    new = {_ATTRIBUTE_NAMES.get(name, name): _plain(value) for name, value in values.items() if value is not None}
    unbind(*(name for name, value in values.items() if value is None))
    current = SCOPE.get()
    free = MAX_BOUND - len(current.values)
    fitting = {name: value for name, value in new.items() if name in current.values or (free := free - 1) >= 0}
    if len(fitting) < len(new):
        log_once(
            "too much bound", "bind(): more than %d names; %s left out", MAX_BOUND, sorted(new.keys() - fitting.keys())
        )
    if current.is_request:
        current.values.update(fitting)
    else:
        SCOPE.set(Scope({**current.values, **fitting}, current.secret_path))
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attributes(fitting)


@guarded("unbinding context", None)
def unbind(*names: str) -> None:
    """Remove `names` from later spans and log records; a name that is not bound is ignored."""
    gone = {_ATTRIBUTE_NAMES.get(name, name) for name in names}
    current = SCOPE.get()
    if not gone & current.values.keys():
        return
    if current.is_request:
        for name in gone:
            current.values.pop(name, None)
    else:
        kept = {name: value for name, value in current.values.items() if name not in gone}
        SCOPE.set(Scope(kept, current.secret_path))


def bound() -> Mapping[str, Value]:
    """The attributes of later spans and log records; in a request, its `request.id` too (a copy)."""
    scope: Any = SCOPE.get()
    if scope.is_request and scope.opened is None and not scope.outside:
        return {semconv.REQUEST_ID: scope.id.decode("ascii")}  # as `values`, without a lock
    values: dict[str, Value] = scope.values
    # Most calls return an empty mapping, which needs no copy. The copy is one atomic step for other threads.
    return dict(values) if values else values


def begin_request(request_id: str) -> RequestToken:
    """Open a new scope with what was bound outside requests, and nothing that another request bound."""
    # A pipelined request on one connection starts in the context of the request before it.
    return SCOPE.set(RequestScope(request_id.encode("ascii"), SCOPE.get().outside))


def end_request(token: RequestToken) -> None:
    """End the request and leave its scope; tasks that the request left behind keep it."""
    request = SCOPE.get()
    if leave(token) and isinstance(request, RequestScope):
        request.has_ended = True


def leave(token: RequestToken) -> bool:
    """Leave a scope; False in another context than that in which it was entered, which stays as it is."""
    # An abandoned coroutine is closed by the garbage collector in whatever context it meets, which may be another
    # request's.
    try:
        SCOPE.reset(token)
    except ValueError:
        return False
    return True


def in_request() -> bool:
    """True in the scope of a request, also after its end."""
    return SCOPE.get().is_request


def leave_ended_request() -> bool:
    """Leave the scope of a request that has ended; True when there was one. What was bound outside requests stays."""
    request = SCOPE.get()
    if not request.has_ended:
        return False
    SCOPE.set(Scope(request.outside))
    return True


def current_request_id() -> str | None:
    """The id of the request being answered, or None outside one."""
    value = SCOPE.get().values.get(semconv.REQUEST_ID)
    return None if value is None else str(value)


def _plain(value: object) -> Value:
    if type(value) in (bool, float) or (type(value) is int and -_INT64 <= value < _INT64):
        return value  # type: ignore[return-value]
    return safe_text(value, MAX_VALUE_LENGTH)


def scope() -> Scope | None:
    """The current scope, for `enter` in another thread; None when nothing is bound."""
    current = SCOPE.get()
    return None if current is _EMPTY else current


# The scope in force, also when nothing is bound; `enter` puts it in force again.
current_scope: Final[Callable[[], Scope]] = SCOPE.get


def enter(scope: Scope) -> RequestToken:
    """Work within `scope` until `leave` is given what this returns."""
    return SCOPE.set(scope)
