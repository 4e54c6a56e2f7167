"""What is bound appears on later spans, and work handed to a thread pool belongs to the request that handed it over.

`ThreadPoolExecutor.submit`, and `run_in_executor` through it, lose the context; `asyncio.to_thread` and sync endpoints
keep it. Carried is ours alone (the current span, baggage and what is bound), because an application's own context
variables in a thread that never had them would change what it does.

`threading.Thread` is left as it is: a thread may outlive its request by days, as those of drivers and schedulers do,
and would write into its trace and keep its objects alive for as long.

An exception remembers the span that it ended, for those who tell of it later (`api/failures.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, Token
from typing import Any, Final, NamedTuple

from opentelemetry import context as otel
from opentelemetry.trace import TracerProvider

from blogauto_otel._guard import guard
from blogauto_otel.api.context import Scope, end_request, enter, scope
from blogauto_otel.instrumentation import Context, Report, State, asyncio_errors, non_recording
from blogauto_otel.instrumentation.bound_context import BoundContextProcessor

NAME: Final = "context"

_original: Callable[..., Any] | None = None
_wrapper: Callable[..., Any] | None = None
_on = False
_processor: BoundContextProcessor | None = None
_variables: Final[list[ContextVar[Any]]] = []


def propagate(variable: ContextVar[Any]) -> None:
    """Carry this variable as well, for a part of ours that keeps something there for each request."""
    if variable not in _variables:
        _variables.append(variable)


def drop(variable: ContextVar[Any]) -> None:
    """Carry it no longer."""
    if variable in _variables:
        _variables.remove(variable)


def instrument(context: Context) -> Report:
    """Carry the context from now on, in every pool of the process, and put what is bound on spans."""
    global _original, _wrapper, _on
    on_spans = _put_on_spans(context.tracer_provider)
    asyncio_errors.patch()
    non_recording.patch()
    if not context.settings.threads:
        return Report(NAME, State.OFF, f"in threads, by BLOGAUTO_OTEL_THREADS{on_spans}")
    _on = True
    if _wrapper is None:
        _original = ThreadPoolExecutor.submit
        _wrapper = _carrying(_original)
        ThreadPoolExecutor.submit = _wrapper  # type: ignore[method-assign]
    return Report(NAME, State.ON, f"ThreadPoolExecutor{on_spans}")


def _put_on_spans(provider: TracerProvider) -> str:
    """Add the processor, whoever made the provider; says so when it takes none."""
    global _processor
    _let_processor_rest()
    add: Callable[[BoundContextProcessor], None] | None = getattr(provider, "add_span_processor", None)
    if add is None:
        return f"; what is bound is not on spans: {type(provider).__name__} takes no processors"
    _processor = BoundContextProcessor()
    add(_processor)
    return ""


def _let_processor_rest() -> None:
    global _processor
    if _processor is not None:
        _processor.enabled = False
        _processor = None


def uninstrument() -> None:
    """Put `submit` back; under somebody else's wrapper ours stays, and passes through."""
    global _original, _wrapper, _on
    _on = False
    _let_processor_rest()
    asyncio_errors.unpatch()
    non_recording.unpatch()
    if _original is not None and ThreadPoolExecutor.submit is _wrapper:
        ThreadPoolExecutor.submit = _original  # type: ignore[method-assign]
        _original = _wrapper = None


def _carrying(original: Callable[..., Any]) -> Callable[..., Any]:
    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        carried = _carried() if _on else None
        if carried is None:
            return original(self, fn, *args, **kwargs)
        return original(self, _run, carried, fn, args, kwargs)

    submit.__doc__ = original.__doc__
    return submit


class _Carried(NamedTuple):
    """What goes along to another thread."""

    context: otel.Context
    bound: Scope | None
    variables: list[tuple[ContextVar[Any], Any]]


def _carried() -> _Carried | None:
    """The context at hand, or `None` where there is none, which is most often."""
    current, bound = otel.get_current(), scope()
    if not current and bound is None:
        return None
    return _Carried(current, bound, [(variable, variable.get(None)) for variable in _variables])


def _run(carried: _Carried, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Run one piece of work in the context it was handed over in; the pool's thread is left as it was."""
    attached = otel.attach(carried.context)
    entered = enter(carried.bound) if carried.bound is not None else None
    tokens = [(variable, variable.set(value)) for variable, value in carried.variables]
    try:
        return fn(*args, **kwargs)
    finally:
        with guard("leaving the context of a thread"):
            _reset(tokens)
            if entered is not None:
                end_request(entered)
            otel.detach(attached)


def _reset(tokens: list[tuple[ContextVar[Any], Token[Any]]]) -> None:
    for variable, token in tokens:
        variable.reset(token)
