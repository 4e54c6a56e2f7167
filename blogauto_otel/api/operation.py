"""An operation: a named piece of the application's work, with a span, its duration and its errors."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import aclosing
from types import TracebackType
from typing import Annotated, Any, Final, Literal, TypeVar, cast, overload

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context, get_current
from opentelemetry.trace import Span, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from blogauto_otel import semconv
from blogauto_otel._guard import guard, swallow
from blogauto_otel._memo import BoundedMemo
from blogauto_otel._otel import span_in
from blogauto_otel._process import register
from blogauto_otel.api.declarations import AtMost, counter, histogram
from blogauto_otel.api.statements import StatementCounts, report
from blogauto_otel.api.text import class_name, description, safe_text, type_name

F = TypeVar("F", bound=Callable[..., Any])

MAX_NAMES: Final = 1000  # of operations with their outcome, for which what records is remembered

_SECONDS: Final = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)

_CURRENT: Final = "blogauto-operation"  # in the context: the innermost operation

OperationName = Annotated[str, AtMost(100)]
Outcome = Literal["success", "error", "cancelled"]


@histogram("operation.duration", unit="s", boundaries=_SECONDS, domain="operation")
def operation_duration(*, operation: OperationName, outcome: Outcome) -> None:
    """Duration of a named operation of the application, in seconds."""


@counter("operation.errors", unit="{error}", domain="operation")
def operation_errors(*, operation: OperationName, type: Annotated[str, AtMost(50)]) -> None:  # noqa: A002 - the label's name
    """Named operations that raised an exception, by exception class."""


def current_operation() -> str | None:
    """The name of the innermost operation under way; None outside of any."""
    run = current_run(get_current())
    return None if run is None else run.name


def current_run(context: Context) -> _OperationRun | None:
    """The innermost operation under way in a context."""
    return cast("_OperationRun | None", context.get(_CURRENT))


@overload
def operation(function: F, /) -> F: ...
@overload
def operation(name: str, /, **attributes: AttributeValue) -> Operation: ...
def operation(name: str | F, /, **attributes: AttributeValue) -> Operation | F:
    """Trace, time and count a block or a function.

        with operation("wordpress.publish", site=site) as span:
            ...

        @operation("content.generate")
        async def generate(title: str) -> str: ...

        @operation
        def publish() -> None: ...  # the operation is named for the function, with its module

    Args:
        name: of the span and of the label `operation`: a few fixed names, never an id or a URL.
        attributes: of the span only; labels are for what has few values.

    An exception passes untouched; it is recorded on the span, and counted by its class. What is no `Exception`, such as
    a cancelled task, is outcome `cancelled` and no error. The block gets the span, for attributes known later.

    As a decorator it may be used again and recursively: each call is an operation of its own. A generator function is
    measured from its first item to its end, and its span is not the parent of what happens between its items, because
    a generator runs in whatever context asks for the next one. As a context manager, `async with` works as well.
    """
    if isinstance(name, str) or not callable(name):
        return Operation(name, **attributes)
    return Operation(_name_of(name))(name)


def _name_of(function: Callable[..., Any]) -> str:
    qualified = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{getattr(function, '__module__', None) or ''}.{qualified}".replace("<locals>.", "").lstrip(".")


class Operation:
    """What `operation` returns for a name: a context manager, and a decorator."""

    __slots__ = ("_attributes", "_name", "_runs")

    def __init__(self, name: str, /, **attributes: AttributeValue) -> None:
        self._name = name
        self._attributes = attributes
        self._runs: list[_OperationRun] = []

    def __enter__(self) -> Span:
        # The span of a second run tells the two apart at their ends.
        run = _OperationRun(self._name, self._attributes, needs_span=bool(self._runs))
        self._runs.append(run)
        return run.span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pop().finish(error)

    def _pop(self) -> _OperationRun:
        """The run that ends: of several under way at once, in other tasks or threads, the one whose span is current."""
        runs = self._runs
        if len(runs) > 1:
            here = trace.get_current_span()
            for run in reversed(runs):
                if run.span is here:
                    runs.remove(run)
                    return run
        return runs.pop()

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """Decorate a function, a coroutine function, or a generator function of either kind."""
        wrap = next(wrap for is_kind, wrap in _WRAPPERS if is_kind(function))
        return cast("F", functools.wraps(function)(wrap(function, self._name, self._attributes)))


class _OperationRun:
    """One execution of an operation, from its span's start to its end."""

    __slots__ = ("_has_span", "_started", "_token", "name", "span", "statements")

    def __init__(
        self, name: str, attributes: dict[str, AttributeValue], *, is_current: bool = True, needs_span: bool = False
    ) -> None:
        self.name = name
        self._token: Any = None
        self.statements: StatementCounts | None = None  # those outside of a request
        current = span_in(get_current())
        provider = trace.get_tracer_provider()
        # Below an unsampled span of ours no span is sampled: the operation starts none, and uses that one.
        self._has_span = (
            needs_span
            or getattr(current, "is_sampled", None) is not False
            or not getattr(provider, "drops_below_unsampled", False)
        )
        self.span: Span = current if current is not None else trace.INVALID_SPAN
        if self._has_span:
            self._start(provider, attributes, is_current=is_current)
        elif is_current:
            self._enter(get_current())
        self._started = time.perf_counter()

    def _start(
        self, provider: trace.TracerProvider, attributes: dict[str, AttributeValue], *, is_current: bool
    ) -> None:
        self.span = trace.INVALID_SPAN
        with guard("starting an operation"):
            self.span = _tracer(provider).start_span(safe_text(self.name, 200), attributes=attributes)
            if is_current:
                self._enter(trace.set_span_in_context(self.span))

    def _enter(self, context: Context) -> None:
        self._token = otel_context.attach(otel_context.set_value(_CURRENT, self, context))

    def finish(self, error: BaseException | None) -> None:
        seconds = time.perf_counter() - self._started
        outcome: Outcome = "success" if error is None else "error" if isinstance(error, Exception) else "cancelled"
        # Before the span is left, so that the measurement's exemplar points at it.
        try:
            record = _state.durations.get((self.name, outcome)) or _duration_of(self.name, outcome)
            record(seconds)
        except BaseException as broken:  # a name that is no text
            if not swallow("measuring an operation", broken):
                raise
        if outcome == "error" and error is not None:
            self._record_error(error)
        if self.statements is not None and self.statements.is_remarkable:
            with guard("reporting repeated statements"):
                self.span.set_attributes(report(self.statements, self.name))
        if self._token is not None:
            _detach(self._token)
        if self._has_span or error is not None:  # an exception ends a span that is not its own, too
            with guard("ending an operation"):
                self.span.end()

    def _record_error(self, error: BaseException) -> None:
        with guard("measuring an operation"):
            operation_errors.add(operation=self.name, type=class_name(type(error)))
        with guard("recording an operation's exception"):
            if self.span.is_recording():
                self.span.set_attribute("error.type", type_name(type(error)))
                self.span.set_status(Status(StatusCode.ERROR, description(error)))
                self.span.record_exception(error)


def _detach(token: Any) -> None:
    # The event loop closes an abandoned async generator in another context than its own, which stays as it is;
    # OpenTelemetry's `detach` would log an error.
    try:
        token.var.reset(token)
    except ValueError:
        pass


def _around_coroutine(function: Any, name: str, attributes: dict[str, AttributeValue]) -> Any:
    async def call(*args: Any, **kwargs: Any) -> Any:
        run = _OperationRun(name, attributes)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            run.finish(error)
            raise
        run.finish(None)
        return result

    return call


def _around_function(function: Any, name: str, attributes: dict[str, AttributeValue]) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        run = _OperationRun(name, attributes)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            run.finish(error)
            raise
        run.finish(None)
        return result

    return call


class _DetachedRun:
    """A run whose span is never the current one."""

    __slots__ = ("_run",)

    def __init__(self, name: str, attributes: dict[str, AttributeValue]) -> None:
        self._run = _OperationRun(name, attributes, is_current=False)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._run.finish(error)


def _around_generator(function: Any, name: str, attributes: dict[str, AttributeValue]) -> Any:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with _DetachedRun(name, attributes):
            return (yield from function(*args, **kwargs))

    return call


def _around_async_generator(function: Any, name: str, attributes: dict[str, AttributeValue]) -> Any:
    async def call(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        with _DetachedRun(name, attributes):
            async with aclosing(function(*args, **kwargs)) as items:
                async for item in items:
                    yield item

    return call


_WRAPPERS: Final = (
    (inspect.iscoroutinefunction, _around_coroutine),
    (inspect.isasyncgenfunction, _around_async_generator),
    (inspect.isgeneratorfunction, _around_generator),
    (callable, _around_function),
)


def _duration_of(name: str, outcome: Outcome) -> Callable[[float], None]:
    """What records the durations of an operation."""
    return _state.durations.remember((name, outcome), operation_duration.bound(operation=name, outcome=outcome))


class _State:
    """The tracer of the current provider: asking for one costs ten times what starting a span costs.

    Likewise what records the durations of each operation by its outcome.
    """

    def __init__(self) -> None:
        self.durations: BoundedMemo[tuple[str, str], Callable[[float], None]] = BoundedMemo(MAX_NAMES)
        self.provider: object = None
        self.tracer: trace.Tracer = trace.NoOpTracer()


_state: Final = register(_State())


def _tracer(provider: trace.TracerProvider) -> trace.Tracer:
    if provider is not _state.provider:
        _state.tracer = provider.get_tracer(semconv.SCOPE_OPERATION)
        _state.provider = provider
    return _state.tracer
