"""The methods of SQLAlchemy that are wrapped, by class; every statement of every engine runs through one of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from time import perf_counter
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from blogauto_otel import _process
from blogauto_otel._dataclass import dataclass
from blogauto_otel._guard import guard, swallow
from blogauto_otel.instrumentation.patching import hide_from_find_caller
from blogauto_otel.instrumentation.sqlalchemy import pools, recorder

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

# Seconds from which on a connect or a commit is a span of its own; one that fails always is.
SLOW: Final = 0.1


def _record(
    connection: Connection,
    execution: Any,
    own: tuple[str, Any] | None,
    started: float,
    error: BaseException | None = None,
) -> None:
    """Record a statement that has ended, well or with `error`; `own` replaces that of the execution."""
    elapsed = perf_counter() - started
    active = recorder.state.active
    if active is None:
        return
    try:
        if own is None:
            active.statement(connection, execution.statement, execution.parameters, elapsed, error)
        else:
            active.statement(connection, own[0], own[1:], elapsed, error)
    except BaseException as ours:
        if not swallow("recording a statement", ours):
            raise


def _wrap_single(original: Callable[..., Any]) -> Callable[..., Any]:
    state = recorder.state

    def _exec_single_context(self: Connection, dialect: Any, context: Any, statement: Any, parameters: Any) -> Any:
        started = perf_counter()
        try:
            result = original(self, dialect, context, statement, parameters)
        except BaseException as error:
            _record(self, context, None, started, error)
            raise
        elapsed, active = perf_counter() - started, state.active
        if active is not None:
            try:  # as `_record`, without the call: nearly every statement takes this way
                active.statement(self, context.statement, context.parameters, elapsed, None)
            except BaseException as ours:
                if not swallow("recording a statement", ours):
                    raise
        return result

    return _exec_single_context


def _wrap_insertmany(original: Callable[..., Any]) -> Callable[..., Any]:
    """One operation of the application is one span, in however many statements it is sent; its text is the template."""

    def _exec_insertmany_context(self: Connection, dialect: Any, context: Any) -> Any:
        started = perf_counter()
        try:
            result = original(self, dialect, context)
        except BaseException as error:
            _record(self, context, None, started, error)
            raise
        _record(self, context, None, started)
        return result

    return _exec_insertmany_context


def _wrap_cursor(original: Callable[..., Any]) -> Callable[..., Any]:
    """Further statements of SQLAlchemy, such as the next value of a sequence."""

    def _cursor_execute(self: Connection, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> Any:
        started = perf_counter()
        try:
            result = original(self, cursor, statement, parameters, context)
        except BaseException as error:
            _record(self, context, (statement, parameters), started, error)
            raise
        _record(self, context, (statement, parameters), started)
        return result

    return _cursor_execute


def _wrap_commit(original: Callable[..., Any]) -> Callable[..., Any]:
    def _commit_impl(self: Connection) -> Any:
        started = perf_counter()
        try:
            result = original(self)
        except BaseException as error:
            _record_wait("COMMIT", self.engine, started, error)
            raise
        if perf_counter() - started >= SLOW:
            _record_wait("COMMIT", self.engine, started)
        return result

    return _commit_impl


def _wrap_connect(original: Callable[..., Any]) -> Callable[..., Any]:
    pending, counted = pools.state.pending, pools.state.pools

    def raw_connection(self: Engine) -> Any:
        pool = self.pool
        waiting = object()
        pending[id(waiting)] = id(pool)  # one operation on a dictionary: atomic without a lock
        started = perf_counter()
        try:
            connection = original(self)
        except BaseException as error:
            pending.pop(id(waiting), None)
            pools.count_timeout(pool, error)
            _record_wait("connect", self, started, error)
            raise
        pending.pop(id(waiting), None)
        if perf_counter() - started >= SLOW:
            _record_wait("connect", self, started)
        if id(pool) not in counted:
            _count_pool(self)
        return connection

    return raw_connection


def _record_wait(name: str, engine: Engine, started: float, error: BaseException | None = None) -> None:
    elapsed = perf_counter() - started
    active = recorder.state.active
    if active is not None:
        with guard("recording a wait for the database"):
            active.wait(name, engine, elapsed, error)


def _count_pool(engine: Engine) -> None:
    active = recorder.state.active
    if active is not None:
        pools.add(engine, active.redactor)


@dataclass(frozen=True)
class _ConnectionPatch:
    """A method to wrap, and the parameters it must have for that."""

    owner: str
    method: str
    parameters: tuple[str, ...]
    wrap: Callable[[Callable[..., Any]], Callable[..., Any]]


_EXECUTION: Final = ("self", "dialect", "context", "statement", "parameters")
_CURSOR: Final = ("self", "cursor", "statement", "parameters", "context")

PATCHES: Final = (
    _ConnectionPatch("Connection", "_exec_single_context", _EXECUTION, _wrap_single),
    _ConnectionPatch("Connection", "_exec_insertmany_context", ("self", "dialect", "context"), _wrap_insertmany),
    _ConnectionPatch("Connection", "_cursor_execute", _CURSOR, _wrap_cursor),
    _ConnectionPatch("Connection", "_commit_impl", ("self",), _wrap_commit),
    _ConnectionPatch("Engine", "raw_connection", ("self",), _wrap_connect),
)


class _State:
    """The original method and our wrapper, by patch."""

    def __init__(self) -> None:
        self.installed: dict[_ConnectionPatch, tuple[Any, Any]] = {}


_state: Final = _process.register(_State())


def changed_method(base: ModuleType) -> str | None:
    """The first method of `sqlalchemy.engine.base` that is missing or has other parameters; None when all fit."""
    for patch in PATCHES:
        if patch in _state.installed:
            continue
        method = getattr(getattr(base, patch.owner, None), patch.method, None)
        if method is None or tuple(inspect.signature(method).parameters) != patch.parameters:
            return f"{patch.owner}.{patch.method} is not what it was"
    return None


def install(base: ModuleType) -> None:
    """Wrap the methods that are not wrapped yet."""
    for patch in PATCHES:
        if patch not in _state.installed:
            owner = getattr(base, patch.owner)
            original = owner.__dict__[patch.method]
            wrapper = hide_from_find_caller(patch.wrap(original))  # `echo` names the line that calls
            wrapper.__doc__ = original.__doc__
            _state.installed[patch] = (original, wrapper)
            setattr(owner, patch.method, wrapper)


def remove(base: ModuleType) -> None:
    """Restore the methods; under another library's wrapper ours stays and only calls the original."""
    for patch, (original, wrapper) in tuple(_state.installed.items()):
        owner = getattr(base, patch.owner)
        if owner.__dict__[patch.method] is wrapper:
            setattr(owner, patch.method, original)
            del _state.installed[patch]
