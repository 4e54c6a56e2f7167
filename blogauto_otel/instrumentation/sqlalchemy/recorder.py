"""Turns statements that have ended into points and spans."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import get_current
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, get_current_span

from blogauto_otel import semconv
from blogauto_otel.api.context import bound
from blogauto_otel.instrumentation import Context
from blogauto_otel.instrumentation.sqlalchemy.databases import Attributes, Database
from blogauto_otel.instrumentation.sqlalchemy.failures import failure, message
from blogauto_otel.instrumentation.suppression import is_suppressed
from blogauto_otel.sdk.bound_histogram import BoundHistogram

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Dialect, Engine

# https://opentelemetry.io/docs/specs/semconv/db/database-metrics/: the advised edges, in seconds.
BOUNDARIES: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)

_SCOPE: Final = InstrumentationScope(semconv.SCOPE_SQL)
_SUCCESS: Final = Status()


class Recorder:
    """Lives from `instrument` to `uninstrument`."""

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self.redactor = context.redactor
        self._root_spans = settings.sql_root_spans
        self._max_text = settings.max_span_attribute_length or settings.max_attribute_length
        self._databases: weakref.WeakKeyDictionary[Dialect, Database] = weakref.WeakKeyDictionary()
        self._tracer = context.tracer_provider.get_tracer(semconv.SCOPE_SQL)
        self._late = _DeferredSpan(context)
        self._duration = context.meter_provider.get_meter(semconv.SCOPE_SQL).create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of database client operations.",
            explicit_bucket_boundaries_advisory=BOUNDARIES,
        )

    def statement(
        self, connection: Connection, text: str, size: int, elapsed: float, error: BaseException | None
    ) -> None:
        """Record one statement that has ended, or `size` of them that were executed as one batch."""
        context = get_current()
        if is_suppressed(context) or not getattr(connection, "_allow_autobegin", True):
            return  # SQLAlchemy asks a new connection for its version and the like: no statement of the application
        statement = self.database(connection.engine).statement(text, batched=size > 1)
        failed = failure(error) if error is not None else None
        parent = get_current_span(context).get_span_context()
        if failed:
            self._duration.record(elapsed, {**statement.point, **failed}, context)
        else:
            statement.duration.record(elapsed, context, sampled=parent.trace_flags.sampled)
        if self._root_spans or parent.trace_flags & 1:
            batch: Attributes = {"db.operation.batch.size": size} if size > 1 else {}
            self._span(statement.name, {**statement.span, **batch, **(failed or {})}, parent, elapsed, error)

    def wait(self, name: str, engine: Engine, elapsed: float, error: BaseException | None) -> None:
        """Record a connect or a commit that failed or took long, in a trace that is kept."""
        context = get_current()
        parent = get_current_span(context).get_span_context()
        if is_suppressed(context) or not parent.trace_flags & 1:
            return
        failed = failure(error) if error is not None else {}
        attributes = {**self.database(engine).attributes, "db.operation.name": name, **failed}
        self._span(name, attributes, parent, elapsed, error)

    def database(self, engine: Engine) -> Database:
        """What is known of an engine's database; options of an engine make it another engine with the same dialect."""
        found = self._databases.get(engine.dialect)
        if found is None:
            found = Database(engine, redactor=self.redactor, max_text=self._max_text, series=self._series)
            self._databases[engine.dialect] = found
        return found

    def _series(self, point: Attributes) -> BoundHistogram:
        return BoundHistogram(self._duration, point)

    def _span(
        self, name: str, attributes: Attributes, parent: SpanContext, elapsed: float, error: BaseException | None
    ) -> None:
        """A span after the fact, with its true start."""
        end = time_ns()
        start = end - int(elapsed * 1e9)
        attributes.update(bound())
        status = _SUCCESS if error is None else Status(StatusCode.ERROR, message(error, self.redactor))
        if self._late.write(name, attributes, parent, start, end, status):
            return
        span = self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes, start_time=start)
        if error is not None:
            span.set_status(status)
        span.end(end)


class _DeferredSpan:
    """The short way for a span that is over when it is made: half the cost of one that is started and ended.

    It asks no sampler and no processor's `on_start`. So it is taken only below a sampled parent, where our sampler
    would say yes, and as long as no processor of the application watches starts.
    """

    def __init__(self, context: Context) -> None:
        self._provider: Any = context.tracer_provider
        is_as_known = hasattr(self._provider, "processors")
        self._write = context.write_deferred_span if is_as_known and context.settings.sampler is None else None
        self._looked_at: object = None
        self._unwatched = False

    def write(
        self, name: str, attributes: Attributes, parent: SpanContext, start: int, end: int, status: Status
    ) -> bool:
        """Write the span; False when it has to be started and ended."""
        if self._write is None or not parent.trace_flags & 1 or not self._is_unwatched():
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

    def _is_unwatched(self) -> bool:
        """Looked at anew whenever a processor was added."""
        processors = self._provider.processors.all
        if processors is not self._looked_at:
            self._unwatched = not any(map(_watches_starts, processors))
            self._looked_at = processors
        return self._unwatched


def _watches_starts(processor: Any) -> bool:
    """The SDK's processors and ours do nothing when a span starts."""
    on_start: Callable[..., Any] = type(getattr(processor, "inner", processor)).on_start
    return not str(on_start.__module__).startswith(("opentelemetry.sdk.trace", "blogauto_otel."))


active: Recorder | None = None
