"""The store: what arrived, in SQLite, within a limit of bytes and of spans; the oldest goes first."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from blogauto_otel.inspector import schema
from blogauto_otel.inspector.cumulative import Cumulative
from blogauto_otel.inspector.identifiers import Identifiers
from blogauto_otel.inspector.points import PointRow
from blogauto_otel.inspector.reporting import EVENT
from blogauto_otel.inspector.requests import Requests
from blogauto_otel.inspector.rows import ExceptionRow, LogRow, SpanRow

MAX_BYTES: Final = 256 * 2**20
MAX_SPANS: Final = 50_000
FILE: Final = "inspector.db"
LOCK_SECONDS: Final = 0.5  # to wait for another process that closes the file

_SHARE_KEPT: Final = 0.9  # after an eviction; it then runs once in several batches
_MAX_TRACE_SPANS: Final = 10_000  # of one trace, so that it cannot take the place of all others
_MAX_STATUSES: Final = 100  # processes
_POINTS_PER_SPAN: Final = 2  # the limits of logs and points follow that of spans
_ROWS: Final = 50  # of one INSERT; SQLite before 3.32 takes 999 values in one statement
_PART: Final = 5_000  # spans that one query reads while others wait

_INSERT_SPANS: Final = (
    "INSERT INTO spans (trace, span_id, parent_id, resource, kind, start, duration, is_error, statement, peer,"
    " peer_kind, source, name, scope, payload) VALUES "
)
_SPAN: Final = f"({', '.join('?' * 15)})"


@dataclass(frozen=True)
class Limits:
    """How much is stored: bytes of the database, and spans; logs as many, data points twice as many."""

    max_bytes: int = MAX_BYTES
    max_spans: int = MAX_SPANS


class Store:
    """One connection to SQLite, used by one thread at a time.

    Args:
        folder: Keeps the database in a file of this folder, readable by this user only; None keeps it in memory.
        limits: What goes beyond them is evicted, the oldest trace first.
    """

    def __init__(self, folder: Path | None = None, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.keeps = folder is not None
        self.started = time.time()
        self.evicted_spans = 0
        self.dropped = 0
        self.statuses: dict[tuple[str, str], Any] = {}  # by service and instance
        self._lock = threading.RLock()
        self._next = threading.RLock()  # held by the one that gets `_lock` next
        self._database = _open(folder)
        self._ids = Identifiers(self._database)
        self._cumulative = Cumulative()
        self._requests = Requests(self._database)
        self._counts = self._count()

    # --- writing

    def add_spans(self, rows: Iterable[SpanRow]) -> None:
        """Store spans; those beyond the limit of one trace are counted as dropped."""
        rows = list(rows)  # before the lock is taken: readers need not wait for the decoding
        with self._writing() as write:
            fitting = self._fitting(write, [(self._ids.trace(row.trace_id), row) for row in rows])
            for first in range(0, len(fitting), _ROWS):
                self._insert_spans(write, fitting[first : first + _ROWS])
            self.dropped += len(rows) - len(fitting)
            self._counts["spans"] += len(fitting)
            for trace, row in fitting:
                if row.errors:
                    self._add_errors(write, row.errors, trace, row.trace_id)
                self._requests.touch(trace)
            self._evict()

    def _fitting(self, write: sqlite3.Cursor, spans: Sequence[tuple[int, SpanRow]]) -> list[tuple[int, SpanRow]]:
        """The spans for which their traces have room, counted in the traces."""
        numbers = json.dumps(list({trace for trace, _ in spans}))
        stored = dict(
            write.execute("SELECT id, spans FROM traces WHERE id IN (SELECT value FROM json_each(?))", (numbers,))
        )
        fitting = []
        for trace, row in spans:
            if stored[trace] < _MAX_TRACE_SPANS:
                stored[trace] += 1
                fitting.append((trace, row))
        write.executemany(
            "UPDATE traces SET spans = ? WHERE id = ?", [(count, trace) for trace, count in stored.items()]
        )
        return fitting

    def _insert_spans(self, write: sqlite3.Cursor, spans: Sequence[tuple[int, SpanRow]]) -> None:
        """One statement for many rows: other threads may take the interpreter at each statement, not at each row."""
        columns: list[Any] = []
        for trace, row in spans:
            columns += (
                trace, row.span_id, row.parent_id, self._ids.resource(row.resource), row.kind, row.start,
                row.duration, row.is_error, self._ids.statement(row.statement) if row.statement else None,
                row.peer, row.peer_kind, row.source, row.name, row.scope, row.payload,
            )  # fmt: skip
        write.execute(_INSERT_SPANS + ", ".join([_SPAN] * len(spans)), columns)

    def add_logs(self, rows: Iterable[LogRow]) -> None:
        """Store log records."""
        rows = list(rows)
        with self._writing() as write:
            for row in rows:
                if row.event == EVENT:
                    self._add_status(row)
                    continue
                trace = self._ids.trace(row.trace_id) if row.trace_id else None
                write.execute(
                    "INSERT INTO logs (trace, trace_id, span_id, resource, time, severity, logger, body, payload)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (trace, row.trace_id or None, row.span_id or None, self._ids.resource(row.resource), row.time,
                     row.severity, row.logger, row.body, row.payload),
                )  # fmt: skip
                self._counts["logs"] += 1
                self._add_errors(write, row.errors, trace, row.trace_id or None)
                if trace is not None:
                    self._requests.touch(trace)
            self._evict()

    def _add_status(self, row: LogRow) -> None:
        """Keep the last status that a process has reported about itself; it is no log record of the application."""
        key = (row.resource.service, row.resource.instance)
        self.statuses.pop(key, None)
        with contextlib.suppress(ValueError):
            self.statuses[key] = json.loads(row.body)
        while len(self.statuses) > _MAX_STATUSES:
            del self.statuses[next(iter(self.statuses))]

    def add_points(self, rows: Iterable[PointRow]) -> None:
        """Store data points; those of delta temporality are summed, so that every series is cumulative."""
        rows = list(rows)
        with self._writing() as write:
            for row in rows:
                series = self._ids.series(row)
                figures = self._cumulative.figures(series, row)
                write.execute(
                    "INSERT INTO points (series, time, value, count, sum, buckets, exemplars)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (series, row.time, *figures, row.exemplars),
                )
                self._counts["points"] += 1
            self._evict()

    def refresh(self) -> None:
        """Bring the requests up to date with the spans and log records that arrived since the last call."""
        if self._requests.is_dirty():
            with self._writing():
                self._requests.refresh(time.time_ns())
                self._counts["requests"] = self._number_of("requests")

    def clear(self) -> None:
        """Delete everything."""
        with self._writing() as write:
            for table in schema.NAMES:
                write.execute(f"DELETE FROM {table}")  # noqa: S608 - a name of the schema
            self._ids.forget()
            self._cumulative.keep(())
            self._requests.forget()
            self._counts = self._count()

    def close(self) -> None:
        """Write what is kept to disk."""
        self.refresh()
        with self._lock:
            self._database.close()  # later reads and writes fail

    # --- reading

    def read(self, query: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """The rows of a query."""
        with self._lock:
            return self._database.execute(query, parameters).fetchall()

    def read_spans(self, query: str) -> Iterator[Any]:
        """The rows of a query over all spans, part by part, so that what arrives meanwhile need not wait for the end.

        Args:
            query: has the condition `spans.id >= ? AND spans.id < ?`; groups come once a part.
        """
        with self.reading():
            first, last = self.read("SELECT COALESCE(MIN(id), 0), COALESCE(MAX(id), -1) FROM spans")[0]
        for start in range(first, last + 1, _PART):
            with self.reading():
                rows = self.read(query, (start, start + _PART))
            yield from rows

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A block whose queries see one state. No such block may stand in another one."""
        with self._turn():
            yield

    def counts(self) -> dict[str, int]:
        """How many requests, spans, log records, errors and data points are stored."""
        return dict(self._counts)  # without the lock: the event loop asks

    def used_bytes(self) -> int:
        """The size of the database without its free pages."""
        with self._lock:
            pages, free, size = (
                self._database.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * size)

    def _add_errors(
        self, write: sqlite3.Cursor, errors: Iterable[ExceptionRow], trace: int | None, trace_id: bytes | None
    ) -> None:
        for error in errors:
            write.execute(
                "INSERT OR IGNORE INTO errors (trace, trace_id, fingerprint, service, type, message, stacktrace, time)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (trace, trace_id, *error),
            )
            self._counts["errors"] += write.rowcount

    # --- limits

    def _evict(self) -> None:
        """Delete the oldest rows of what is beyond its limit."""
        limit = self.limits.max_spans
        if self._counts["spans"] > limit:
            self._evict_spans(int(limit * _SHARE_KEPT))
        for table, most in (("logs", limit), ("errors", limit), ("points", limit * _POINTS_PER_SPAN)):
            if self._counts[table] > most:
                self._evict_rows(table, int(most * _SHARE_KEPT))
        while self.used_bytes() > self.limits.max_bytes and any(self._counts.values()):
            self._evict_spans(int(self._counts["spans"] * _SHARE_KEPT))
            for table in ("logs", "errors", "points"):
                self._evict_rows(table, int(self._counts[table] * _SHARE_KEPT))

    def _evict_rows(self, table: str, keep: int) -> None:
        self._database.execute(
            f"DELETE FROM {table} WHERE id <= (SELECT MAX(id) FROM {table}) - ?",  # noqa: S608 - a name of the schema
            (keep,),
        )
        self._counts[table] = self._number_of(table)
        if table == "points":
            self._evict_series()

    def _evict_series(self) -> None:
        """Delete the series, and then the metrics, that have no data point left."""
        self._database.execute("DELETE FROM series WHERE id NOT IN (SELECT series FROM points)")
        self._database.execute("DELETE FROM metrics WHERE id NOT IN (SELECT metric FROM series)")
        left = {row[0] for row in self._database.execute("SELECT id FROM series")}
        self._cumulative.keep(left)
        self._ids.forget()

    def _evict_spans(self, keep: int) -> None:
        """Delete whole traces, the oldest first, until at most `keep` spans are left."""
        excess = self._counts["spans"] - keep
        last = None
        for trace, spans in self._database.execute("SELECT id, spans FROM traces ORDER BY id"):
            if excess <= 0:
                break
            last, excess = trace, excess - spans
        if last is None:
            return
        self.evicted_spans += self._database.execute("DELETE FROM spans WHERE trace <= ?", (last,)).rowcount
        self._database.execute("DELETE FROM requests WHERE trace <= ?", (last,))
        self._database.execute("DELETE FROM traces WHERE id <= ?", (last,))
        self._database.execute("UPDATE logs SET trace = NULL WHERE trace <= ?", (last,))
        self._database.execute("UPDATE errors SET trace = NULL WHERE trace <= ?", (last,))
        self._database.execute(
            "DELETE FROM statements WHERE id NOT IN (SELECT statement FROM spans WHERE statement IS NOT NULL)"
        )
        self._database.execute(
            "DELETE FROM resources WHERE id NOT IN (SELECT resource FROM spans UNION SELECT resource FROM logs)"
        )
        self._requests.forget_until(last)
        self._ids.forget()
        self._counts = self._count()

    # --- transactions

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """A block with the lock; a thread that takes it again and again lets the next one in between."""
        with self._next:
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Cursor]:
        with self._turn():
            cursor = self._database.cursor()
            cursor.execute("BEGIN")
            try:
                yield cursor
            except BaseException:
                self._ids.forget()  # numbers of rows that are rolled back
                self._database.rollback()
                self._counts = self._count()
                raise
            self._database.commit()

    def _number_of(self, table: str) -> int:
        return int(self._database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])  # noqa: S608

    def _count(self) -> dict[str, int]:
        return {name: self._number_of(name) for name in ("requests", "spans", "logs", "errors", "points")}


def _open(folder: Path | None) -> sqlite3.Connection:
    path = ":memory:"
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = str(_own_file(folder / FILE))
    database = sqlite3.connect(path, timeout=LOCK_SECONDS, check_same_thread=False, isolation_level=None)
    for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = OFF", "temp_store = MEMORY"):
        database.execute(f"PRAGMA {pragma}")
    database.executescript(schema.TABLES)
    database.execute(f"PRAGMA user_version = {schema.VERSION}")
    return database


def _own_file(path: Path) -> Path:
    """The file, created for this user only; a file of other tables is put aside."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    with sqlite3.connect(path, timeout=LOCK_SECONDS) as database:
        version = database.execute("PRAGMA user_version").fetchone()[0]
    database.close()
    if version not in (0, schema.VERSION):
        path.rename(path.with_name(f"{path.stem}-{version}{path.suffix}"))
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    return path
