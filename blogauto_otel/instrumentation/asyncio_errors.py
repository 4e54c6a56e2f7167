"""Errors of asyncio tasks that nobody awaited, reported in the context of the task.

The event loop reports one when the garbage collector finds the task, in the middle of any other request, or in none.
"""

from __future__ import annotations

import contextvars
import gc
import sys
from typing import Any, Final

from blogauto_otel._guard import guard
from blogauto_otel._process import register
from blogauto_otel.instrumentation.patching import Function, MethodPatch

# Event loop classes with the method that asyncio calls.
LOOPS: Final = (("asyncio.base_events", "BaseEventLoop"), ("uvloop", "Loop"))
METHOD: Final = "call_exception_handler"


def patch() -> None:
    """Patch the event loops, those that are imported later too."""
    for module, name in LOOPS:
        _patch.apply(module, name, METHOD)


def unpatch() -> None:
    """Restore what is still ours."""
    _patch.reset()


def _in_context_of_task(call: Function) -> Function:
    def call_exception_handler(self: Any, context: dict[str, Any]) -> None:
        task_context = None
        if _patch.is_on:
            with guard("finding the context of a task"):
                task_context = _context_of(context)
        if task_context is None:
            call(self, context)
        else:
            task_context.run(call, self, context)

    return call_exception_handler


_patch: Final = register(MethodPatch(_in_context_of_task))


def _context_of(error: dict[str, Any]) -> contextvars.Context | None:
    """A copy of the context of what failed, as it may be in use; an empty one for a future, which has none."""
    subject = error.get("task") or error.get("future") or error.get("handle")
    if subject is None:
        return None
    found = _get_context(subject)
    return found.copy() if found is not None else contextvars.Context()


def _get_context(subject: Any) -> contextvars.Context | None:
    get = getattr(subject, "get_context", None)  # tasks since Python 3.12
    found = get() if get is not None else getattr(subject, "_context", None)
    if found is None and sys.implementation.name == "cpython":  # earlier tasks in C have no attribute for it
        found = next((part for part in gc.get_referents(subject) if isinstance(part, contextvars.Context)), None)
    return found if isinstance(found, contextvars.Context) else None
