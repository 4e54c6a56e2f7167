"""The methods of SQLAlchemy that are wrapped, by class: every statement of every engine runs through one of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from blogauto_otel._guard import guard, swallow
from blogauto_otel.instrumentation.frames import hide_from_find_caller
from blogauto_otel.instrumentation.sqlalchemy import pools, recorder

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

# A connect or a commit is a span of its own when it failed, or made its request wait for as long as a person notices.
WORTH_A_SPAN: Final = 0.1


def _ended(
    connection: Connection, execution: Any, text: str | None, started: float, error: BaseException | None = None
) -> None:
    """Record a statement that has ended, well or with `error`; `text` is given where it is not the execution's own."""
    elapsed = perf_counter() - started
    active = recorder.active
    if active is None:
        return
    try:
        if text is None:
            active.statement(connection, execution.statement, len(execution.parameters), elapsed, error)
        else:
            active.statement(connection, text, 1, elapsed, error)
    except BaseException as ours:
        if not swallow("recording a statement", ours):
            raise


def _around_single(original: Callable[..., Any]) -> Callable[..., Any]:
    def _exec_single_context(self: Connection, dialect: Any, context: Any, statement: Any, parameters: Any) -> Any:
        started = perf_counter()
        try:
            result = original(self, dialect, context, statement, parameters)
        except BaseException as error:
            _ended(self, context, None, started, error)
            raise
        _ended(self, context, None, started)
        return result

    return _exec_single_context


def _around_insertmany(original: Callable[..., Any]) -> Callable[..., Any]:
    """One operation of the application, in however many pieces it is sent: one span, and its text is the template."""

    def _exec_insertmany_context(self: Connection, dialect: Any, context: Any) -> Any:
        started = perf_counter()
        try:
            result = original(self, dialect, context)
        except BaseException as error:
            _ended(self, context, None, started, error)
            raise
        _ended(self, context, None, started)
        return result

    return _exec_insertmany_context


def _around_cursor(original: Callable[..., Any]) -> Callable[..., Any]:
    """What SQLAlchemy asks besides, such as the next value of a sequence."""

    def _cursor_execute(self: Connection, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> Any:
        started = perf_counter()
        try:
            result = original(self, cursor, statement, parameters, context)
        except BaseException as error:
            _ended(self, context, statement, started, error)
            raise
        _ended(self, context, statement, started)
        return result

    return _cursor_execute


def _around_commit(original: Callable[..., Any]) -> Callable[..., Any]:
    def _commit_impl(self: Connection) -> Any:
        with _Wait("COMMIT", self.engine):
            return original(self)

    return _commit_impl


def _around_connect(original: Callable[..., Any]) -> Callable[..., Any]:
    def raw_connection(self: Engine) -> Any:
        with _Wait("connect", self):
            connection = original(self)
        active = recorder.active
        if active is not None:
            pools.know(self, active.redactor)
        return connection

    return raw_connection


class _Wait:
    """Time a block that is quick when all is well."""

    __slots__ = ("engine", "name", "started")

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self.engine = engine
        self.started = perf_counter()

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        elapsed = perf_counter() - self.started
        active = recorder.active
        if active is not None and (error is not None or elapsed >= WORTH_A_SPAN):
            with guard("recording a wait for the database"):
                active.wait(self.name, self.engine, elapsed, error)


@dataclass(frozen=True)
class _Patch:
    """A method to wrap, and the parameters it must have for that."""

    owner: str
    method: str
    parameters: tuple[str, ...]
    around: Callable[[Callable[..., Any]], Callable[..., Any]]


_EXECUTION: Final = ("self", "dialect", "context", "statement", "parameters")
_CURSOR: Final = ("self", "cursor", "statement", "parameters", "context")

PATCHES: Final = (
    _Patch("Connection", "_exec_single_context", _EXECUTION, _around_single),
    _Patch("Connection", "_exec_insertmany_context", ("self", "dialect", "context"), _around_insertmany),
    _Patch("Connection", "_cursor_execute", _CURSOR, _around_cursor),
    _Patch("Connection", "_commit_impl", ("self",), _around_commit),
    _Patch("Engine", "raw_connection", ("self",), _around_connect),
)

# What stands in SQLAlchemy because of us: the original and our wrapper, by patch.
_installed: dict[_Patch, tuple[Any, Any]] = {}


def problem_with(base: ModuleType) -> str | None:
    """The first method of `sqlalchemy.engine.base` that is not there, or not as we know it."""
    for patch in PATCHES:
        if patch in _installed:
            continue
        method = getattr(getattr(base, patch.owner, None), patch.method, None)
        if method is None or tuple(inspect.signature(method).parameters) != patch.parameters:
            return f"{patch.owner}.{patch.method} is not what it was"
    return None


def install(base: ModuleType) -> None:
    """Wrap the methods; what is wrapped already stays so."""
    for patch in PATCHES:
        if patch not in _installed:
            owner = getattr(base, patch.owner)
            original = owner.__dict__[patch.method]
            wrapper = hide_from_find_caller(patch.around(original))  # `echo` names the line that calls
            wrapper.__doc__ = original.__doc__
            _installed[patch] = (original, wrapper)
            setattr(owner, patch.method, wrapper)


def remove(base: ModuleType) -> None:
    """Put the methods back; under somebody else's wrapper ours stays, and passes through."""
    for patch, (original, wrapper) in tuple(_installed.items()):
        owner = getattr(base, patch.owner)
        if owner.__dict__[patch.method] is wrapper:
            setattr(owner, patch.method, original)
            del _installed[patch]
