"""Attributes of a database and of its statements, each computed once and remembered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AttributeValue

from blogauto_otel._dataclass import dataclass
from blogauto_otel._memo import BoundedMemo
from blogauto_otel.instrumentation.sqlalchemy.query_summary import summarize
from blogauto_otel.instrumentation.sqlalchemy.query_text import without_values
from blogauto_otel.otlp.spans import SpanTemplate

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from blogauto_otel.redaction import Redactor
    from blogauto_otel.sdk.histogram import BoundHistogram

Attributes = dict[str, AttributeValue]

# The semantic conventions' name of a SQLAlchemy dialect, where it is another.
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

MAX_STATEMENTS: Final = 1000  # remembered per database


@dataclass(frozen=True)
class ParsedStatement:
    """What its spans have in common, the attributes of its measurements, and the histogram of the duration."""

    template: SpanTemplate
    point: Attributes
    duration: BoundHistogram
    text: str  # without literals


class Database:
    """One database and the statements that were executed there."""

    def __init__(
        self, engine: Engine, *, redactor: Redactor, max_text: int, duration: Callable[[Attributes], BoundHistogram]
    ) -> None:
        self._dialect = engine.dialect.name
        self._redactor = redactor
        self._max_text = max_text
        self._duration = duration
        self.attributes = database_attributes(engine, redactor)
        # By text, or by as much of it as is parsed. A batch has other names than one set of parameters.
        self.single: BoundedMemo[str, ParsedStatement] = BoundedMemo(MAX_STATEMENTS)
        self.batched: BoundedMemo[str, ParsedStatement] = BoundedMemo(MAX_STATEMENTS)

    def statement(self, text: str, *, batched: bool) -> ParsedStatement:
        """What is known of a statement; it is parsed once, then remembered."""
        known = self.batched if batched else self.single
        key = text if len(text) <= self._max_text else text[: self._max_text]
        return known.get(key) or known.remember(key, self._parse(key, batched, whole=len(key) == len(text)))

    def _parse(self, text: str, batched: bool, *, whole: bool) -> ParsedStatement:
        redacted = self._redactor.text(without_values(text, self._dialect))
        query = summarize(redacted)
        batch = "BATCH " if batched else ""
        point = dict(self.attributes)
        if query.operation:
            point["db.operation.name"] = batch + query.operation
        if query.collection:
            point["db.collection.name"] = query.collection
        shown = redacted if whole else redacted[: self._max_text - 3] + "..."
        span = {**point, "db.query.text": shown}
        if query.summary:
            span["db.query.summary"] = batch + query.summary
        name = batch + query.summary if query.summary else str(point["db.system.name"])
        return ParsedStatement(SpanTemplate(name, SpanKind.CLIENT, span), point, self._duration(point), shown)


def database_attributes(engine: Engine, redactor: Redactor) -> Attributes:
    """The system, name and address of a database, without user and password."""
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
