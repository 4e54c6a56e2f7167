"""What asyncio says of a task that nobody awaited is said in that task's context.

It says so when the garbage collector finds the task, in the middle of any other request, or in none.
"""

from __future__ import annotations

import contextvars
import functools
import gc
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from blogauto_otel._guard import guard
from blogauto_otel.instrumentation.patching import when_imported

Function = Callable[..., Any]

# Where event loops have the method that asyncio tells of such tasks.
LOOPS: Final = (("asyncio.base_events", "BaseEventLoop"), ("uvloop", "Loop"))
METHOD: Final = "call_exception_handler"

_wanted = False
_patched: Final[dict[type, tuple[Function | None, Function]]] = {}  # class -> what it had of its own, ours


def patch() -> None:
    """Change the event loops that are imported, and others when they are."""
    global _wanted
    _wanted = True
    for module, name in LOOPS:
        when_imported(module, functools.partial(_change, name))


def unpatch() -> None:
    """Put back what is still ours."""
    global _wanted
    _wanted = False
    for loop, (before, ours) in tuple(_patched.items()):
        if vars(loop).get(METHOD) is not ours:
            continue
        if before is None:
            delattr(loop, METHOD)
        else:
            setattr(loop, METHOD, before)
        del _patched[loop]


def _change(name: str, module: ModuleType) -> None:
    loop = getattr(module, name, None)
    if not _wanted or loop is None or loop in _patched:
        return
    with guard(f"patching {name}"):
        ours = _in_its_context(getattr(loop, METHOD))
        _patched[loop] = vars(loop).get(METHOD), ours
        setattr(loop, METHOD, ours)


def _in_its_context(call: Function) -> Function:
    def call_exception_handler(self: Any, context: dict[str, Any]) -> None:
        its_own = None
        if _wanted:
            with guard("finding the context of a task"):
                its_own = _context_of(context)
        if its_own is None:
            call(self, context)
        else:
            its_own.run(call, self, context)

    call_exception_handler.__doc__ = call.__doc__
    return call_exception_handler


def _context_of(told: dict[str, Any]) -> contextvars.Context | None:
    """The context of what is told of, as a copy, since it may be in use; an empty one for a future, which has none."""
    subject = told.get("task") or told.get("future") or told.get("handle")
    if subject is None:
        return None
    found = _get_context(subject)
    return found.copy() if found is not None else contextvars.Context()


def _get_context(subject: Any) -> contextvars.Context | None:
    get = getattr(subject, "get_context", None)  # tasks since Python 3.12
    found = get() if get is not None else getattr(subject, "_context", None)
    if found is None and sys.implementation.name == "cpython":  # tasks in C before that have no other way to ask them
        found = next((part for part in gc.get_referents(subject) if isinstance(part, contextvars.Context)), None)
    return found if isinstance(found, contextvars.Context) else None
