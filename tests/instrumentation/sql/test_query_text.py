from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blogauto_otel.instrumentation.sqlalchemy.query_summary import MAX_SUMMARY, QuerySummary, summarize
from blogauto_otel.instrumentation.sqlalchemy.query_text import without_values

DIALECTS = ("postgresql", "mysql", "mariadb", "sqlite", "mssql", "oracle", "another")


@pytest.mark.parametrize(
    ("dialect", "text", "bare"),
    [
        (
            "sqlite",
            "SELECT a \nFROM posts \nWHERE b = 'it''s' AND c = 3.5e-4",
            "SELECT a FROM posts WHERE b = ? AND c = ?",
        ),
        ("sqlite", "SELECT a FROM posts WHERE id = ? AND x = ?1", "SELECT a FROM posts WHERE id = ? AND x = ?1"),
        ("postgresql", "SELECT $1::INTEGER, E'a\\'b', $$it's$$, $t$ ' $t$, 'c:\\'", "SELECT $1::INTEGER, ?, ?, ?, ?"),
        ("postgresql", 'SELECT ARRAY[1,2], %(id_1)s, a1, "c 9", 0xFF', 'SELECT ARRAY[?,?], %(id_1)s, a1, "c 9", ?'),
        (
            "mysql",
            "UPDATE `a 1` SET b = 'x\\'y', c = \"z\" WHERE id = %s # why",
            "UPDATE `a 1` SET b = ?, c = ? WHERE id = %s",
        ),
        ("mssql", "SELECT TOP 5 [a 1] FROM t /* 'secret' */", "SELECT TOP ? [a 1] FROM t"),
        ("oracle", "SELECT q'[it's]', :1, :name FROM dual -- 'secret", "SELECT ?, :1, :name FROM dual"),
        ("another", "SELECT 'a\\'b', secret FROM t", "SELECT ?"),
        ("sqlite", "SELECT 'never closed", "SELECT ?"),
        (
            "sqlite",
            'SELECT "a"."b" FROM "a" WHERE "b" = "hunter2" AND c IN ("x", "y")',
            'SELECT "a"."b" FROM "a" WHERE "b" = ? AND c IN (?, ?)',
        ),
        ("sqlite", 'INSERT INTO "a" ("b") VALUES ("hunter2")', 'INSERT INTO "a" ("b") VALUES (?)'),
        ("sqlite", "SELECT [a'b] FROM t WHERE c = 'hunter2'", "SELECT [a'b] FROM t WHERE c = ?"),
        ("another", "SELECT [a'b] FROM t WHERE c = 'hunter2'", "SELECT ?"),
        ("snowflake", "SELECT $$it's hunter2$$ AS a", "SELECT ? AS a"),
        ("another", "SELECT $x$it's hunter2$x$ AS a", "SELECT ? AS a"),
        ("bigquery", "SELECT '''it's hunter2''', \"\"\"b\"\"\" AS a", "SELECT ?, ? AS a"),
        ("postgresql", "SELECT 1 /* a /* b */ it's */ , 'hunter2'", "SELECT ?"),
        ("mysql", "SELECT 1 /* a /* b */ , 'hunter2'", "SELECT ?   , ?"),
        ("sqlite", "", ""),
    ],
)
def test_values_are_replaced_and_placeholders_stay(dialect: str, text: str, bare: str) -> None:
    assert without_values(text, dialect) == bare


@given(
    value=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\\\0"), max_size=40),
    dialect=st.sampled_from(DIALECTS),
)
def test_no_string_can_break_out_of_its_quotes(value: str, dialect: str) -> None:
    quoted = "'" + f"SECRET{value}SECRET".replace("'", "''") + "'"
    assert (
        without_values(f"SELECT a FROM t WHERE b = {quoted} AND c = 1", dialect)
        == "SELECT a FROM t WHERE b = ? AND c = ?"
    )


@given(text=st.text(alphabet="'\"\\$`-/*[]()q{}<>ab1 \n,.;:?%#", max_size=200), dialect=st.sampled_from(DIALECTS))
def test_any_statement_can_be_read(text: str, dialect: str) -> None:
    summary = summarize(without_values(text, dialect)).summary
    assert summary is None or len(summary) <= MAX_SUMMARY


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "piece", ["'", "'\\", "$a$", "/*", "q'(", "1", "e'\\", '"', "(", "[", "FROM ", "a.", "SELECT("]
)
def test_hostile_text_is_read_in_linear_time(piece: str, dialect: str) -> None:
    text = piece * (200_000 // len(piece))
    started = time.thread_time()
    bare = without_values(text, dialect)
    summarize(bare)
    assert time.thread_time() - started < 3.0, "quadratic reading takes far longer"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT posts.id FROM posts WHERE a = ?", QuerySummary("SELECT", "posts", "SELECT posts")),
        ("select ?", QuerySummary("SELECT", None, "SELECT")),
        ("INSERT INTO posts (a) VALUES (?) RETURNING id", QuerySummary("INSERT", "posts", "INSERT posts")),
        ("UPDATE posts SET a = ? WHERE id = ?", QuerySummary("UPDATE", "posts", "UPDATE posts")),
        ("DELETE FROM public.posts", QuerySummary("DELETE", "public.posts", "DELETE public.posts")),
        ('SELECT "a b".x FROM "order"', QuerySummary("SELECT", "order", "SELECT order")),
        (
            "SELECT * FROM songs, artists a WHERE x FOR UPDATE OF a",
            QuerySummary("SELECT", None, "SELECT songs artists"),
        ),
        ("SELECT a FROM posts JOIN users ON x = y", QuerySummary("SELECT", None, "SELECT posts users")),
        ("SELECT count(*) FROM (SELECT a FROM posts) AS anon", QuerySummary("SELECT", "posts", "SELECT SELECT posts")),
        ("INSERT INTO a SELECT * FROM b", QuerySummary("INSERT", None, "INSERT a SELECT b")),
        ("INSERT INTO a VALUES (?) ON CONFLICT DO UPDATE SET x = ?", QuerySummary("INSERT", "a", "INSERT a")),
        ("INSERT INTO a VALUES (?) ON DUPLICATE KEY UPDATE x = ?", QuerySummary("INSERT", "a", "INSERT a")),
        ("WITH t AS (SELECT * FROM posts) SELECT * FROM t", QuerySummary("SELECT", "posts", "SELECT posts")),
        ("WITH posts AS (SELECT * FROM posts) SELECT * FROM posts", QuerySummary("SELECT", "posts", "SELECT posts")),
        (
            "WITH t AS NOT MATERIALIZED (SELECT * FROM posts) SELECT * FROM t",
            QuerySummary("SELECT", "posts", "SELECT posts"),
        ),
        (
            "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n FROM t) SELECT n FROM t",
            QuerySummary("SELECT", None, "SELECT SELECT SELECT"),
        ),
        (
            "WITH t (n) AS (VALUES (1)) SELECT * FROM t JOIN posts ON n = id",
            QuerySummary("SELECT", "posts", "SELECT posts"),
        ),
        (
            "WITH a AS (SELECT * FROM posts), b AS (SELECT * FROM a, users) INSERT INTO t SELECT * FROM b",
            QuerySummary("INSERT", None, "SELECT posts SELECT users INSERT t"),
        ),
        ("WITH gone AS (DELETE FROM a RETURNING *) SELECT * FROM gone", QuerySummary("SELECT", "a", "DELETE a SELECT")),
        ("WITH t AS (SELECT 1) UPDATE posts SET a = 1 FROM t", QuerySummary("UPDATE", "posts", "SELECT UPDATE posts")),
        (
            "INSERT INTO b WITH t AS (SELECT * FROM a) SELECT * FROM t",
            QuerySummary("INSERT", None, "INSERT b SELECT a"),
        ),
        (
            "SELECT * FROM (WITH t AS (SELECT * FROM a) SELECT * FROM t) x",
            QuerySummary("SELECT", "a", "SELECT SELECT a"),
        ),
        ("EXPLAIN SELECT * FROM posts", QuerySummary("EXPLAIN", "posts", "EXPLAIN SELECT posts")),
        (
            "EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM a JOIN b ON a.x = b.x",
            QuerySummary("EXPLAIN", None, "EXPLAIN SELECT a b"),
        ),
        ("EXPLAIN QUERY PLAN SELECT * FROM posts", QuerySummary("EXPLAIN", "posts", "EXPLAIN SELECT posts")),
        ("EXPLAIN PLAN FOR DELETE FROM posts", QuerySummary("EXPLAIN", "posts", "EXPLAIN DELETE posts")),
        ("EXPLAIN FORMAT=JSON UPDATE posts SET a = 1", QuerySummary("EXPLAIN", "posts", "EXPLAIN UPDATE posts")),
        (
            "EXPLAIN ANALYZE WITH t AS (SELECT * FROM posts) SELECT * FROM t",
            QuerySummary("EXPLAIN", "posts", "EXPLAIN SELECT posts"),
        ),
        ("EXPLAIN CREATE TABLE t AS SELECT * FROM posts", QuerySummary("EXPLAIN", "t", "EXPLAIN CREATE TABLE t")),
        ("EXPLAIN posts", QuerySummary("EXPLAIN", None, "EXPLAIN")),
        (
            "SELECT EXTRACT(YEAR FROM d) FROM posts WHERE a IS DISTINCT FROM b",
            QuerySummary("SELECT", "posts", "SELECT posts"),
        ),
        ("SELECT * FROM json_each(?), posts", QuerySummary("SELECT", "posts", "SELECT posts")),
        ("DELETE FROM a USING b WHERE a.id = b.id", QuerySummary("DELETE", None, "DELETE a b")),
        (
            "CREATE TABLE IF NOT EXISTS posts (a VARCHAR(?))",
            QuerySummary("CREATE TABLE", "posts", "CREATE TABLE posts"),
        ),
        ("CREATE UNIQUE INDEX ix ON posts (a)", QuerySummary("CREATE INDEX", None, "CREATE INDEX ix")),
        ("TRUNCATE posts", QuerySummary("TRUNCATE", "posts", "TRUNCATE posts")),
        ("CALL refresh(?)", QuerySummary("CALL", None, "CALL refresh")),
        ('PRAGMA main.table_info("posts")', QuerySummary("PRAGMA", None, "PRAGMA")),
        ("DELETE FROM a; DELETE FROM b", QuerySummary(None, None, "DELETE a DELETE b")),
        ("(SELECT ? FROM a) UNION (SELECT ? FROM b)", QuerySummary("SELECT", None, "SELECT a SELECT b")),
        ("? 한글", QuerySummary()),
        ("", QuerySummary()),
    ],
)
def test_the_summary_of_a_statement(text: str, expected: QuerySummary) -> None:
    assert summarize(text) == expected


def test_a_summary_is_cut_between_targets() -> None:
    joins = " ".join(f"JOIN table_number_{number} ON a = b" for number in range(40))
    summary = summarize(f"SELECT a FROM posts {joins}").summary
    assert summary is not None
    assert len(summary) <= MAX_SUMMARY
    assert summary.split()[-1].startswith("table_number_")
