"""Background tasks: each has a span of its own, because it runs after the response and outside the request's duration.

The span is a child of the request's, although it starts when its parent has ended. FastAPI's own telemetry makes one
too, where the application gave it a provider of its own; then that is the only one.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from time import perf_counter_ns, time_ns
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry.semconv.attributes.code_attributes import CODE_FUNCTION_NAME
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode, get_current_span, set_span_in_context

from blogauto_otel import semconv
from blogauto_otel._class_names import type_name
from blogauto_otel._guard import guard
from blogauto_otel.api.failures import record_failure
from blogauto_otel.api.text import description
from blogauto_otel.instrumentation.server import attributes, hooks
from blogauto_otel.instrumentation.server.deferred import ERROR, DeferredSpan
from blogauto_otel.instrumentation.server.instrumentation import ServerInstrumentation
from blogauto_otel.instrumentation.server.request import Request
from blogauto_otel.instrumentation.server.request_context import restore_token

NATIVE_SPAN: Final = "fastapi.background_task"


async def run(
    server: ServerInstrumentation, request: Request, task: Any, call: Callable[[Any], Awaitable[None]]
) -> None:
    """Run a background task of `request`, after finishing the request."""
    if request.ended is not None:
        with guard("finishing a request before its background task"):
            server.finish(request)
    native = get_current_span()
    if getattr(native, "name", None) == NATIVE_SPAN:
        await _run_in_native_span(request, native, task, call)
        return
    began = time_ns(), perf_counter_ns()
    span = _start(server, task)
    token = otel_context.attach(set_span_in_context(span))
    try:
        await call(task)
    except Exception as error:
        with guard("reporting a failed background task"):
            _fail(server, request, task, span, began, error)
        raise
    finally:
        restore_token(token)
        with guard("ending the span of a background task"):
            span.end()


async def _run_in_native_span(request: Request, span: Span, task: Any, call: Callable[[Any], Awaitable[None]]) -> None:
    try:
        await call(task)
    except Exception as error:
        with guard("reporting a failed background task"):
            request.reported_error = error
            hooks.request_failed(error, span)
        raise


def _start(server: ServerInstrumentation, task: Any) -> Span:
    span: Span = INVALID_SPAN
    with guard("starting the span of a background task"):
        span = server.tracer.start_span(_span_name(task), None, SpanKind.INTERNAL)
        if span.is_recording():
            span.set_attribute(CODE_FUNCTION_NAME, _function_name(task))
    return span


def _fail(
    server: ServerInstrumentation, request: Request, task: Any, span: Span, began: tuple[int, int], error: Exception
) -> None:
    request.reported_error = error
    if span.is_recording():
        span.set_attribute(attributes.ERROR_TYPE, type_name(type(error)))
        span.record_exception(error)
        span.set_status(StatusCode.ERROR, description(error))
    if span.get_span_context().trace_flags.sampled or not server.deferred.can_write(request):
        hooks.request_failed(error, span)
        return
    deferred = DeferredSpan(span.get_span_context())
    record_failure(error, deferred.get_span_context())
    hooks.request_failed(error, deferred)
    deferred.set_attributes(
        {
            CODE_FUNCTION_NAME: _function_name(task),
            attributes.ERROR_TYPE: type_name(type(error)),
            semconv.SAMPLING_REASON: ERROR,
        }
    )
    server.deferred.write(
        deferred,
        name=_span_name(task),
        kind=SpanKind.INTERNAL,
        parent=request.span.get_span_context(),
        times=(began[0], began[0] + perf_counter_ns() - began[1]),
        failed=True,
        error=error,
    )


def _function(task: Any) -> Any:
    function = task.func
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _span_name(task: Any) -> str:
    return f"background {getattr(_function(task), '__name__', type(_function(task)).__name__)}"


def _function_name(task: Any) -> str:
    function = _function(task)
    kind = function if hasattr(function, "__qualname__") else type(function)
    return f"{kind.__module__}.{kind.__qualname__}"
