from __future__ import annotations

import asyncio
import dataclasses
import gc
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import Span, SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, create_engine, event, exc, insert, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from blogauto_otel import _guard
from blogauto_otel.api.context import begin_request, end_request
from blogauto_otel.hooks import Hooks
from blogauto_otel.instrumentation import State, sqlalchemy
from blogauto_otel.instrumentation.sqlalchemy import databases, failures, patches, pools, recorder
from blogauto_otel.sdk.histogram import bind_histogram
from testkit.recording import Recording

DURATION = "db.client.operation.duration"

posts = Table(
    "posts",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("title", String(100), unique=True),
)


class Base(DeclarativeBase):
    """The tests' models."""


class Author(Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column()


@pytest.fixture
def recording() -> Iterator[Recording]:
    made = Recording()
    assert sqlalchemy.instrument(made.context).state is State.ON
    yield made
    sqlalchemy.uninstrument()


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    posts.metadata.create_all(engine)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
async def async_engine() -> Any:
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    async with engine.begin() as connection:
        await connection.run_sync(posts.metadata.create_all)
    yield engine
    await engine.dispose()


# --- spans and metrics of a statement ---


def test_a_statement_is_a_client_span_below_the_request(engine: Engine, recording: Recording) -> None:
    with recording.tracer.start_as_current_span("request") as request, engine.connect() as connection:
        connection.execute(select(posts.c.id).where(posts.c.title == "a secret title"))
    span = recording.span
    assert (span.name, span.kind) == ("SELECT posts", SpanKind.CLIENT)
    assert span.parent is not None
    assert span.parent.span_id == request.get_span_context().span_id
    assert dict(span.attributes or {}) == {
        "db.system.name": "sqlite",
        "db.namespace": ":memory:",
        "db.operation.name": "SELECT",
        "db.collection.name": "posts",
        "db.query.summary": "SELECT posts",
        "db.query.text": "SELECT posts.id FROM posts WHERE posts.title = ?",
    }


def test_an_exemplar_points_to_the_request(engine: Engine, recording: Recording) -> None:
    with engine.connect() as connection:
        for _ in range(2):
            connection.execute(select(posts.c.id))
            assert recording.exemplars(DURATION) == set()
        with recording.tracer.start_as_current_span("request") as request:
            connection.execute(select(posts.c.id))
    of_request = request.get_span_context()
    assert recording.exemplars(DURATION) == {(of_request.trace_id, of_request.span_id)}


def test_literal_values_are_replaced_in_the_text(engine: Engine, recording: Recording) -> None:
    with recording.tracer.start_as_current_span("request"), engine.connect() as connection:
        connection.exec_driver_sql("SELECT id FROM posts WHERE title = 'a secret' AND id > 4711")
    assert (recording.span.attributes or {})["db.query.text"] == "SELECT id FROM posts WHERE title = ? AND id > ?"


def test_the_span_has_the_times_of_the_statement(engine: Engine, recording: Recording) -> None:
    with recording.tracer.start_as_current_span("request") as request, engine.connect() as connection:
        connection.execute(
            text("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t LIMIT 100000) SELECT sum(n) FROM t")
        )
    span, parent = recording.span, request
    assert span.start_time is not None
    assert span.end_time is not None
    assert parent.start_time <= span.start_time < span.end_time <= parent.end_time  # type: ignore[attr-defined]
    (point,) = recording.metrics[DURATION].data.data_points
    assert (span.end_time - span.start_time) / 1e9 == pytest.approx(point.sum, abs=1e-6)  # type: ignore[union-attr]


def test_every_statement_counts_into_the_duration_and_only_sampled_requests_get_spans(engine: Engine) -> None:
    recording = Recording(sampler=ALWAYS_OFF)
    sqlalchemy.instrument(recording.context)
    try:
        with recording.tracer.start_as_current_span("unsampled request"), engine.connect() as connection:
            connection.execute(select(posts.c.id))
        with engine.connect() as connection:
            connection.execute(select(posts.c.id))
    finally:
        sqlalchemy.uninstrument()
    assert recording.spans == []
    assert list(recording.points(DURATION).values()) == [2]


def test_a_statement_outside_a_request_gets_a_span_only_when_asked_for(engine: Engine) -> None:
    for wanted in (False, True):
        recording = Recording(sql_root_spans=wanted)
        sqlalchemy.instrument(recording.context)
        with engine.connect() as connection:
            connection.execute(text("select 1"))
        sqlalchemy.uninstrument()
        assert recording.names == (["SELECT"] if wanted else [])


def test_the_duration_is_grouped_by_operation_and_table_and_not_by_text(engine: Engine, recording: Recording) -> None:
    with engine.connect() as connection:
        for number in range(5):
            connection.exec_driver_sql(f"SELECT id FROM posts WHERE id = {number}")
    labels = (
        ("db.collection.name", "posts"),
        ("db.namespace", ":memory:"),
        ("db.operation.name", "SELECT"),
        ("db.system.name", "sqlite"),
    )
    assert recording.points(DURATION) == {labels: 5}
    assert recording.metrics[DURATION].unit == "s"


def test_several_parameter_sets_are_one_batch(engine: Engine, recording: Recording) -> None:
    with recording.tracer.start_as_current_span("request"), engine.begin() as connection:
        connection.execute(insert(posts), [{"title": f"t{number}"} for number in range(3)])
    span = recording.span
    assert span.name == "BATCH INSERT posts"
    assert (span.attributes or {})["db.operation.batch.size"] == 3
    assert (span.attributes or {})["db.operation.name"] == "BATCH INSERT"


def test_a_batch_of_one_is_a_plain_statement(engine: Engine, recording: Recording) -> None:
    with recording.tracer.start_as_current_span("request"), engine.begin() as connection:
        connection.execute(insert(posts), [{"title": "only"}])
    assert recording.span.name == "INSERT posts"
    assert "db.operation.batch.size" not in (recording.span.attributes or {})


def test_insertmanyvalues_is_one_span_however_many_pieces_it_is_sent_in(engine: Engine, recording: Recording) -> None:
    with recording.tracer.start_as_current_span("request"), Session(engine) as session:
        session.connection(execution_options={"insertmanyvalues_page_size": 10})
        session.add_all([Author(name=f"author {number}") for number in range(35)])
        session.flush()
    span = recording.span
    assert span.name == "BATCH INSERT authors"
    assert (span.attributes or {})["db.operation.batch.size"] == 35
    assert len(str((span.attributes or {})["db.query.text"])) < 200


def test_streamed_results_are_one_span(engine: Engine, recording: Recording) -> None:
    with engine.begin() as connection:
        connection.execute(insert(posts), [{"title": f"t{number}"} for number in range(50)])
    with recording.tracer.start_as_current_span("request"), engine.connect() as connection:
        streamed = connection.execution_options(yield_per=10).execute(select(posts.c.id))
        assert sum(len(part) for part in streamed.partitions()) == 50
    assert recording.names == ["SELECT posts"]


def test_the_callback_of_an_event_of_the_application_is_not_lost(engine: Engine, recording: Recording) -> None:
    seen = []
    event.listen(engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    with recording.tracer.start_as_current_span("request"), engine.connect() as connection:
        connection.execute(text("select 1"))
    assert seen == ["select 1"]
    assert recording.names == ["SELECT"]


def test_suppressed_instrumentation_records_nothing(engine: Engine, recording: Recording) -> None:
    with recording.tracer.start_as_current_span("request"), suppress_instrumentation(), engine.connect() as connection:
        connection.execute(text("select 1"))
    assert recording.spans == []
    assert recording.points(DURATION) == {}


# --- deferred spans ---


def spans_of(engine: Engine, recording: Recording) -> list[dict[str, Any]]:
    """The spans of a few statements, without ids and times."""
    sqlalchemy.instrument(recording.context)
    token = begin_request("r-1")
    with recording.tracer.start_as_current_span("request") as request, engine.connect() as connection:
        connection.execute(select(posts.c.id))
        connection.execute(insert(posts), [{"title": "a"}, {"title": "b"}])
        with pytest.raises(exc.IntegrityError):
            connection.execute(insert(posts), {"title": "a"})
    end_request(token)
    sqlalchemy.uninstrument()
    parent = request.get_span_context()
    for span in recording.spans:
        assert span.context is not None
        assert span.start_time is not None
        assert span.end_time is not None
        assert span.context.span_id != parent.span_id
        assert span.start_time < span.end_time
    return [
        {
            "name": span.name,
            "kind": span.kind,
            "attributes": dict(span.attributes or {}),
            "status": (span.status.status_code, span.status.description),
            "scope": span.instrumentation_scope and span.instrumentation_scope.name,
            "resource": span.resource.attributes["service.name"],
            "parent": span.parent == parent,
            "trace": span.context is not None and span.context.trace_id == parent.trace_id,
            "flags": span.context is not None and span.context.trace_flags,
        }
        for span in recording.spans
    ]


def test_a_deferred_span_equals_a_started_one(engine: Engine) -> None:
    started, deferred = spans_of(engine, Recording()), spans_of(engine, Recording(deferred=True))
    assert started == deferred
    assert [span["name"] for span in deferred] == ["SELECT posts", "BATCH INSERT posts", "INSERT posts"]
    assert {span["attributes"]["request.id"] for span in deferred} == {"r-1"}


class Baggage(SpanProcessor):
    """A processor of the application that marks spans as they start."""

    def on_start(self, span: Span, parent_context: object = None) -> None:
        span.set_attribute("tenant", "a")


def test_a_processor_with_on_start_gets_every_statement_even_when_added_later(engine: Engine) -> None:
    recording = Recording(deferred=True)
    sqlalchemy.instrument(recording.context)
    with recording.tracer.start_as_current_span("request"), engine.connect() as connection:
        connection.execute(text("select 1"))
        recording.tracers.add_span_processor(Baggage())
        connection.execute(text("select 1"))
    sqlalchemy.uninstrument()
    assert [(span.attributes or {}).get("tenant") for span in recording.spans] == [None, "a"]


class KeepsNoStatements(Sampler):
    """A sampler of the application that keeps no statements."""

    def should_sample(self, parent_context: Any, trace_id: int, name: str, *args: Any, **kwargs: Any) -> SamplingResult:
        keep = name == "request"
        return SamplingResult(Decision.RECORD_AND_SAMPLE if keep else Decision.DROP)

    def get_description(self) -> str:
        return "picky"


def test_a_sampler_of_the_application_is_asked_for_every_statement(engine: Engine) -> None:
    recording = Recording(deferred=True, sampler=KeepsNoStatements())
    sqlalchemy.instrument(recording.context)
    with recording.tracer.start_as_current_span("request"), engine.connect() as connection:
        connection.execute(text("select 1"))
    sqlalchemy.uninstrument()
    assert recording.spans == []


# --- failures ---


def test_a_failed_statement_is_marked_although_the_application_handles_it(engine: Engine, recording: Recording) -> None:
    with recording.tracer.start_as_current_span("request"), engine.connect() as connection:
        connection.execute(insert(posts), {"title": "twice"})
        with pytest.raises(exc.IntegrityError):
            connection.execute(insert(posts), {"title": "twice"})
    failed = recording.spans[-1]
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.status.description == "UNIQUE constraint failed: posts.title"
    assert (failed.attributes or {})["error.type"] == "sqlite3.IntegrityError"
    if sys.version_info >= (3, 11):
        assert (failed.attributes or {})["db.response.status_code"] == "SQLITE_CONSTRAINT_UNIQUE"
    assert not failed.events
    failures = {labels: count for labels, count in recording.points(DURATION).items() if "error.type" in dict(labels)}
    assert list(failures.values()) == [1]


def test_the_application_gets_its_own_exception_untouched(engine: Engine, recording: Recording) -> None:
    class Interrupted(BaseException):
        pass

    mine = Interrupted()

    def interrupt(*_: object) -> None:
        raise mine

    event.listen(engine, "before_cursor_execute", interrupt)
    with (
        recording.tracer.start_as_current_span("request"),
        engine.connect() as connection,
        pytest.raises(Interrupted) as got,
    ):
        connection.execute(text("select 1"))
    assert got.value is mine
    assert got.value.__cause__ is None
    assert recording.span.status.status_code is StatusCode.ERROR
    assert str((recording.span.attributes or {})["error.type"]).endswith("Interrupted")


class DriverError(Exception):
    """As asyncpg's own exceptions look."""

    sqlstate = "23505"


class AdaptedError(Exception):
    """As SQLAlchemy's adapter for asyncpg wraps them."""

    __module__ = "sqlalchemy.dialects.postgresql.asyncpg"
    sqlstate = pgcode = "23505"


def adapted() -> AdaptedError:
    error = AdaptedError(
        "<class 'asyncpg.exceptions.UniqueViolationError'>: "
        'duplicate key value violates unique constraint "users_email_key"\n'
        "DETAIL:  Key (email)=(kim@example.com) already exists."
    )
    error.__cause__ = DriverError()
    return error


@pytest.mark.parametrize(
    ("original", "code", "message"),
    [
        (adapted(), "23505", '<class ?>: duplicate key value violates unique constraint "users_email_key"'),
        (Exception('invalid input syntax for type uuid: "kim"'), None, "invalid input syntax for type uuid: ?"),
        (
            Exception('value "99999999999" is out of range for type integer'),
            None,
            "value ? is out of range for type integer",
        ),
        (Exception(1062, "Duplicate entry 'kim@example.com' for key 'users.email'"), "1062", "Duplicate entry ?"),
        (Exception(1062, "Duplicate entry 'it's \"mine\"' for key 'k'"), "1062", "Duplicate entry ?"),
        (Exception(1146, "Table 'blog.posts' doesn't exist"), "1146", "Table ? doesn't exist"),
        (Exception("near '" + "x" * 5000), None, "near ?"),
        (
            Exception("23000", "[23000] The duplicate key value is (kim). (2627)"),
            "23000",
            "[23000] The duplicate key value is ?",
        ),
        (Exception(SimpleNamespace(full_code="ORA-00001")), "ORA-00001", "namespace(full_code=?)"),
        (Exception("password is hunter2"), None, "password is [redacted]"),
        (Exception(), None, ""),
    ],
)
def test_a_message_has_the_error_and_no_quoted_value(original: Exception, code: str | None, message: str) -> None:
    error = exc.DBAPIError("INSERT ...", {"email": "kim@example.com"}, original)
    redactor: Any = SimpleNamespace(text=lambda value: value.replace("hunter2", "[redacted]"))
    assert failures.error_attributes(error).get("db.response.status_code") == code
    assert failures.error_message(error, redactor) == message


def test_the_type_of_an_adapted_error_is_the_drivers_own() -> None:
    error = exc.DBAPIError("INSERT ...", {}, adapted())
    assert str(failures.error_attributes(error)["error.type"]).endswith(".DriverError")


@pytest.mark.quiet_guard
def test_an_error_of_ours_does_not_affect_the_application(
    engine: Engine, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder.Recorder, "statement", lambda *_: 1 / 0)
    monkeypatch.setattr(pools, "_name", lambda *_: 1 / 0)
    with engine.connect() as connection:
        assert connection.execute(text("select 1")).scalar() == 1
        with pytest.raises(exc.OperationalError):
            connection.execute(text("select nothing_like_it"))
    assert _guard.swallowed()["recording a statement"] == 2


# --- engines of every kind ---


async def test_an_async_engine_is_recorded_once_and_below_its_request(
    async_engine: AsyncEngine, recording: Recording
) -> None:
    async def handle(number: int) -> None:
        with recording.tracer.start_as_current_span(f"request {number}"):
            async with async_engine.connect() as connection:
                await connection.execute(select(posts.c.id))

    await asyncio.gather(*(handle(number) for number in range(5)))
    assert recording.names == ["SELECT posts"] * 5
    assert len({span.parent.span_id for span in recording.spans if span.parent}) == 5


async def test_streaming_from_an_async_engine(async_engine: AsyncEngine, recording: Recording) -> None:
    async with async_engine.begin() as connection:
        await connection.execute(insert(posts), [{"title": f"t{number}"} for number in range(20)])
    with recording.tracer.start_as_current_span("request"):
        async with async_engine.connect() as connection:
            result = await connection.stream(select(posts.c.id))
            assert len([row async for row in result]) == 20
    assert recording.names == ["SELECT posts"]


async def test_a_cancelled_statement_has_a_span_with_the_cancellation(
    async_engine: AsyncEngine, recording: Recording
) -> None:
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t LIMIT 3000000) SELECT sum(n) FROM t"

    async def handle() -> None:
        with recording.tracer.start_as_current_span("request"):
            async with async_engine.connect() as connection:
                await connection.execute(text(endless))

    task = asyncio.create_task(handle())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (span,) = (span for span in recording.spans if span.name.startswith("SELECT"))
    assert str((span.attributes or {})["error.type"]).endswith("CancelledError")
    assert span.status.status_code is StatusCode.ERROR


def test_engines_made_earlier_and_later_and_from_threads_are_all_recorded(
    engine: Engine, recording: Recording, tmp_path: Any
) -> None:
    later = create_engine(f"sqlite:///{tmp_path}/later.db")

    def work(which: Engine) -> None:
        with recording.tracer.start_as_current_span("request"), which.connect() as connection:
            connection.execute(text("select 1"))

    threads = [threading.Thread(target=work, args=(which,)) for which in (engine, later) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recording.names == ["SELECT"] * 8
    assert {str((span.attributes or {})["db.namespace"]) for span in recording.spans} == {
        ":memory:",
        f"{tmp_path}/later.db",
    }
    later.dispose()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://kim:hunter2@db.internal:5433/blog?sslmode=require",
            {
                "db.system.name": "postgresql",
                "db.namespace": "blog",
                "server.address": "db.internal",
                "server.port": 5433,
            },
        ),
        ("mysql://kim:hunter2@db/blog", {"db.system.name": "mysql", "db.namespace": "blog", "server.address": "db"}),
        ("mariadb://db/blog", {"db.system.name": "mariadb", "db.namespace": "blog", "server.address": "db"}),
        ("mssql://db/blog", {"db.system.name": "microsoft.sql_server", "db.namespace": "blog", "server.address": "db"}),
        ("oracle://db/blog", {"db.system.name": "oracle.db", "db.namespace": "blog", "server.address": "db"}),
        (
            "postgresql:///blog?host=/run/pg",
            {"db.system.name": "postgresql", "db.namespace": "blog", "server.address": "/run/pg"},
        ),
        ("postgresql:///blog?host=a:1&host=b:2", {"db.system.name": "postgresql", "db.namespace": "blog"}),
    ],
)
def test_a_database_is_named_by_convention_and_without_credentials(
    url: str, expected: dict[str, object], recording: Recording
) -> None:
    from sqlalchemy.engine import make_url

    name = url.partition(":")[0]
    fake: Any = SimpleNamespace(url=make_url(url), dialect=SimpleNamespace(name=name, is_mariadb=name == "mariadb"))
    assert databases.database_attributes(fake, recording.context.redactor) == expected


def test_a_statement_is_read_once(engine: Engine, recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def reading(text: str, dialect: str) -> str:
        read.append(text)
        return text

    monkeypatch.setattr(databases, "without_values", reading)
    with engine.connect() as connection:
        for _ in range(10):
            connection.execute(select(posts.c.id))
    assert len(read) == 1


def test_what_is_remembered_of_statements_is_bounded(
    engine: Engine, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "MAX_STATEMENTS", 10)
    histogram = recording.context.meter_provider.get_meter("test").create_histogram("duration")
    database = databases.Database(
        engine,
        redactor=recording.context.redactor,
        max_text=100,
        duration=lambda point: bind_histogram(histogram, point),
    )
    first = database.statement("SELECT 0", batched=False)
    for number in range(1000):
        known = database.statement(f"SELECT {number}", batched=False)
        assert database.statement(f"SELECT {number}", batched=False) is known
        assert len(database.single) <= 10
    assert database.statement("SELECT 0", batched=False) is not first


def test_a_statement_of_a_megabyte_is_cut(engine: Engine, recording: Recording) -> None:
    with recording.tracer.start_as_current_span("request"), engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT id FROM posts WHERE title = '{'x' * 1_000_000}'")
        connection.exec_driver_sql("SELECT id FROM posts WHERE id IN (" + ", ".join(["id"] * 10_000) + ")")
    first, second = (str((span.attributes or {})["db.query.text"]) for span in recording.spans)
    assert first == "SELECT id FROM posts WHERE title = ?..."
    assert len(second) == 4096
    assert second.endswith("...")


# --- the application's hook ---


@pytest.mark.parametrize("deferred", [False, True])
def test_the_hook_gets_the_open_span_the_statement_and_whether_it_had_parameters(
    engine: Engine, deferred: bool
) -> None:
    def add(span: trace.Span, statement: str, parameters_given: bool) -> None:
        assert span.is_recording()
        span.set_attribute("shop.statement", f"{statement} {parameters_given}")

    recording = Recording(deferred=deferred)
    sqlalchemy.instrument(dataclasses.replace(recording.context, hooks=Hooks(sql_statement=add)))
    try:
        with recording.tracer.start_as_current_span("request"), engine.connect() as connection:
            connection.execute(text("SELECT id FROM posts WHERE id = :id"), {"id": 1})
            connection.exec_driver_sql("SELECT 42")
    finally:
        sqlalchemy.uninstrument()
    assert [(span.attributes or {})["shop.statement"] for span in recording.spans] == [
        "SELECT id FROM posts WHERE id = ? True",
        "SELECT 42 False",
    ]


@pytest.mark.quiet_guard
def test_a_hook_that_raises_affects_neither_the_statement_nor_its_span(engine: Engine) -> None:
    recording = Recording()
    hooks = Hooks(sql_statement=lambda *_: 1 / 0)  # type: ignore[arg-type]
    sqlalchemy.instrument(dataclasses.replace(recording.context, hooks=hooks))
    try:
        with recording.tracer.start_as_current_span("request"), engine.connect() as connection:
            assert connection.execute(text("SELECT 42")).scalar() == 42
    finally:
        sqlalchemy.uninstrument()
    assert recording.names == ["SELECT"]
    assert _guard.swallowed() == {"calling the hook for SQL statements": 1}


# --- waiting for the database ---


def test_a_database_that_refuses_is_a_failed_connect(recording: Recording) -> None:
    def refuse() -> Any:
        raise sqlite3.OperationalError("could not connect to 'db'")

    engine = create_engine("sqlite://", creator=refuse, poolclass=NullPool)
    with recording.tracer.start_as_current_span("request"), pytest.raises(exc.OperationalError):
        engine.connect()
    span = recording.span
    assert (span.name, span.status.description) == ("connect", "could not connect to ?")
    assert (span.attributes or {})["error.type"] == "sqlite3.OperationalError"


def test_an_exhausted_pool_is_a_failed_connect(recording: Recording, tmp_path: Any) -> None:
    engine = create_engine(
        f"sqlite:///{tmp_path}/a.db", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.05
    )
    with recording.tracer.start_as_current_span("request"), engine.connect(), pytest.raises(exc.TimeoutError):
        engine.connect()
    assert (recording.span.name, (recording.span.attributes or {})["error.type"]) == (
        "connect",
        "sqlalchemy.exc.TimeoutError",
    )
    engine.dispose()


def test_a_quick_connect_and_commit_leave_no_span_and_slow_ones_do(
    engine: Engine, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit, names in ((60.0, ["INSERT posts"]), (0.0, ["connect", "INSERT posts", "COMMIT"])):
        monkeypatch.setattr(patches, "SLOW", limit)
        recording.forget()
        with recording.tracer.start_as_current_span("request"), engine.begin() as connection:
            connection.execute(insert(posts), {"title": f"with limit {limit}"})
        assert recording.names == names


def test_a_commit_that_the_database_refuses_is_a_span(
    engine: Engine, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("could not serialize access")

    with recording.tracer.start_as_current_span("request"), engine.connect() as connection:
        connection.execute(insert(posts), {"title": "lost"})
        monkeypatch.setattr(engine.dialect, "do_commit", refuse)
        with pytest.raises(exc.OperationalError):
            connection.commit()
    failed = recording.spans[-1]
    assert (failed.name, failed.status.description) == ("COMMIT", "could not serialize access")


# --- pools ---


def test_connections_are_counted_by_state_under_a_name_without_credentials(recording: Recording, tmp_path: Any) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/a.db", poolclass=QueuePool, pool_size=3, max_overflow=2)
    name = f"sqlite/{tmp_path}/a.db"
    first, second = engine.connect(), engine.connect()
    first.close()

    def counted() -> dict[str, float]:
        return {
            str(dict(k)["db.client.connection.state"]): v
            for k, v in recording.points("db.client.connection.count").items()
        }

    assert counted() == {"used": 1, "idle": 1}
    assert recording.points("db.client.connection.max") == {(("db.client.connection.pool.name", name),): 5}
    second.close()
    assert counted() == {"used": 0, "idle": 2}
    engine.dispose()


def test_pools_of_one_name_are_one_series_and_a_pool_that_is_gone_is_not_counted(
    recording: Recording, tmp_path: Any
) -> None:
    engines = [
        create_engine(f"sqlite:///{tmp_path}/a.db", poolclass=QueuePool, pool_logging_name="main") for _ in range(2)
    ]
    connections = [engine.connect() for engine in engines]
    used = (("db.client.connection.pool.name", "main"), ("db.client.connection.state", "used"))
    assert recording.points("db.client.connection.count")[used] == 2
    for connection in connections:
        connection.close()
    for engine in engines:
        engine.dispose(close=True)
    del connections, connection, engines, engine
    gc.collect()
    assert recording.points("db.client.connection.count") == {}


def test_a_request_that_the_pool_cannot_serve_is_pending_and_then_a_timeout(
    recording: Recording, tmp_path: Any
) -> None:
    engine = create_engine(
        f"sqlite:///{tmp_path}/a.db", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.3,
        pool_logging_name="main",
    )  # fmt: skip
    taken, pool = engine.connect(), (("db.client.connection.pool.name", "main"),)
    assert recording.points("db.client.connection.timeouts") == {pool: 0}
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            engine.connect()
        except exc.TimeoutError as error:
            errors.append(error)

    waiting = threading.Thread(target=ask)
    waiting.start()
    deadline = time.monotonic() + 10
    while recording.points("db.client.connection.pending_requests") != {pool: 1} and time.monotonic() < deadline:
        time.sleep(0.005)
    waiting.join()
    assert len(errors) == 1
    assert recording.points("db.client.connection.pending_requests") == {pool: 0}
    assert recording.points("db.client.connection.timeouts") == {pool: 1}
    taken.close()
    engine.dispose()


# --- on and off ---


def test_after_uninstrument_sqlalchemy_is_as_it_was(engine: Engine) -> None:
    before = dict(vars(Connection))
    recording = Recording()
    sqlalchemy.instrument(recording.context)
    sqlalchemy.instrument(recording.context)
    assert vars(Connection)["_exec_single_context"] is not before["_exec_single_context"]
    sqlalchemy.uninstrument()
    assert dict(vars(Connection)) == before
    with recording.tracer.start_as_current_span("request"), engine.connect() as connection:
        connection.execute(text("select 1"))
    assert recording.spans == []


def test_another_librarys_wrapper_around_ours_stays(engine: Engine, recording: Recording) -> None:
    ours = Connection._exec_single_context
    calls = []

    def theirs(self: Connection, *args: Any) -> Any:
        calls.append(1)
        return ours(self, *args)

    Connection._exec_single_context = theirs  # type: ignore[method-assign, assignment]
    try:
        sqlalchemy.uninstrument()
        sqlalchemy.instrument(recording.context)
        with recording.tracer.start_as_current_span("request"), engine.connect() as connection:
            connection.execute(text("select 1"))
        assert (calls, recording.names) == ([1], ["SELECT"])
    finally:
        Connection._exec_single_context = ours  # type: ignore[method-assign]


def test_switched_off_it_patches_nothing() -> None:
    before = dict(vars(Connection))
    assert sqlalchemy.instrument(Recording(sqlalchemy="off").context).state is State.OFF
    assert dict(vars(Connection)) == before


def test_without_sqlalchemy_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sqlalchemy")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert sqlalchemy.instrument(Recording().context).state is State.MISSING


def test_a_sqlalchemy_too_old_or_too_new_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlalchemy, "version_of", lambda _: "1.4.54")
    report = sqlalchemy.instrument(Recording().context)
    assert (report.state, report.detail) == (State.WRONG_VERSION, "SQLAlchemy 1.4.54; 2.0 or later is needed")
    monkeypatch.setattr(sqlalchemy, "version_of", lambda _: "3.0.0")
    monkeypatch.setitem(sys.modules, "sqlalchemy.engine.base", ModuleType("changed"))
    report = sqlalchemy.instrument(Recording().context)
    assert report.state is State.WRONG_VERSION
    assert "Connection._exec_single_context" in report.detail


@pytest.mark.needs("opentelemetry-instrumentation-sqlalchemy")
def test_contrib_as_it_is_takes_2_0_and_refuses_2_1_and_statements_are_recorded_either_way() -> None:
    import sqlalchemy as library

    recording = Recording(sqlalchemy="contrib")
    report = sqlalchemy.instrument(recording.context)
    try:
        is_refused = not library.__version__.startswith("2.0.")
        assert report.state is (State.WRONG_VERSION if is_refused else State.ON)
        engine = library.create_engine("sqlite://")
        with recording.tracer.start_as_current_span("request"), engine.connect() as connection:
            connection.execute(text("select 1"))
        assert [name for name in recording.names if name != "connect"] == ["SELECT" if is_refused else "select"]
    finally:
        sqlalchemy.uninstrument()


@pytest.mark.needs("opentelemetry-instrumentation-sqlalchemy")
def test_contrib_that_refuses_this_version_is_reported_and_ours_is_on_instead(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor

    refusal = SimpleNamespace(required="sqlalchemy >= 1.0.0, < 2.1.0", found="sqlalchemy 2.1.9")
    monkeypatch.setattr(SQLAlchemyInstrumentor, "_check_dependency_conflicts", lambda self: refusal)
    recording = Recording(sqlalchemy="contrib")
    report = sqlalchemy.instrument(recording.context)
    try:
        assert report.state is State.WRONG_VERSION
        assert (
            report.detail == "contrib takes sqlalchemy >= 1.0.0, < 2.1.0 and found sqlalchemy 2.1.9; instead ours is on"
        )
        with recording.tracer.start_as_current_span("request"), engine.connect() as connection:
            connection.execute(text("select 1"))
        assert recording.names == ["SELECT"]
    finally:
        sqlalchemy.uninstrument()


def test_contrib_that_is_not_installed_is_reported_and_ours_is_on_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.instrumentation.sqlalchemy", None)
    report = sqlalchemy.instrument(Recording(sqlalchemy="contrib").context)
    sqlalchemy.uninstrument()
    assert report.state is State.MISSING
    assert report.detail.endswith('pip install "blogauto_otel[sqlalchemy]"; instead ours is on')


@pytest.mark.needs("opentelemetry-instrumentation-sqlalchemy")
def test_contrib_that_accepts_this_version_is_used_and_ours_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor

    monkeypatch.setattr(SQLAlchemyInstrumentor, "_check_dependency_conflicts", lambda self: None)
    recording = Recording(sqlalchemy="contrib")
    report = sqlalchemy.instrument(recording.context)
    try:
        assert report.state is State.ON
        assert report.detail.startswith("by the contrib instrumentor")
        import sqlalchemy as library

        engine = library.create_engine("sqlite://")
        with recording.tracer.start_as_current_span("request"), engine.connect() as connection:
            connection.execute(text("select 1"))
        scopes = {span.instrumentation_scope.name for span in recording.spans if span.instrumentation_scope}
        assert scopes == {"opentelemetry.instrumentation.sqlalchemy"}
    finally:
        sqlalchemy.uninstrument()


@pytest.mark.needs("opentelemetry-instrumentation-sqlalchemy")
def test_where_the_application_switched_contrib_on_ours_is_off_and_contrib_stays_on() -> None:
    from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor

    SQLAlchemyInstrumentor().instrument(skip_dep_check=True)
    try:
        report = sqlalchemy.instrument(Recording().context)
        assert (report.state, report.detail) == (State.SKIPPED, "the contrib instrumentor is on already")
        sqlalchemy.uninstrument()
        assert SQLAlchemyInstrumentor().is_instrumented_by_opentelemetry
    finally:
        SQLAlchemyInstrumentor().uninstrument()
