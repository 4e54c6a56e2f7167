"""Records statements that have ended as measurements and spans."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import get_current
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, get_current_span

from blogauto_otel import _process, semconv
from blogauto_otel._guard import guard
from blogauto_otel._suppression import is_suppressed
from blogauto_otel.api.context import bound
from blogauto_otel.instrumentation import Context
from blogauto_otel.instrumentation.sqlalchemy.databases import Attributes, Database
from blogauto_otel.instrumentation.sqlalchemy.failures import error_attributes, error_message
from blogauto_otel.sdk.histogram import Bound, bind

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Dialect, Engine

# https://opentelemetry.io/docs/specs/semconv/db/database-metrics/: the advised edges, in seconds.
BOUNDARIES: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)

_SCOPE: Final = InstrumentationScope(semconv.SCOPE_SQL)
_SUCCESS: Final = Status()

_MIN_TEXT: Final = 4096  # characters of a statement that are parsed, however short its attribute may be


class Recorder:
    """Records until `uninstrument`."""

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self.redactor = context.redactor
        self._root_spans = settings.sql_root_spans
        self._max_text = max(settings.span_attribute_length, _MIN_TEXT)
        self._databases: weakref.WeakKeyDictionary[Dialect, Database] = weakref.WeakKeyDictionary()
        self._tracer = context.tracer_provider.get_tracer(semconv.SCOPE_SQL)
        self._deferred = _DeferredSpanWriter(context)
        self._hook = context.hooks.sql_statement if context.hooks else None
        self._duration = context.meter_provider.get_meter(semconv.SCOPE_SQL).create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of database client operations.",
            explicit_bucket_boundaries_advisory=BOUNDARIES,
        )

    def statement(
        self,
        connection: Connection,
        text: str,
        parameter_sets: Sequence[Any],
        elapsed: float,
        error: BaseException | None,
    ) -> None:
        """Record one statement that has ended; with several sets of parameters it was executed as one batch."""
        context = get_current()
        if is_suppressed(context) or not getattr(connection, "_allow_autobegin", True):
            return  # not a statement of the application: SQLAlchemy asks a new connection for its version and the like
        size = len(parameter_sets)
        statement = self.database(connection.engine).statement(text, batched=size > 1)
        failed = error_attributes(error) if error is not None else None
        parent = get_current_span(context).get_span_context()
        if failed:
            self._duration.record(elapsed, {**statement.point, **failed}, context)
        else:
            statement.duration.record(elapsed, parent)
        if self._root_spans or parent.trace_flags & 1:
            batch: Attributes = {"db.operation.batch.size": size} if size > 1 else {}
            attributes = {**statement.span, **batch, **(failed or {})}
            call_hook = None if self._hook is None else partial(self._call_hook, text, any(parameter_sets))
            self._span(statement.name, attributes, parent, elapsed, error, call_hook)

    def wait(self, name: str, engine: Engine, elapsed: float, error: BaseException | None) -> None:
        """Record a connect or a commit that failed or was slow, in a sampled trace."""
        context = get_current()
        parent = get_current_span(context).get_span_context()
        if is_suppressed(context) or not parent.trace_flags & 1:
            return
        failed = error_attributes(error) if error is not None else {}
        attributes = {**self.database(engine).attributes, "db.operation.name": name, **failed}
        self._span(name, attributes, parent, elapsed, error)

    def database(self, engine: Engine) -> Database:
        """The database of an engine; an engine with other execution options has the same dialect."""
        found = self._databases.get(engine.dialect)
        if found is None:
            found = Database(engine, redactor=self.redactor, max_text=self._max_text, duration=self._bound_duration)
            self._databases[engine.dialect] = found
        return found

    def _bound_duration(self, point: Attributes) -> Bound:
        return bind(self._duration, point)

    def _span(
        self,
        name: str,
        attributes: Attributes,
        parent: SpanContext,
        elapsed: float,
        error: BaseException | None,
        call_hook: Callable[[Span], None] | None = None,
    ) -> None:
        """Create a span that has ended, with its true start."""
        end = time_ns()
        start = end - int(elapsed * 1e9)
        attributes.update(bound())
        status = _SUCCESS if error is None else Status(StatusCode.ERROR, error_message(error, self.redactor))
        if call_hook is None and self._deferred.write(name, attributes, parent, start, end, status):
            return
        span = self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes, start_time=start)
        if error is not None:
            span.set_status(status)
        if call_hook is not None and span.is_recording():
            call_hook(span)
        span.end(end)

    def _call_hook(self, text: str, parameters_given: bool, span: Span) -> None:
        with guard("calling the hook for SQL statements"):
            if self._hook is not None:
                self._hook(span, text, parameters_given)


class _DeferredSpanWriter:
    """Writes a span that has ended at half the cost of one that is started and ended.

    It asks no sampler and calls no `on_start`. So it writes only below a sampled parent, where our sampler samples, and
    as long as no processor of the application has an `on_start`.
    """

    def __init__(self, context: Context) -> None:
        self._provider: Any = context.tracer_provider
        has_known_members = hasattr(self._provider, "processors")
        self._write = context.write_deferred_span if has_known_members and context.settings.sampler is None else None
        self._checked: object = None
        self._can_skip_on_start = False

    def write(
        self, name: str, attributes: Attributes, parent: SpanContext, start: int, end: int, status: Status
    ) -> bool:
        """Write the span; False when it has to be started and ended."""
        if self._write is None or not parent.trace_flags & 1 or not self._skips_on_start():
            return False
        span_id = self._provider.id_generator.generate_span_id()
        self._write(
            name=name,
            context=SpanContext(parent.trace_id, span_id, False, parent.trace_flags, parent.trace_state),
            parent=parent,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=start,
            end_time=end,
            status=status,
            scope=_SCOPE,
        )
        return True

    def _skips_on_start(self) -> bool:
        """Whether no processor needs `on_start`; checked again when a processor was added."""
        processors = self._provider.processors.all
        if processors is not self._checked:
            self._can_skip_on_start = not any(map(_has_on_start, processors))
            self._checked = processors
        return self._can_skip_on_start


def _has_on_start(processor: Any) -> bool:
    """Whether `on_start` does something; that of the SDK's processors and of ours does nothing."""
    on_start: Callable[..., Any] = type(getattr(processor, "inner", processor)).on_start
    return not str(on_start.__module__).startswith(("opentelemetry.sdk.trace", "blogauto_otel."))


class _State:
    """The recorder of this process; None when statements are not recorded."""

    active: Recorder | None = None


state: Final = _process.register(_State())
