"""Cost of a SQL statement, compared with contrib's instrumentation: CPU of all threads, export included.

    python -m benchmarks.sql

Each round runs every configuration once, in random order, and is compared with the bare run of the same round.
Ours delivers to a receiver in another process; contrib's spans are encoded and dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry._logs import NoOpLoggerProvider
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from sqlalchemy.ext import asyncio as sa_asyncio
from sqlalchemy.pool import StaticPool

from benchmarks import results
from benchmarks.sink import sink
from benchmarks.table import print_table
from blogauto_otel.config import Settings
from blogauto_otel.export.pipeline import build_delivery
from blogauto_otel.instrumentation import Context
from blogauto_otel.instrumentation import sqlalchemy as ours
from blogauto_otel.redaction import build_redactor
from blogauto_otel.sdk.meter_provider import build_meter_provider
from blogauto_otel.sdk.tracer_provider import build_tracer_provider

ROUNDS, BATCH, WARM_UP = 15, 600, 60
GOALS = {"ours": 8, "ours unsampled": 2}  # microseconds

posts = sa.Table("posts", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("title", sa.String))
SELECT = sa.select(posts.c.id, posts.c.title).where(posts.c.id == 7)
INSERT = sa.insert(posts)
TEN = [{"title": f"title {number}"} for number in range(10)]


# --- workload ---------------------------------------------------------------------------------------------------------


def connect_and_select() -> Iterator[Callable[[], Any]]:
    engine = make_engine()

    def run() -> None:
        with engine.connect() as connection:
            connection.execute(SELECT).first()

    yield run
    engine.dispose()


def select() -> Iterator[Callable[[], Any]]:
    engine = make_engine()
    with engine.connect() as connection:
        yield lambda: connection.execute(SELECT).first()
    engine.dispose()


def executemany() -> Iterator[Callable[[], Any]]:
    engine = make_engine()
    with engine.connect() as connection:
        yield lambda: connection.execute(INSERT, TEN)
    engine.dispose()


STATEMENTS = {"connect and select": connect_and_select, "select": select, "executemany of 10": executemany}


def make_engine() -> sa.Engine:
    engine = sa.create_engine("sqlite://", poolclass=StaticPool)
    posts.metadata.create_all(engine)
    return engine


# --- configurations ---------------------------------------------------------------------------------------------------


class EncodeAndDrop(SpanExporter):
    """The stock exporter up to the socket."""

    def export(self, spans: Any) -> SpanExportResult:
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS


@contextlib.contextmanager
def bare(_: str) -> Iterator[Callable[[], object]]:
    yield lambda: None


@contextlib.contextmanager
def contrib(_: str) -> Iterator[Callable[[], object]]:
    tracers = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    processor = BatchSpanProcessor(EncodeAndDrop(), max_queue_size=100_000)
    tracers.add_span_processor(processor)
    instrumentor = SQLAlchemyInstrumentor()
    instrumentor.instrument(tracer_provider=tracers, meter_provider=meters(), skip_dep_check=True)
    yield processor.force_flush
    instrumentor.uninstrument()
    processor.shutdown()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def own(endpoint: str) -> Iterator[Callable[[], object]]:
    settings = Settings(endpoint=endpoint, spool_dir="off", metric_interval=3600.0)
    redactor, resource = build_redactor(settings), Resource({})
    delivery = build_delivery(settings, resource)
    tracing = build_tracer_provider(settings, resource, delivery=delivery, redactor=redactor)
    metering = build_meter_provider(settings, resource, delivery=delivery, redactor=redactor)
    context = Context(
        settings,
        redactor,
        delivery,
        tracing,
        metering,
        NoOpLoggerProvider(),
        tracing.write_deferred_span,
    )
    ours.instrument(context)
    yield lambda: delivery.force_flush(10.0)
    ours.uninstrument()
    delivery.shutdown(1.0)


def meters() -> MeterProvider:
    return MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)


CONFIGURATIONS = {
    "bare": (bare, True),
    "contrib": (contrib, True),
    "contrib unsampled": (contrib, False),
    "ours": (own, True),
    "ours unsampled": (own, False),
}


@contextlib.contextmanager
def in_a_request(*, sampled: bool) -> Iterator[None]:
    """A server span around the statement; only its sampling decision matters."""
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if sampled else 0)
    span = trace.NonRecordingSpan(trace.SpanContext(1, 1, is_remote=False, trace_flags=flags))
    token = otel.attach(trace.set_span_in_context(span))
    yield
    otel.detach(token)


def measure(configuration: str, statement: Callable[[], Iterator[Callable[[], Any]]], endpoint: str) -> float:
    """Microseconds of CPU per statement."""
    instrumented, sampled = CONFIGURATIONS[configuration]
    with instrumented(endpoint) as flush, in_a_request(sampled=sampled), contextlib.contextmanager(statement)() as run:
        for _ in range(WARM_UP):
            run()
        flush()
        started = time.process_time()
        for _ in range(BATCH):
            run()
        flush()
        return (time.process_time() - started) / BATCH * 1e6


def added(statement: Callable[[], Iterator[Callable[[], Any]]], endpoint: str) -> dict[str, list[float]]:
    """Microseconds above the bare statement of the same round; for the bare one its own."""
    found: dict[str, list[float]] = {name: [] for name in CONFIGURATIONS}
    for _ in range(ROUNDS):
        names = list(CONFIGURATIONS)
        random.shuffle(names)
        took = {name: measure(name, statement, endpoint) for name in names}
        for name in names:
            found[name].append(took[name] - (took["bare"] if name != "bare" else 0.0))
    return found


async def async_microseconds(configuration: str, endpoint: str) -> float:
    """The same for a select on an async engine, connection included."""
    instrumented, sampled = CONFIGURATIONS[configuration]
    with instrumented(endpoint) as flush, in_a_request(sampled=sampled):
        engine = sa_asyncio.create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
        async with engine.begin() as connection:
            await connection.run_sync(posts.metadata.create_all)

        async def run() -> None:
            async with engine.connect() as connection:
                (await connection.execute(SELECT)).first()

        for _ in range(WARM_UP):
            await run()
        flush()
        started = time.process_time()
        for _ in range(BATCH):
            await run()
        flush()
        took = (time.process_time() - started) / BATCH * 1e6
        await engine.dispose()
    return took


def async_added(endpoint: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in CONFIGURATIONS}
    for _ in range(ROUNDS // 2):
        took = {name: asyncio.run(async_microseconds(name, endpoint)) for name in CONFIGURATIONS}
        for name in CONFIGURATIONS:
            found[name].append(took[name] - (took["bare"] if name != "bare" else 0.0))
    return found


def row(name: str, found: dict[str, list[float]]) -> list[str]:
    median = {key: statistics.median(values) for key, values in found.items()}
    ratios = [median["ours"] / median["contrib"], median["ours unsampled"] / median["contrib unsampled"]]
    return [name, *(f"{median[key]:.1f}" for key in CONFIGURATIONS), *(f"{ratio:.2f}" for ratio in ratios)]


def main() -> None:
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "database"  # contrib does the same work as ours
    with sink() as endpoint:
        rows = [row(name, added(statement, endpoint)) for name, statement in STATEMENTS.items()]
        rows.append(row("async connect and select", async_added(endpoint)))
    print_table(
        f"SQL: CPU microseconds added per statement, SQLAlchemy {sa.__version__}"
        f" (goals: {', '.join(f'{name} {goal}' for name, goal in GOALS.items())})",
        ["statement", "bare", *(f"+ {name}" for name in CONFIGURATIONS if name != "bare"), "ratio", "ratio unsampled"],
        rows,
    )
    sampled, unsampled = ([float(row[column]) for row in rows] for column in (-2, -1))
    results.keep("sql", {**results.spread("sampled", sampled), **results.spread("unsampled", unsampled)})


if __name__ == "__main__":
    main()
