"""Timers of asyncio that outlive their request: what they run later is not part of it.

A timer runs in a copy of the context that it was set in, and one that sets the next passes that copy on: a scheduler
that a request has started would stay in that request for ever. When the request has ended, a timer runs outside it, and
the spans that it starts are of new traces, linked to the request's span. A task that a request leaves behind stays in
its trace, however long it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from opentelemetry import context as otel
from opentelemetry import trace

from blogauto_otel._guard import guard
from blogauto_otel._process import register
from blogauto_otel.api.context import SCOPE, leave_ended_request
from blogauto_otel.instrumentation.patching import Function, MethodPatch
from blogauto_otel.instrumentation.span_context import LINK

# Event loop classes with the method by which all of their timers are set.
TIMERS: Final = (("asyncio.base_events", "BaseEventLoop", "call_at"), ("uvloop", "Loop", "call_later"))
# Callbacks of these modules wake a task, which has a context of its own.
_WAKING: Final = frozenset({"asyncio.futures", "asyncio.tasks", "asyncio.timeouts"})


def patch() -> None:
    """Patch the event loops, those that are imported later too."""
    for timer in TIMERS:
        _patch.apply(*timer)


def unpatch() -> None:
    """Restore what is still ours."""
    _patch.reset()


def _leaving_ended_requests(schedule: Function) -> Function:
    def call(self: Any, *args: Any, context: Any = None, **named: Any) -> Any:
        if context is not None or named or not SCOPE.get().is_request or not _may_outlive_request(args):
            return schedule(self, *args, context=context, **named)
        return schedule(self, args[0], _run, args[1], args[2:])

    return call


_patch: Final = register(MethodPatch(_leaving_ended_requests))


def _may_outlive_request(args: tuple[Any, ...]) -> bool:
    return _patch.is_on and len(args) >= 2 and getattr(args[1], "__module__", None) not in _WAKING


def _run(callback: Callable[..., object], args: tuple[Any, ...]) -> None:
    """Run in the context of one timer alone, so nothing has to be restored."""
    with guard("leaving a request that has ended"):
        if leave_ended_request():
            of_request = trace.get_current_span().get_span_context()
            otel.attach(otel.Context({LINK: of_request} if of_request.is_valid else {}))
    callback(*args)
