"""Records statements that have ended as measurements and spans."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import get_current
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, get_current_span

from blogauto_otel import _process, semconv
from blogauto_otel._guard import guard
from blogauto_otel._suppression import is_suppressed
from blogauto_otel.api.context import bound
from blogauto_otel.instrumentation import Context
from blogauto_otel.instrumentation.sqlalchemy.databases import Attributes, Database
from blogauto_otel.instrumentation.sqlalchemy.failures import error_attributes, error_message
from blogauto_otel.otlp.spans import SpanTemplate
from blogauto_otel.sdk.histogram import Bound, bind
from blogauto_otel.sdk.tracer import own_tracer

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Dialect, Engine

# https://opentelemetry.io/docs/specs/semconv/db/database-metrics/: the advised edges, in seconds.
BOUNDARIES: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)

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
        self._own_tracer = own_tracer(self._tracer)
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
            further: Attributes = {**({"db.operation.batch.size": size} if size > 1 else {}), **(failed or {})}
            call_hook = None if self._hook is None else partial(self._call_hook, text, any(parameter_sets))
            self._span(statement.template, further, elapsed, error, call_hook)

    def wait(self, name: str, engine: Engine, elapsed: float, error: BaseException | None) -> None:
        """Record a connect or a commit that failed or was slow, in a sampled trace."""
        context = get_current()
        parent = get_current_span(context).get_span_context()
        if is_suppressed(context) or not parent.trace_flags & 1:
            return
        failed = error_attributes(error) if error is not None else {}
        template = SpanTemplate(name, SpanKind.CLIENT, self.database(engine).attributes)
        self._span(template, {"db.operation.name": name, **failed}, elapsed, error)

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
        template: SpanTemplate,
        further: Attributes,
        elapsed: float,
        error: BaseException | None,
        call_hook: Callable[[Span], None] | None = None,
    ) -> None:
        """Create a span that has ended, with its true start."""
        end = time_ns()
        start = end - int(elapsed * 1e9)
        status = None if error is None else Status(StatusCode.ERROR, error_message(error, self.redactor))
        if call_hook is None and self._own_tracer is not None:
            self._own_tracer.record_span(template, start_time=start, end_time=end, attributes=further, status=status)
            return
        attributes = {**template.attributes, **further, **bound()}
        span = self._tracer.start_span(template.name, kind=template.kind, attributes=attributes, start_time=start)
        if status is not None:
            span.set_status(status)
        if call_hook is not None and span.is_recording():
            call_hook(span)
        span.end(end)

    def _call_hook(self, text: str, parameters_given: bool, span: Span) -> None:
        with guard("calling the hook for SQL statements"):
            if self._hook is not None:
                self._hook(span, text, parameters_given)


class _State:
    """The recorder of this process; None when statements are not recorded."""

    active: Recorder | None = None


state: Final = _process.register(_State())
