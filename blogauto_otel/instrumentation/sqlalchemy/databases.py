"""What is said of a database and of the statements seen there, worked out once for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from opentelemetry.util.types import AttributeValue

from blogauto_otel.instrumentation.sqlalchemy.text import summarize, without_values

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from blogauto_otel.redaction import Redactor
    from blogauto_otel.sdk.bound_histogram import BoundHistogram

Attributes = dict[str, AttributeValue]

# SQLAlchemy's dialect names in the words of the semantic conventions; other names are their own.
SYSTEMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "mssql": "microsoft.sql_server",
        "oracle": "oracle.db",
        "redshift": "aws.redshift",
        "db2": "ibm.db2",
        "ibm_db_sa": "ibm.db2",
        "hana": "sap.hana",
        "firebird": "firebirdsql",
        "spanner": "gcp.spanner",
        "clickhousedb": "clickhouse",
    }
)

# Statements remembered per database, twice over; what comes later pushes out what was not used since.
MAX_STATEMENTS: Final = 500


@dataclass(frozen=True)
class Statement:
    """A statement as its spans and its points name it, and the series of its duration."""

    name: str
    span: Attributes
    point: Attributes
    duration: BoundHistogram


class Database:
    """Where statements of one engine go, and the statements seen there."""

    def __init__(
        self, engine: Engine, *, redactor: Redactor, max_text: int, series: Callable[[Attributes], BoundHistogram]
    ) -> None:
        self._dialect = engine.dialect.name
        self._redactor = redactor
        self._max_text = max_text
        self._series = series
        self.attributes = of_engine(engine, redactor)
        self._recent: dict[tuple[str, bool], Statement] = {}
        self._older: dict[tuple[str, bool], Statement] = {}

    def statement(self, text: str, *, batched: bool) -> Statement:
        """What is known of a statement; read once, then remembered."""
        key = (text if len(text) <= self._max_text else text[: self._max_text], batched)
        found = self._recent.get(key)
        return found if found is not None else self._remember(key, whole=len(key[0]) == len(text))

    def _remember(self, key: tuple[str, bool], *, whole: bool) -> Statement:
        found = self._older.get(key) or self._read(*key, whole=whole)
        if len(self._recent) >= MAX_STATEMENTS:
            self._older, self._recent = self._recent, {}
        self._recent[key] = found
        return found

    def _read(self, text: str, batched: bool, *, whole: bool) -> Statement:
        bare = self._redactor.text(without_values(text, self._dialect))
        about = summarize(bare)
        batch = "BATCH " if batched else ""
        point = dict(self.attributes)
        if about.operation:
            point["db.operation.name"] = batch + about.operation
        if about.collection:
            point["db.collection.name"] = about.collection
        span = {**point, "db.query.text": bare if whole else bare[: self._max_text - 3] + "..."}
        if about.summary:
            span["db.query.summary"] = batch + about.summary
        name = batch + about.summary if about.summary else str(point["db.system.name"])
        return Statement(name, span, point, self._series(point))


def of_engine(engine: Engine, redactor: Redactor) -> Attributes:
    """The address of a database, never its user or password."""
    url, dialect = engine.url, engine.dialect
    name = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
    found: Attributes = {"db.system.name": SYSTEMS.get(name, name)}
    namespace = url.database or (":memory:" if dialect.name == "sqlite" else None)
    if namespace:
        found["db.namespace"] = redactor.text(namespace)
    host = url.host or url.query.get("host")
    if isinstance(host, str) and host:
        found["server.address"] = host
        if url.port:
            found["server.port"] = url.port
    return found
