"""Query plans: of SQLite and of a real PostgreSQL; nothing is executed or changed."""

from __future__ import annotations

import os
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from blogauto_otel.errors import PlanError
from blogauto_otel.inspector.explain import Explainer, placeholders
from testkit.otlp import traces
from testkit.ports import free_port
from testkit.processes import Process, eventually
from tests.inspector.server import get, page, select


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "my blog.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE posts (id INTEGER PRIMARY KEY, author TEXT, title TEXT)")
        connection.execute("CREATE INDEX by_author ON posts (author)")
        connection.execute("INSERT INTO posts VALUES (1, 'me', 'first')")
    connection.close()
    return path


def url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


def test_the_plan_of_a_statement_on_the_page(database: Path) -> None:
    request = get()
    statement = select(request, "SELECT title FROM posts WHERE author = ? ORDER BY title LIMIT ?")
    with page(database=url(database)) as served:
        served.send(traces([request, statement]))
        ids = {"trace_id": request.trace_id.hex(), "span_id": statement.span_id.hex()}
        (sql,) = [one["sql"] for one in served.get(f"/api/traces/{ids['trace_id']}")["spans"] if one["sql"]]
        assert sql["can_explain"] is True
        plan = served.client.post("/api/explain", json=ids).json()["plan"]
        assert "SEARCH posts USING INDEX by_author" in plan
        assert served.client.post("/api/explain", json={**ids, "span_id": request.span_id.hex()}).json() == {
            "error": "this span has no statement"
        }
        assert served.client.post("/api/explain", json={"trace_id": "x"}).status_code == 400
        assert served.client.post("/api/explain", content=b"x").status_code == 400


@pytest.mark.parametrize(
    "text",
    [
        "SELECT title FROM posts WHERE author = :author AND id = :id",
        "SELECT title FROM posts WHERE author = 'it''s ?' AND id = ?",
        "INSERT INTO posts (author) VALUES (?)",
        "WITH mine AS (SELECT * FROM posts WHERE author = ?) SELECT COUNT(*) FROM mine",
        "DELETE FROM posts;",
    ],
)
def test_statements_are_planned_and_not_executed(database: Path, text: str) -> None:
    before = database.read_bytes()
    assert Explainer(url(database)).plan("sqlite", text)
    assert database.read_bytes() == before
    assert sorted(path.name for path in database.parent.iterdir()) == [database.name]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("DROP TABLE posts", "only SELECT"),
        ("PRAGMA writable_schema = 1", "only SELECT"),
        ("ATTACH 'other.db' AS other", "only SELECT"),
        ("SELECT 1; DROP TABLE posts", "more than one statement"),
        ("SELECT missing FROM posts", "no such column"),
        ("SELECT FROM", "syntax error"),
    ],
)
def test_what_has_no_plan_is_refused_with_the_reason(database: Path, text: str, reason: str) -> None:
    with pytest.raises(PlanError, match=reason):
        Explainer(url(database)).plan("sqlite", text)


def test_without_a_database_the_way_out_is_named() -> None:
    with pytest.raises(PlanError, match="--database URL"):
        Explainer().plan("sqlite", "SELECT 1")
    with pytest.raises(PlanError, match="only SQLite and PostgreSQL"):
        Explainer("mysql://h/d").plan("mysql", "SELECT 1")
    with pytest.raises(PlanError, match="in memory"):
        Explainer("sqlite://").plan("sqlite", "SELECT 1")
    with pytest.raises(PlanError, match="unable to open"):
        Explainer("sqlite:////nowhere/x.db").plan("sqlite", "SELECT 1")
    assert not Explainer().can_explain("sqlite", "SELECT 1")
    assert not Explainer("sqlite:///x.db").can_explain("postgresql", "SELECT 1")


@pytest.mark.parametrize(
    ("text", "expected", "count"),
    [
        ("a = ? AND b = ?", "a = $1 AND b = $2", 2),
        ("a = %(x)s AND b = %(y)s OR a = %(x)s", "a = $1 AND b = $2 OR a = $1", 2),
        ("a = :x::text AND b = '%s ?'", "a = $1::text AND b = '%s ?'", 1),
        ("a = $1::VARCHAR AND b = $2", "a = $1::VARCHAR AND b = $2", 2),
        ('"a?" = %s', '"a?" = $1', 1),
        ("1 = 1", "1 = 1", 0),
    ],
)
def test_placeholders_of_every_driver_become_one_form(text: str, expected: str, count: int) -> None:
    assert placeholders(text, lambda number: f"${number}") == (expected, count)


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if found:
        return found[-1]
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None


@pytest.fixture
def postgresql() -> Iterator[str]:
    """A server of its own in a folder of its own.

    PostgreSQL does not run as root: as root it runs as nobody, with that user's group alone, in a folder below /tmp,
    because those of pytest and of TMPDIR may be root's. Locale and variables are fixed, so that neither those of the
    run nor a locale that is not installed decide whether `initdb` succeeds.
    """
    programs_, port = programs(), free_port()
    assert programs_ is not None, "apt-get install postgresql"
    user = "nobody" if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(dir="/tmp" if user else None, ignore_cleanup_errors=True) as folder:
        if user:
            shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)
        data, env = f"{folder}/data", {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "HOME": folder, "TZ": "UTC"}
        making = ["initdb", "-D", data, "-U", "writer", "-A", "trust", "-N", "--locale=C.UTF-8", "--encoding=UTF8"]
        made = subprocess.run(
            [str(programs_ / making[0]), *making[1:]], capture_output=True, text=True, cwd=folder, env=env, user=user,
            group=user and pwd.getpwnam(user).pw_gid, extra_groups=[] if user else None,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout + made.stderr
        options = ("listen_addresses=127.0.0.1", "shared_buffers=16MB", "dynamic_shared_memory_type=mmap")
        command = [str(programs_ / "postgres"), "-D", data, "-p", str(port), "-k", ""]
        command += [part for option in options for part in ("-c", option)]
        url = f"http://127.0.0.1:{port}"
        log = Path(folder) / "postgresql.log"
        with Process("postgresql", command, log=log, url=url, ready_url="tcp:", env=env, user=user) as server:
            eventually(lambda: "ready to accept connections" in server.output)  # its port is open before
            yield f"postgresql+asyncpg://writer@127.0.0.1:{port}/postgres"


@pytest.mark.slow
def test_a_generic_plan_of_postgresql(postgresql: str) -> None:
    from blogauto_otel.inspector import explain

    with explain._connect(explain._driver(), postgresql) as connection:
        connection.cursor().execute("CREATE TABLE posts (id INT PRIMARY KEY, author TEXT)")
        connection.commit()
    explainer = Explainer(postgresql)
    assert explainer.can_explain("postgresql", "SELECT 1")
    for text in (
        "SELECT id FROM posts WHERE id = %(id)s",
        "SELECT id FROM posts WHERE id = $1::INTEGER",
        "SELECT id FROM posts WHERE id = ?",
    ):
        assert "Index Cond: (id = $1)" in explainer.plan("postgresql", text)
    assert "Seq Scan on posts" in explainer.plan("postgresql", "SELECT * FROM posts WHERE author LIKE %s")
    assert "Insert on posts" in explainer.plan("postgresql", "INSERT INTO posts VALUES (%s, %s)")
    with pytest.raises(PlanError, match="does not exist"):
        explainer.plan("postgresql", "SELECT * FROM missing")
    with pytest.raises(PlanError, match="more than one"):
        explainer.plan("postgresql", "SELECT 1; DROP TABLE posts")
    assert "rows=" in explainer.plan("postgresql", "SELECT * FROM posts")  # which is still there
