"""Messages of OTLP as rows of the store."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from blogauto_otel.inspector import values

SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5  # SpanKind of OTLP
ERROR: Final = 2  # Status of OTLP
MAX_MESSAGE: Final = 4096  # characters of an error's message in the list of errors
MAX_STACKTRACE: Final = 65_536  # characters


class Resource(NamedTuple):
    """Who emitted."""

    digest: bytes
    service: str
    instance: str
    version: str | None
    language: str | None
    attributes: str


class Statement(NamedTuple):
    """The text of a database statement."""

    digest: bytes
    system: str
    summary: str
    text: str


class ExceptionRow(NamedTuple):
    """An exception on a span or a log record."""

    fingerprint: str
    service: str
    type: str
    message: str
    stacktrace: str
    time: int


class SpanRow(NamedTuple):
    """A span; `payload` is the message, `peer` the other end of a call and `peer_kind` what that is."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    resource: Resource
    kind: int
    start: int
    duration: int
    is_error: bool
    statement: Statement | None
    peer: str | None
    peer_kind: str | None
    source: str | None
    name: str
    scope: str
    payload: bytes
    errors: tuple[ExceptionRow, ...]


class LogRow(NamedTuple):
    """A log record; `payload` is the message."""

    trace_id: bytes
    span_id: bytes
    resource: Resource
    time: int
    severity: int
    logger: str
    event: str
    body: str
    payload: bytes
    errors: tuple[ExceptionRow, ...]


def resource(message: Any) -> Resource:
    """The row of a resource."""
    found = values.attributes(message.attributes)
    packed = json.dumps(found, sort_keys=True, ensure_ascii=False)

    def named(name: str) -> str | None:
        return values.text(found[name]) if found.get(name) is not None else None

    return Resource(
        digest(packed),
        named("service.name") or "unknown_service",
        named("service.instance.id") or named("host.name") or "",
        named("service.version"),
        named("telemetry.sdk.language"),
        packed,
    )


def spans(message: Any) -> Iterator[SpanRow]:
    """The rows of an ExportTraceServiceRequest."""
    for group in message.resource_spans:
        owner = resource(group.resource)
        for scoped in group.scope_spans:
            for span in scoped.spans:
                yield _span(span, owner, scoped.scope.name)


def logs(message: Any) -> Iterator[LogRow]:
    """The rows of an ExportLogsServiceRequest."""
    for group in message.resource_logs:
        owner = resource(group.resource)
        for scoped in group.scope_logs:
            for record in scoped.log_records:
                yield _log(record, owner, scoped.scope.name)


# What the columns of a span hold, by attribute: the names of the conventions, and their former ones.
_FACTS: Final[Mapping[str, str]] = {
    "db.query.text": "statement", "db.statement": "statement",
    "db.query.summary": "summary",
    "db.system.name": "database", "db.system": "database",
    "db.namespace": "namespace", "db.name": "namespace",
    "messaging.system": "messaging", "messaging.destination.name": "destination",
    "server.address": "address", "net.peer.name": "address", "peer.service": "address",
    "server.port": "port", "net.peer.port": "port",
    "code.file.path": "file", "code.filepath": "file",
    "code.line.number": "line", "code.lineno": "line",
}  # fmt: skip


def _span(span: Any, owner: Resource, scope: str) -> SpanRow:
    start = _integer(span.start_time_unix_nano)
    facts = _facts(span.attributes)
    peer = _peer(facts) if span.kind in (CLIENT, PRODUCER) else None
    return SpanRow(
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        owner,
        span.kind,
        start,
        max(0, _integer(span.end_time_unix_nano) - start),
        span.status.code == ERROR,
        _statement(facts, span.name),
        peer,
        _peer_kind(facts, span.kind) if peer else None,
        _source(facts),
        span.name,
        scope,
        span.SerializeToString(),
        tuple(_span_errors(span, owner)) if span.events else (),
    )


def _facts(pairs: Any) -> dict[str, str]:
    """The texts of the attributes in `_FACTS`; each value that is read costs as much as a column of the row."""
    found: dict[str, str] = {}
    for pair in pairs:
        fact = _FACTS.get(pair.key)
        if fact is not None and fact not in found:
            found[fact] = pair.value.string_value or values.text(values.value(pair.value))
    return found


def _integer(unsigned: int) -> int:
    """A time that SQLite can hold: its integers are signed."""
    return min(unsigned, 2**63 - 1)


def _first(found: Mapping[str, Any], *names: str) -> str | None:
    """The first of these attributes that is set, as text."""
    for name in names:
        given = found.get(name)
        if given is not None:
            text = given.string_value or values.text(values.value(given))
            if text:
                return str(text)
    return None


def _statement(facts: Mapping[str, str], name: str) -> Statement | None:
    text = facts.get("statement")
    if not text:
        return None
    return _known_statement(facts.get("database") or "other_sql", facts.get("summary") or name, text)


@lru_cache(maxsize=1024)
def _known_statement(system: str, summary: str, text: str) -> Statement:
    return Statement(digest(system, text), system, summary, text)


def _peer(facts: Mapping[str, str]) -> str | None:
    """The other end of a client span: a database, a host, a queue."""
    system = facts.get("database") or facts.get("messaging")
    address, port = facts.get("address"), facts.get("port")
    if system:
        name = facts.get("namespace") or facts.get("destination") or address
        return f"{system} {name}" if name else system
    return f"{address}:{port}" if address and port else address


def _peer_kind(facts: Mapping[str, str], kind: int) -> str:
    """`database`, `messaging` or `http`; a connect or commit has no statement, and is a call to a database too."""
    if "database" in facts:
        return "database"
    return "messaging" if "messaging" in facts or kind == PRODUCER else "http"


def _source(facts: Mapping[str, str]) -> str | None:
    """`file:line` of the code that emitted, where the attributes of the conventions say so."""
    path, line = facts.get("file"), facts.get("line")
    return f"{path}:{line}" if path and line else path


def _span_errors(span: Any, owner: Resource) -> Iterator[ExceptionRow]:
    for event in span.events:
        if event.name == "exception":
            yield _error({pair.key: pair.value for pair in event.attributes}, owner, _integer(event.time_unix_nano))


def _error(found: Mapping[str, Any], owner: Resource, time: int) -> ExceptionRow:
    kind = _first(found, "exception.type") or "error"
    message = (_first(found, "exception.message") or "")[:MAX_MESSAGE]
    stacktrace = (_first(found, "exception.stacktrace") or "")[-MAX_STACKTRACE:]
    return ExceptionRow(
        fingerprint(owner.service, kind, message, stacktrace), owner.service, kind, message, stacktrace, time
    )


_FRAME: Final = re.compile(r'^\s*File "([^"\n]+)", line \d+, in (\S+)', re.MULTILINE)
_VARIABLE: Final = re.compile(r"0x[0-9a-fA-F]+|\d+|'[^'\n]*'|\"[^\"\n]*\"")


def fingerprint(service: str, kind: str, message: str, stacktrace: str) -> str:
    """Equal for errors of one kind: by their innermost frame, or by the message without its values."""
    frames = _FRAME.findall(stacktrace)
    frame = " ".join(frames[-1]) if frames else _VARIABLE.sub("?", message)
    return digest(service, kind, frame).hex()


def _log(record: Any, owner: Resource, scope: str) -> LogRow:
    time = _integer(record.time_unix_nano or record.observed_time_unix_nano)
    found = {pair.key: pair.value for pair in record.attributes}
    errors = (_error(found, owner, time),) if "exception.type" in found else ()
    return LogRow(
        record.trace_id,
        record.span_id,
        owner,
        time,
        record.severity_number,
        scope,
        record.event_name,
        values.text(values.value(record.body)),
        record.SerializeToString(),
        errors,
    )


def digest(*parts: str) -> bytes:
    """A key of 16 bytes."""
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=16).digest()
