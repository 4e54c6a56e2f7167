"""Bound context on spans, and the context of a request in thread pools and timers.

`ThreadPoolExecutor.submit`, and `run_in_executor` through it, lose the context; `asyncio.to_thread` and sync endpoints
keep it. Only ours is propagated (the current span, baggage, bound values), because an application's own context
variables in a thread that never had them would change what it does.

`threading.Thread` stays as it is: a thread may outlive its request by days, as those of drivers and schedulers do, and
would write into its trace and keep its objects alive for as long.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, Token
from typing import Any, Final, NamedTuple

from opentelemetry import context as otel
from opentelemetry.trace import TracerProvider

from blogauto_otel._guard import guard
from blogauto_otel._process import register
from blogauto_otel.api.context import Scope, enter, leave, scope
from blogauto_otel.instrumentation import Context, Report, State, asyncio_errors, asyncio_timers, span_context
from blogauto_otel.instrumentation.patching import Function, MethodPatch
from blogauto_otel.instrumentation.span_context import BoundContextProcessor

NAME: Final = "context"


class _State:
    """The processor in use, and the variables that are propagated beside ours."""

    def __init__(self) -> None:
        self.processor: BoundContextProcessor | None = None
        self.variables: list[ContextVar[Any]] = []

    def reset(self) -> None:
        """Disable the processor."""
        if self.processor is not None:
            self.processor.enabled = False
            self.processor = None


_state: Final = register(_State())


def propagate(variable: ContextVar[Any]) -> None:
    """Propagate this variable too, for a part of ours that keeps something of each request there."""
    if variable not in _state.variables:
        _state.variables.append(variable)


def stop_propagating(variable: ContextVar[Any]) -> None:
    """Undo `propagate`."""
    if variable in _state.variables:
        _state.variables.remove(variable)


def instrument(context: Context) -> Report:
    """Propagate the context into every thread pool of the process, and put bound context on spans."""
    on_spans = _add_processor(context.tracer_provider)
    asyncio_errors.patch()
    asyncio_timers.patch()
    span_context.patch_non_recording()
    if not context.settings.threads:
        return Report(NAME, State.OFF, f"in threads, by BLOGAUTO_OTEL_THREADS{on_spans}")
    _submit.apply("concurrent.futures.thread", "ThreadPoolExecutor", "submit")
    return Report(NAME, State.ON, f"ThreadPoolExecutor{on_spans}")


def _add_processor(provider: TracerProvider) -> str:
    """Add the processor to the tracer provider; returns what to report when the provider accepts none."""
    _state.reset()
    add: Callable[[BoundContextProcessor], None] | None = getattr(provider, "add_span_processor", None)
    if add is None:
        return f"; bound context is not on spans: {type(provider).__name__} takes no processors"
    _state.processor = BoundContextProcessor()
    add(_state.processor)
    return ""


def uninstrument() -> None:
    """Restore `submit`; under another wrapper ours stays, and passes calls through."""
    _submit.reset()
    _state.reset()
    asyncio_errors.unpatch()
    asyncio_timers.unpatch()
    span_context.unpatch_non_recording()


def _propagating(original: Function) -> Function:
    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        snapshot = _take_snapshot() if _submit.is_on else None
        if snapshot is None:
            return original(self, fn, *args, **kwargs)
        return original(self, _run, snapshot, fn, args, kwargs)

    return submit


_submit: Final = register(MethodPatch(_propagating))


class _Snapshot(NamedTuple):
    """What is propagated to another thread."""

    context: otel.Context
    bound: Scope | None
    variables: list[tuple[ContextVar[Any], Any]]


def _take_snapshot() -> _Snapshot | None:
    """The current context, or None where there is none, which is most often."""
    current, bound = otel.get_current(), scope()
    if not current and bound is None:
        return None
    return _Snapshot(current, bound, [(variable, variable.get(None)) for variable in _state.variables])


def _run(snapshot: _Snapshot, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Run one piece of work in the context in which it was submitted, and restore that of the pool's thread."""
    attached = otel.attach(snapshot.context)
    entered = enter(snapshot.bound) if snapshot.bound is not None else None
    tokens = [(variable, variable.set(value)) for variable, value in snapshot.variables]
    try:
        return fn(*args, **kwargs)
    finally:
        with guard("leaving the context of a thread"):
            _reset(tokens)
            if entered is not None:
                leave(entered)
            otel.detach(attached)


def _reset(tokens: list[tuple[ContextVar[Any], Token[Any]]]) -> None:
    for variable, token in tokens:
        variable.reset(token)
