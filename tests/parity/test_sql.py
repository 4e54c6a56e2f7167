"""Our SQL spans beside contrib's for the same statements: every difference is in the table, and intended."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.trace import ReadableSpan

from blogauto_otel.instrumentation import sqlalchemy as ours
from testkit.recording import Recording

posts = sa.Table(
    "posts", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("title", sa.String, unique=True)
)

# Attribute or part of a span -> why ours differs from contrib's.
WANTED: Mapping[str, str] = {
    "name": "`SELECT posts` distinguishes statements, `SELECT <database>` does not (semantic conventions: name)",
    "db.operation.name": "contrib puts the database into it (`SELECT appdb`); an executemany is a BATCH",
    "db.collection.name": "contrib does not say which table",
    "db.query.summary": "contrib has none",
    "db.query.text": "contrib leaves literal values in the text",
    "db.operation.batch.size": "contrib does not say how many parameter sets one span stands for",
    "error.type": "contrib does not say what kind of failure it was",
    "db.response.status_code": "contrib does not say the database's code",
    "spans": "contrib has one for each checkout of a pooled connection and for each piece of an insertmanyvalues",
}


def select(connection: sa.Connection) -> None:
    connection.execute(sa.select(posts.c.id).where(posts.c.title == "a"))


def insert(connection: sa.Connection) -> None:
    connection.execute(sa.insert(posts), {"title": "one"})


def executemany(connection: sa.Connection) -> None:
    connection.execute(sa.insert(posts), [{"title": "two"}, {"title": "three"}])


def insertmanyvalues(connection: sa.Connection) -> None:
    titles = [{"title": f"many {number}"} for number in range(30)]
    connection.execute(
        sa.insert(posts).returning(posts.c.id), titles, execution_options={"insertmanyvalues_page_size": 10}
    ).all()


def update(connection: sa.Connection) -> None:
    connection.execute(sa.update(posts).values(title="b").where(posts.c.id == -1))


def delete(connection: sa.Connection) -> None:
    connection.execute(sa.delete(posts).where(posts.c.id == -1))


def literal(connection: sa.Connection) -> None:
    connection.exec_driver_sql("SELECT id FROM posts WHERE title = 'a secret'")


def plain(connection: sa.Connection) -> None:
    connection.execute(sa.text("select 1"))


def streamed(connection: sa.Connection) -> None:
    for _ in connection.execute(sa.select(posts.c.id).execution_options(yield_per=5)).partitions():
        pass


def refused(connection: sa.Connection) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        connection.execute(sa.insert(posts), {"title": "taken"})


STATEMENTS = (select, insert, executemany, insertmanyvalues, update, delete, literal, plain, streamed, refused)


@contextmanager
def by_ours(recording: Recording) -> Iterator[None]:
    ours.instrument(recording.context)
    yield
    ours.uninstrument()


@contextmanager
def by_contrib(recording: Recording) -> Iterator[None]:
    instrumentor = SQLAlchemyInstrumentor()
    # It refuses SQLAlchemy 2.1 by its version alone.
    instrumentor.instrument(tracer_provider=recording.tracers, meter_provider=recording.meters, skip_dep_check=True)
    yield
    instrumentor.uninstrument()


def spans_of(
    run: Callable[[sa.Connection], None], instrumented: Callable[[Recording], Any], folder: Path
) -> list[ReadableSpan]:
    folder.mkdir(exist_ok=True)
    recording = Recording()
    with instrumented(recording):
        engine = sa.create_engine(f"sqlite:///{folder}/posts.db")
        posts.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(sa.delete(posts))
            connection.execute(sa.insert(posts), {"title": "taken"})
        recording.forget()
        with recording.tracer.start_as_current_span("request"), engine.connect() as connection:
            run(connection)
        engine.dispose()
    return recording.spans


def parts(span: ReadableSpan) -> dict[str, object]:
    """The content of a span, in a comparable form; white space in a statement is no difference."""
    attributes: dict[str, object] = dict(span.attributes or {})
    attributes["db.query.text"] = " ".join(str(attributes["db.query.text"]).split())
    return {
        **attributes,
        "name": span.name,
        "kind": span.kind,
        "status": span.status.status_code,
        "description": span.status.description,
        "events": len(span.events),
        "child of the request": span.parent is not None,
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[str]]:
    """The differences, by statement."""
    folder = tmp_path_factory.mktemp("parity")
    differences: dict[str, set[str]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")
        patch.setattr(_OpenTelemetrySemanticConventionStability, "_initialized", False)
        for run in STATEMENTS:
            mine, theirs = (spans_of(run, how, folder / "same") for how in (by_ours, by_contrib))
            statements = [span for span in theirs if span.name != "connect"]
            assert len(mine) == 1
            a, b = parts(mine[0]), parts(statements[0])
            differences[run.__name__] = {key for key in a.keys() | b.keys() if a.get(key) != b.get(key)}
            if len(theirs) != len(mine):
                differences[run.__name__].add("spans")
    return differences


@pytest.mark.parametrize("statement", [run.__name__ for run in STATEMENTS])
def test_what_differs_from_contrib_is_wanted(statement: str, found: Mapping[str, set[str]]) -> None:
    assert found[statement] <= WANTED.keys()


def test_every_wanted_difference_is_there(found: Mapping[str, set[str]]) -> None:
    # SQLite reports its codes since Python 3.11.
    unavailable = {"db.response.status_code"} if sys.version_info < (3, 11) else set()
    assert set().union(*found.values()) == WANTED.keys() - unavailable
