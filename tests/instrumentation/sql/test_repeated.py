"""Repeated and slow statements: on the server span, in the log, in the metric, with the line that issued them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import ForeignKey, create_engine, select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from blogauto_otel import operation
from blogauto_otel.testing import Captured, capture_telemetry

HERE = Path(__file__).name


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    books: Mapped[list[Book]] = relationship()


class Book(Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    # A file, so that each thread has a connection of its own.
    engine = create_engine(f"sqlite:///{tmp_path_factory.mktemp('books')}/books.db")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Author(id=number, books=[Book()]) for number in range(1, 21)])
        session.commit()
    app = FastAPI()

    @app.get("/lazy")
    def lazy() -> int:
        with Session(engine) as session:
            return sum(len(author.books) for author in session.scalars(select(Author)))

    @app.get("/eager")
    def eager() -> int:
        with Session(engine) as session:
            return sum(
                len(author.books) for author in session.scalars(select(Author).options(selectinload(Author.books)))
            )

    @app.get("/literals")
    def literals() -> int:
        with engine.connect() as connection:
            return sum(
                len(connection.execute(text(f"SELECT * FROM books WHERE id = {one}")).all()) for one in range(12)
            )

    @app.get("/asynchronous")
    async def asynchronous() -> int:
        other = create_async_engine("sqlite+aiosqlite://")
        async with AsyncSession(other) as session:
            for one in range(10):
                await session.execute(text("SELECT :one"), {"one": one})
        await other.dispose()
        return 0

    return TestClient(app)


def server_attributes(telemetry: Captured, route: str) -> dict[str, Any]:
    return dict(telemetry.span(f"GET {route}").attributes or {})


def test_lazy_loading_is_reported_with_its_count_its_line_and_the_way_out(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_telemetry() as telemetry:
        client.get("/lazy")
        client.get("/lazy")
    spans = [span for span in telemetry.spans if span.name == "GET /lazy"]
    attributes = dict(spans[0].attributes or {})
    assert attributes["blogauto.db.repeated"] == 20
    assert "FROM books" in str(attributes["blogauto.db.repeated.statement"])
    assert HERE in str(attributes["blogauto.db.repeated.source"])
    assert attributes["blogauto.db.repeated.lazy_load"] is True
    lines = [record.getMessage() for record in caplog.records if "executed one SQL statement" in record.getMessage()]
    assert len(lines) == 1, "once a route"
    assert "/lazy executed one SQL statement 20 times" in lines[0]
    assert "selectinload()" in lines[0]
    assert telemetry.points("blogauto.db.repeated_queries") == {(("route", "/lazy"),): 40}


def test_eager_loading_is_not_reported(client: TestClient) -> None:
    with capture_telemetry() as telemetry:
        client.get("/eager")
    assert not [name for name in server_attributes(telemetry, "/eager") if name.startswith("blogauto.db")]
    assert telemetry.points("blogauto.db.repeated_queries") == {}


def test_statements_that_differ_in_their_literals_only_are_the_same(client: TestClient) -> None:
    with capture_telemetry() as telemetry:
        client.get("/literals")
    attributes = server_attributes(telemetry, "/literals")
    assert attributes["blogauto.db.repeated"] == 12
    assert attributes["blogauto.db.repeated.lazy_load"] is False


def test_the_line_is_known_below_an_asynchronous_session(client: TestClient) -> None:
    with capture_telemetry() as telemetry:
        client.get("/asynchronous")
    assert HERE in str(server_attributes(telemetry, "/asynchronous")["blogauto.db.repeated.source"])


def test_an_unsampled_request_is_counted(client: TestClient) -> None:
    with capture_telemetry(sample_rate=0.0) as telemetry:
        client.get("/lazy")
    assert telemetry.spans == ()
    assert telemetry.points("blogauto.db.repeated_queries") == {(("route", "/lazy"),): 20}


def test_the_limit_is_a_setting_and_0_disables(client: TestClient) -> None:
    with capture_telemetry(repeated_queries=21) as telemetry:
        client.get("/lazy")
    assert "blogauto.db.repeated" not in server_attributes(telemetry, "/lazy")
    with capture_telemetry(repeated_queries=0, slow_query_seconds=0.0) as telemetry:
        client.get("/lazy")
    assert "blogauto.db.repeated" not in server_attributes(telemetry, "/lazy")


def test_a_slow_statement_is_reported(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with capture_telemetry(slow_query_seconds=1e-6, repeated_queries=0) as telemetry:
        client.get("/eager")
    attributes = server_attributes(telemetry, "/eager")
    assert attributes["blogauto.db.slow"] == 2
    assert "SELECT authors.id" in str(attributes["blogauto.db.slow.statement"])
    assert "/eager executed a slow SQL statement" in caplog.text


def test_an_operation_outside_of_requests_is_reported_under_its_name() -> None:
    engine = create_engine("sqlite://")
    with capture_telemetry() as telemetry, operation("import.books"), engine.connect() as connection:
        for one in range(15):
            connection.execute(text("SELECT :one"), {"one": one})
    assert dict(telemetry.span("import.books").attributes or {})["blogauto.db.repeated"] == 15
    assert telemetry.points("blogauto.db.repeated_queries") == {(("route", "import.books"),): 15}


def test_each_statement_has_its_line_by_setting(client: TestClient) -> None:
    with capture_telemetry(sql_source=True) as telemetry:
        client.get("/eager")
    statements = [dict(span.attributes or {}) for span in telemetry.spans if "db.query.text" in (span.attributes or {})]
    assert all(str(one["code.file.path"]).endswith(HERE) for one in statements)
    assert all(isinstance(one["code.line.number"], int) for one in statements)
    assert {query.source.rpartition(":")[0] for query in telemetry.queries} == {statements[0]["code.file.path"]}


def test_concurrent_requests_are_counted_apart(client: TestClient) -> None:
    async def both() -> None:
        await asyncio.gather(*(asyncio.to_thread(client.get, "/lazy") for _ in range(4)))

    with capture_telemetry() as telemetry:
        asyncio.run(both())
    counts = [
        dict(span.attributes or {}).get("blogauto.db.repeated") for span in telemetry.spans if span.name == "GET /lazy"
    ]
    assert counts == [20] * 4
