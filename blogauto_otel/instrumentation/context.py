"""Work handed to a thread pool belongs to the trace and the request that handed it over.

`ThreadPoolExecutor.submit`, and `run_in_executor` through it, lose the context; `asyncio.to_thread` and sync endpoints
keep it. Carried is ours alone (the current span, baggage and what is bound), because an application's own context
variables in a thread that never had them would change what it does.

`threading.Thread` is left as it is: a thread may outlive its request by days, as those of drivers and schedulers do,
and would write into its trace and keep its objects alive for as long.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from opentelemetry import context as otel

from blogauto_otel._guard import guard
from blogauto_otel.instrumentation import Context, Report, State
from blogauto_otel.signals.context import _current as _bound

NAME: Final = "context"

_original: Callable[..., Any] | None = None
_wrapper: Callable[..., Any] | None = None
_on = False


def instrument(context: Context) -> Report:
    """Carry the context from now on, in every pool of the process."""
    global _original, _wrapper, _on
    if not context.settings.threads:
        return Report(NAME, State.OFF, "by BLOGAUTO_OTEL_THREADS")
    _on = True
    if _wrapper is None:
        _original = ThreadPoolExecutor.submit
        _wrapper = _carrying(_original)
        ThreadPoolExecutor.submit = _wrapper  # type: ignore[method-assign]
    return Report(NAME, State.ON, "ThreadPoolExecutor")


def uninstrument() -> None:
    """Put `submit` back; under somebody else's wrapper ours stays, and passes through."""
    global _original, _wrapper, _on
    _on = False
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


def _carried() -> tuple[otel.Context, Any] | None:
    """The context at hand, or `None` where there is none, which is most often."""
    current, bound = otel.get_current(), _bound.get(None)
    return (current, bound) if current or bound is not None else None


def _run(carried: tuple[otel.Context, Any], fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Run one piece of work in the context it was handed over in; the pool's thread is left as it was."""
    current, bound = carried
    attached = otel.attach(current)
    binding = _bound.set(bound) if bound is not None else None
    try:
        return fn(*args, **kwargs)
    finally:
        with guard("leaving the context of a thread"):
            if binding is not None:
                _bound.reset(binding)
            otel.detach(attached)
