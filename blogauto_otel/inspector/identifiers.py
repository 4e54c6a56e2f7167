"""Rows that others refer to by a number: traces, resources, statements, metrics and series."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from blogauto_otel.inspector.points import PointRow
from blogauto_otel.inspector.rows import Resource, Statement

_MAX_KNOWN: Final = 20_000  # numbers that are remembered; the others are looked up

# By table: the columns that identify a row, and the others.
_COLUMNS: Final = {
    "traces": (("trace_id",), ()),
    "resources": (("digest",), ("service", "instance", "version", "language", "attributes")),
    "statements": (("digest",), ("system", "summary", "text")),
    "metrics": (("service", "name", "type"), ("description", "unit")),
    "series": (("metric", "attributes"), ()),
}
_SELECT: Final = {
    table: f"SELECT id FROM {table} WHERE {' AND '.join(f'{name} = ?' for name in key)}"  # noqa: S608 - names from above
    for table, (key, _) in _COLUMNS.items()
}
_INSERT: Final = {
    table: f"INSERT INTO {table} ({', '.join((*key, *rest))}) VALUES ({', '.join('?' * len((*key, *rest)))})"  # noqa: S608
    for table, (key, rest) in _COLUMNS.items()
}


class Identifiers:
    """The number of a row, which is inserted when it is new. Used inside the transactions of the store."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._known: dict[tuple[str, tuple[Any, ...]], int] = {}

    def trace(self, trace_id: bytes) -> int:
        """The number of a trace."""
        return self._number("traces", (trace_id,))

    def resource(self, resource: Resource) -> int:
        """The number of a resource."""
        return self._number("resources", (resource.digest,), resource[1:])

    def statement(self, statement: Statement) -> int:
        """The number of a statement."""
        return self._number("statements", (statement.digest,), statement[1:])

    def series(self, point: PointRow) -> int:
        """The number of the series of a data point."""
        metric = self._number("metrics", (point.service, point.name, point.type), (point.description, point.unit))
        return self._number("series", (metric, point.attributes))

    def forget(self) -> None:
        """Remember nothing: rows have been deleted, or a transaction was rolled back."""
        self._known.clear()

    def _number(self, table: str, key: tuple[Any, ...], rest: tuple[Any, ...] = ()) -> int:
        known = self._known.get((table, key))
        return self._look_up(table, key, rest) if known is None else known

    def _look_up(self, table: str, key: tuple[Any, ...], rest: tuple[Any, ...]) -> int:
        row = self._database.execute(_SELECT[table], key).fetchone()
        number: int = row[0] if row else self._insert(table, (*key, *rest))
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[table, key] = number
        return number

    def _insert(self, table: str, row: tuple[Any, ...]) -> int:
        number = self._database.execute(_INSERT[table], row).lastrowid
        assert number is not None
        return number
