"""The text of SQL statements for people: formatted, and with the way out of repeated ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import sqlparse

MAX_FORMATTED: Final = 10_000  # characters; a longer statement is shown as it is
SYSTEMS: Final = frozenset(
    {"sqlite", "postgresql", "mysql", "mariadb", "microsoft.sql_server", "oracle.db", "other_sql"}
)

_PLACEHOLDER: Final = r"(\?|:\w+|\$\d+|%s|%\(\w+\)s)"
_BY_KEY: Final = re.compile(rf"^\s*SELECT\b.*\bWHERE\b.*=\s*{_PLACEHOLDER}", re.IGNORECASE | re.DOTALL)
_INSERT: Final = re.compile(r"^\s*INSERT\b", re.IGNORECASE)
_CHANGE: Final = re.compile(r"^\s*(UPDATE|DELETE)\b", re.IGNORECASE)


@lru_cache(maxsize=512)
def formatted(text: str, system: str) -> str:
    """The statement in several lines; other languages than SQL, and what cannot be parsed, as they are."""
    if system not in SYSTEMS or len(text) > MAX_FORMATTED:
        return text
    try:
        return str(sqlparse.format(text, reindent=True, keyword_case="upper", indent_width=2, wrap_after=100))
    except (sqlparse.exceptions.SQLParseError, RecursionError):
        return text


# What to do about a statement that one request executes many times, by its kind; the page has its own texts.
HINTS: Final[Mapping[str, str]] = {
    "by_key": (
        "One row at a time: if a relationship of the ORM loads it, load it with its parents:"
        " select(...).options(selectinload(...)) for collections, joinedload(...) for single objects;"
        " otherwise fetch all rows at once with WHERE ... IN (...)."
    ),
    "insert": ("One row at a time: insert them in one call, execute(insert(...), [row, row, ...]) or add_all([...])."),
    "change": "One row at a time: change them in one statement with WHERE ... IN (...).",
    "same": "The same statement again: keep its result for the rest of the request.",
}


def hint_kind(text: str) -> str:
    """The key in `HINTS` of what to do about a statement."""
    kinds = ((_BY_KEY, "by_key"), (_INSERT, "insert"), (_CHANGE, "change"))
    return next((kind for pattern, kind in kinds if pattern.match(text)), "same")


def hint(text: str) -> str:
    """What to do about a statement that one request executes many times."""
    return HINTS[hint_kind(text)]
