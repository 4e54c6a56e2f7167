"""Records statements that have ended as measurements and spans."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context as OtelContext
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from blogauto_otel import _process, semconv
from blogauto_otel._guard import guard
from blogauto_otel._otel import current_context, span_in
from blogauto_otel._suppression import has_no_suppression, is_suppressed
from blogauto_otel.api.context import bound, current_scope
from blogauto_otel.api.operation import current_run
from blogauto_otel.api.statements import StatementCounts, find_source
from blogauto_otel.instrumentation import Context
from blogauto_otel.instrumentation.sqlalchemy.databases import Attributes, Database
from blogauto_otel.instrumentation.sqlalchemy.failures import error_attributes, error_message
from blogauto_otel.otlp.spans import SpanTemplate
from blogauto_otel.sdk.histogram import BoundHistogram, bind_histogram
from blogauto_otel.sdk.span import RecordingSpan
from blogauto_otel.sdk.tracer import own_tracer
from blogauto_otel.sdk.unsampled_span import SAMPLED, UnsampledSpan

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
        self.meter_provider = context.meter_provider
        self._root_spans = settings.sql_root_spans
        self._every_exemplar = settings.exemplar_filter == "always_on"
        self._max_text = max(settings.span_attribute_length, _MIN_TEXT)
        # By the id of a dialect, as long as it exists: asking a `WeakKeyDictionary` takes six calls.
        self._databases: dict[int, tuple[weakref.ref[Dialect], Database]] = {}
        self._repeated, self._slow = settings.repeated_queries, settings.slow_query_seconds
        self._has_source = settings.sql_source
        self._tracer = context.tracer_provider.get_tracer(semconv.SCOPE_SQL)
        self._own_tracer = own_tracer(self._tracer)
        self._hook = context.hooks.sql_statement if context.hooks else None
        self._duration = context.meter_provider.get_meter(semconv.SCOPE_SQL).create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of database client operations.",
            explicit_bucket_boundaries_advisory=BOUNDARIES,
        )

    def statement(  # noqa: C901 - flat, because every statement takes it
        self,
        connection: Connection,
        text: str,
        parameter_sets: Sequence[Any],
        elapsed: float,
        error: BaseException | None,
    ) -> None:
        """Record one statement that has ended; with several sets of parameters it was executed as one batch."""
        context = current_context()
        if not has_no_suppression(context) and is_suppressed(context):
            return
        if not getattr(connection, "_allow_autobegin", True):
            return  # not a statement of the application: SQLAlchemy asks a new connection for its version and the like
        size = len(parameter_sets)
        dialect = connection.dialect
        known = self._databases.get(id(dialect))
        database = known[1] if known is not None and known[0]() is dialect else self.database(connection.engine)
        statement = (database.batched if size > 1 else database.single).get(text)
        if statement is None:
            statement = database.statement(text, batched=size > 1)
        span = span_in(context)
        # Of a span of ours the ids are known without making its span context.
        own: Any = span if isinstance(span, RecordingSpan) else None
        if own is not None:
            sampled = own.trace_flags & SAMPLED != 0
        else:
            sampled = span is not None and type(span) is not UnsampledSpan and is_sampled(span)
        further: Attributes | None = {"db.operation.batch.size": size} if size > 1 else None
        if error is not None:
            failed = error_attributes(error)
            self._duration.record(elapsed, {**statement.point, **failed}, context)
            further = {**(further or {}), **failed}
        elif sampled and own is not None:
            statement.duration.record_sampled(elapsed, own.trace_id, own.span_id)
        elif sampled:
            parent = span.get_span_context()
            statement.duration.record_sampled(elapsed, parent[0], parent[1])
        else:
            statement.duration.record(elapsed, context if self._every_exemplar else None)
        if self._repeated or self._slow:
            scope = current_scope()
            counted: Any = scope if scope.is_request else current_run(context)
            if counted is not None:
                counts = counted.statements
                if counts is None:
                    counts = counted.statements = StatementCounts()
                counts.add(statement.text, elapsed, self._repeated, self._slow)
        if sampled or self._root_spans:
            if self._has_source:
                further = {**(further or {}), **_source_attributes()}
            tracer = self._own_tracer
            if sampled and own is not None and error is None and self._hook is None and tracer is not None:
                end = time_ns()
                if tracer.record_below(own, statement.template, end - int(elapsed * 1e9), end, further):
                    return
            call_hook = None if self._hook is None else partial(self._call_hook, text, any(parameter_sets))
            self._span(statement.template, context, elapsed, further, error, call_hook)

    def wait(self, name: str, engine: Engine, elapsed: float, error: BaseException | None) -> None:
        """Record a connect or a commit that failed or was slow, in a sampled trace."""
        context = current_context()
        if is_suppressed(context) or not is_sampled(span_in(context)):
            return
        failed = error_attributes(error) if error is not None else {}
        template = SpanTemplate(name, SpanKind.CLIENT, self.database(engine).attributes)
        self._span(template, context, elapsed, {"db.operation.name": name, **failed}, error)

    def database(self, engine: Engine) -> Database:
        """The database of an engine; an engine with other execution options has the same dialect."""
        dialect, databases = engine.dialect, self._databases
        known = databases.get(id(dialect))
        if known is not None and known[0]() is dialect:
            return known[1]
        made = Database(engine, redactor=self.redactor, max_text=self._max_text, duration=self._bound_duration)
        key = id(dialect)
        databases[key] = weakref.ref(dialect, lambda _: databases.pop(key, None)), made
        return made

    def _bound_duration(self, point: Attributes) -> BoundHistogram:
        return bind_histogram(self._duration, point)

    def _span(
        self,
        template: SpanTemplate,
        context: OtelContext,
        elapsed: float,
        further: Attributes | None,
        error: BaseException | None = None,
        call_hook: Callable[[Span], None] | None = None,
    ) -> None:
        """Create a span that has ended, with its true start."""
        end = time_ns()
        start = end - int(elapsed * 1e9)
        status = None if error is None else Status(StatusCode.ERROR, error_message(error, self.redactor))
        if call_hook is None and self._own_tracer is not None:
            self._own_tracer.record_span(
                template, start_time=start, end_time=end, parent_context=context, attributes=further, status=status
            )
            return
        attributes = {**template.attributes, **(further or {}), **bound()}
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


def _source_attributes() -> Attributes:
    source = find_source()
    return {} if source is None else {"code.file.path": source.path, "code.line.number": source.line}


def is_sampled(span: Any) -> bool:
    """Whether a span of a context is sampled; None is not. Our own know it without making their span context."""
    if span is None:
        return False
    known = getattr(span, "is_sampled", None)
    return known if type(known) is bool else bool(span.get_span_context().trace_flags & 1)


class _State:
    """The recorder of this process; None when statements are not recorded."""

    active: Recorder | None = None


state: Final = _process.register(_State())
