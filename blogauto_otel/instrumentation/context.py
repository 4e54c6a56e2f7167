"""What is bound to a request, on its later spans; and the request's context in the threads of an executor."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, ParamSpec, TypeVar

from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import Span, SpanProcessor

from blogauto_otel._guard import swallow
from blogauto_otel.instrumentation import Context, Report, State
from blogauto_otel.signals import context as bound_context

P = ParamSpec("P")
R = TypeVar("R")

_active: BoundContextProcessor | None = None


class BoundContextProcessor(SpanProcessor):
    """Puts bound context on spans when they start."""

    def __init__(self) -> None:
        self.enabled = True

    def on_start(self, span: Span, parent_context: otel_context.Context | None = None) -> None:  # noqa: ARG002
        """Costs a dictionary's truth value when nothing is bound."""
        try:
            values = bound_context.bound()
            if values and self.enabled:
                span.set_attributes(values)
        except Exception as error:
            if not swallow("putting bound context on a span", error):
                raise


_stock_submit: Final = ThreadPoolExecutor.submit


def _submit(self: ThreadPoolExecutor, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
    """In the place of `ThreadPoolExecutor.submit`, which leaves the context behind (so `loop.run_in_executor` does)."""
    if _active is None:
        return _stock_submit(self, function, *args, **kwargs)
    return _stock_submit(self, _carrying(function), *args, **kwargs)


def _carrying(function: Callable[P, R]) -> Callable[P, R]:
    """The function, with trace and bound context of here; other context variables stay those of the thread."""
    context, scope = otel_context.get_current(), bound_context.scope()
    if not context and scope is None:
        return function

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        attached = otel_context.attach(context)
        entered = bound_context.enter(scope) if scope is not None else None
        try:
            return function(*args, **kwargs)
        finally:
            if entered is not None:
                bound_context.end_request(entered)
            otel_context.detach(attached)

    return call


def instrument(context: Context) -> Report:
    """Add the processor to the tracer provider, whoever made it, and carry context into thread pools."""
    global _active
    uninstrument()
    _active = BoundContextProcessor()
    ThreadPoolExecutor.submit = _submit  # type: ignore[method-assign, assignment]
    add: Any = getattr(context.tracer_provider, "add_span_processor", None)
    if add is None:
        return Report(
            "context", State.ON, f"not on spans: {type(context.tracer_provider).__name__} takes no processors"
        )
    add(_active)
    return Report("context", State.ON)


def uninstrument() -> None:
    """A processor cannot be taken out again: it rests."""
    global _active
    if _active is not None:
        _active.enabled = False
        _active = None
    if ThreadPoolExecutor.submit is _submit:
        ThreadPoolExecutor.submit = _stock_submit  # type: ignore[method-assign]
