"""Query plans on demand, of SQLite and PostgreSQL in development: the statement is planned and never executed."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from blogauto_otel.errors import PlanError
from blogauto_otel.inspector import is_installed

SYSTEMS: Final = {"sqlite": "sqlite", "postgresql": "postgresql", "postgres": "postgresql"}
TIMEOUT_SECONDS: Final = 5
DRIVERS: Final = ("psycopg", "psycopg2", "pg8000")

_PLANNED: Final = re.compile(r"^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|VALUES)\b", re.IGNORECASE)
# What is quoted stays; a cast `::type` is no placeholder.
_TOKEN: Final = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|::"
    r"|(?P<number>\$\d+)|%\((?P<percent>\w+)\)s|(?<![\w:]):(?P<colon>[A-Za-z_]\w*)|(?P<mark>%s|\?)"
)


@dataclass(frozen=True)
class Explainer:
    """Plans statements with the database of a URL, in the form of SQLAlchemy; None plans nothing."""

    url: str | None = None

    @property
    def system(self) -> str | None:
        """The system of the URL, `sqlite` or `postgresql`."""
        scheme = (self.url or "").partition(":")[0]
        return SYSTEMS.get(scheme.partition("+")[0])

    def can_explain(self, system: str, text: str) -> bool:
        """Whether the statement can be planned."""
        return system == self.system and _refusal(text) is None

    def plan(self, system: str, text: str) -> str:
        """The plan, as text.

        Raises:
            PlanError: the database, the statement or its parameters do not allow it.
        """
        if self.url is None:
            raise PlanError("no database: start with --database URL, or set BLOGAUTO_DEV_DATABASE_URL")
        if self.system is None:
            raise PlanError("only SQLite and PostgreSQL explain statements here")
        if system != self.system:
            raise PlanError(f"a statement of {system}, and the database of --database is {self.system}")
        refusal = _refusal(text)
        if refusal is not None:
            raise PlanError(refusal)
        return _sqlite(self.url, text) if self.system == "sqlite" else _postgresql(self.url, text)


def _refusal(text: str) -> str | None:
    """Why a statement is not planned; a second statement behind the first would be executed."""
    if not _PLANNED.match(text):
        return "only SELECT, INSERT, UPDATE, DELETE, WITH and VALUES have a plan"
    if ";" in text.rstrip().rstrip(";"):
        return "more than one statement"
    return None


def placeholders(text: str, form: Callable[[int], str]) -> tuple[str, int]:
    """The statement with its placeholders in one form, and their number."""
    numbers: dict[str, int] = {}

    def replace(found: re.Match[str]) -> str:
        name = found["number"] or found["percent"] or found["colon"]
        if name is None and found["mark"] is None:
            return found[0]
        key = name or f"?{found.start()}"
        return form(numbers.setdefault(key, len(numbers) + 1))

    return _TOKEN.sub(replace, text.rstrip().rstrip(";")), len(numbers)


def _sqlite(url: str, text: str) -> str:
    path = urllib.parse.unquote(url.partition(":///")[2].partition("?")[0])
    if not path or path == ":memory:":
        raise PlanError("a database in memory belongs to the process of the application: use a file")
    statement, count = placeholders(text, lambda number: f"?{number}")
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{urllib.parse.quote(path)}?mode=ro", uri=True, timeout=TIMEOUT_SECONDS)
        ) as database:
            found = database.execute(f"EXPLAIN QUERY PLAN {statement}", (None,) * count).fetchall()
    except sqlite3.Error as error:
        raise PlanError(f"SQLite: {error}") from error
    depths: dict[int, int] = {0: -1}
    lines = []
    for row, parent, _, detail in found:
        depths[row] = depths.get(parent, -1) + 1
        lines.append("  " * depths[row] + detail)
    return "\n".join(lines) or "no table is searched"


def _postgresql(url: str, text: str) -> str:
    """A generic plan: the values of the parameters are not known here."""
    statement, count = placeholders(text, lambda number: f"${number}")
    given = f"({', '.join(['NULL'] * count)})" if count else ""
    driver = _driver()
    try:
        with contextlib.closing(_connect(driver, url)) as connection:
            cursor = connection.cursor()
            for line in (
                "SET default_transaction_read_only = on",
                f"SET statement_timeout = '{TIMEOUT_SECONDS}s'",
                "SET plan_cache_mode = force_generic_plan",
                f"PREPARE blogauto_explained AS {statement}",
                f"EXPLAIN EXECUTE blogauto_explained{given}",
            ):
                cursor.execute(line)
            return "\n".join(str(row[0]) for row in cursor.fetchall())
    except driver.Error as error:
        raise PlanError(f"PostgreSQL: {str(error).strip()}") from error


def _driver() -> Any:
    for name in DRIVERS:
        if is_installed(name):
            return import_module(f"{name}.dbapi" if name == "pg8000" else name)
    raise PlanError(f"no driver for PostgreSQL: install one of {', '.join(DRIVERS)} beside blogauto_otel")


def _connect(driver: Any, url: str) -> Any:
    parts = urllib.parse.urlsplit(url)
    given = {
        "host": parts.hostname, "port": parts.port, "user": _unquoted(parts.username),
        "password": _unquoted(parts.password), "database": _unquoted(parts.path.lstrip("/")),
    }  # fmt: skip
    options = {name: value for name, value in given.items() if value}
    host = urllib.parse.parse_qs(parts.query).get("host")
    if host:
        options["host"] = host[0]  # the folder of a Unix socket
    if driver.__name__ != "pg8000.dbapi":
        options["dbname"] = options.pop("database", "postgres")
        options["connect_timeout"] = TIMEOUT_SECONDS
    return driver.connect(**options)


def _unquoted(part: str | None) -> str | None:
    return urllib.parse.unquote(part) if part else None
