"""The text of a SQL statement without values.

It is tokenised and not parsed: one pass of one regular expression, in linear time. Where the meaning depends on an
unknown dialect, the result has less detail.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from blogauto_otel.redaction.sql import double_quoted

# How a dialect of SQLAlchemy writes strings. For one that is in neither set, everything after a backslash in a string
# counts as value, because a wrong guess would take the text between two strings for a string.
STANDARD_STRINGS: Final = frozenset(
    {"postgresql", "sqlite", "mssql", "oracle", "cockroachdb", "redshift", "db2", "trino", "hana", "firebird"}
)
BACKSLASH_STRINGS: Final = frozenset(
    {"mysql", "mariadb", "clickhouse", "clickhousedb", "bigquery", "snowflake", "databricks", "hive", "impala"}
)
# Dialects with `$$x$$`; an unknown dialect may have it as well.
DOLLAR_QUOTES: Final = frozenset(
    {
        "postgresql",
        "cockroachdb",
        "redshift",
        "snowflake",
        "duckdb",
        "clickhouse",
        "clickhousedb",
        "greenplum",
        "yugabytedb",
    }
)
# Where a `$` is part of a name or a parameter's sign and quotes nothing.
NO_DOLLAR_QUOTES: Final = frozenset({"mysql", "mariadb", "sqlite", "mssql", "oracle"})
TRIPLE_QUOTES: Final = frozenset({"bigquery"})
BRACKETED_NAMES: Final = frozenset({"mssql", "sqlite", "access", "sybase"})
# In these a comment ends at the first `*/`; elsewhere comments nest, or it is unknown.
FLAT_COMMENTS: Final = frozenset({"mysql", "mariadb", "sqlite", "oracle", "bigquery"})
DOUBLE_QUOTED_STRINGS: Final = frozenset({"mysql", "mariadb", "bigquery", "databricks", "hive", "impala"})

_BACKSLASH: Final = r"'[^'\\]*(?:(?:\\(?:.|\Z)|'')[^'\\]*)*(?:'|\Z)"
_STANDARD: Final = r"'[^']*(?:''[^']*)*(?:'|\Z)"
_UNKNOWN: Final = r"'[^'\\]*(?:''[^'\\]*)*(?:'|\Z|\\.*)"
_ORACLE_QUOTES: Final = (
    r"[qQ]'(?:\[.*?(?:\]'|\Z)|\{.*?(?:\}'|\Z)|\(.*?(?:\)'|\Z)|<.*?(?:>'|\Z)|(?P<delimiter>.).*?(?:(?P=delimiter)'|\Z))"
)
_DOLLAR_QUOTES: Final = r"(?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)"
_NUMBER: Final = r"(?<![\w$])\d[\w.]*(?:(?<=[eE])[+-]\d+)?"
_COMMENT: Final = r"--[^\n]*|/\*.*?(?:\*/|\Z)"
# After a nested comment only a parser can find where the statement continues: the rest is dropped.
_NESTED_COMMENT: Final = r"/\*(?:[^*/]|\*(?!/)|/(?!\*))*/\*.*"
_TRIPLE: Final = r"\'\'\'.*?(?:\'\'\'|\Z)|\"\"\".*?(?:\"\"\"|\Z)"
# A name in brackets with a quote in it, or an index into an array: all that follows counts as value.
_BRACKET_IN_DOUBT: Final = r"\[[\w ]+'.*"


@lru_cache(maxsize=64)
def _tokens(dialect: str) -> re.Pattern[str]:
    """The tokens to keep, to replace and to drop; other text is kept."""
    strings, comment = [_strings(dialect)], _COMMENT
    is_known = dialect in STANDARD_STRINGS or dialect in BACKSLASH_STRINGS
    if dialect not in FLAT_COMMENTS:
        comment = f"{_NESTED_COMMENT}|{comment}"
    keep = [r"`[^`]*(?:`|\Z)", r"%\(\w+\)s"]
    if dialect in DOUBLE_QUOTED_STRINGS:
        strings.append(strings[0].replace("'", '"'))
        comment += r"|\#[^\n]*"
    else:
        keep.append(r'"[^"]*(?:""[^"]*)*(?:"|\Z)')
    if dialect in TRIPLE_QUOTES:
        strings.insert(0, _TRIPLE)
    if dialect in DOLLAR_QUOTES or not (is_known or dialect in NO_DOLLAR_QUOTES):
        strings.insert(0, _DOLLAR_QUOTES)
    if dialect in {"postgresql", "cockroachdb", "redshift", "greenplum", "yugabytedb"}:
        strings.insert(0, r"(?<![\w$])[eE]" + _BACKSLASH)
        keep.append(r"\$\d+")
    elif dialect == "oracle":
        strings.insert(0, _ORACLE_QUOTES)
        keep.append(r":\d+")
    elif dialect == "sqlite":
        keep.append(r"[?$]\d+")
    if dialect in BRACKETED_NAMES:
        keep.append(r"\[[^\]]*(?:\]|\Z)")
    elif not is_known:
        strings.append(_BRACKET_IN_DOUBT)
    parts = {"dropped": [comment, r"\s+"], "value": [*strings, _NUMBER], "kept": keep}
    return re.compile("|".join(f"(?P<{kind}>{'|'.join(kinds)})" for kind, kinds in parts.items()), re.DOTALL)


def _strings(dialect: str) -> str:
    if dialect in STANDARD_STRINGS:
        return _STANDARD
    return _BACKSLASH if dialect in BACKSLASH_STRINGS else _UNKNOWN


def without_values(text: str, dialect: str) -> str:
    """The statement with `?` for each literal value; comments go, white space is folded, placeholders stay.

    Args:
        text: a statement; it may be cut anywhere.
        dialect: SQLAlchemy's name of the dialect, such as `postgresql`.
    """
    if dialect == "sqlite" and '"' in text:
        text = _without_double_quoted(text)
    return _tokens(dialect).sub(_replacement, text).strip()


def _without_double_quoted(text: str) -> str:
    """SQLite takes `"x"` for a value where no column has that name."""
    parts: list[str] = []
    done = 0
    for start, end in double_quoted(text):
        parts += (text[done:start], "?")
        done = end
    return "".join((*parts, text[done:]))


def _replacement(match: re.Match[str]) -> str:
    kind = match.lastgroup
    if kind == "dropped":
        return " "
    return "?" if kind == "value" else match.group()
