"""The queries behind the page: requests, traces, endpoints, errors, logs and statements."""

from __future__ import annotations

import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from blogauto_otel.errors import FilterError
from blogauto_otel.inspector import filters, shapes, sql_text
from blogauto_otel.inspector.explain import Explainer
from blogauto_otel.inspector.requests import REPEATED
from blogauto_otel.inspector.store import Store
from blogauto_otel.inspector.values import milliseconds

MAX_LIMIT: Final = 500  # rows of one page
MAX_SOURCES: Final = 10  # lines of code of one statement, the most frequent


def requests(store: Store, query: str = "", *, limit: int = 100, before: str | None = None) -> dict[str, Any]:
    """The newest requests that match; `before` is the `next` of the page before.

    Raises:
        FilterError: a word of the query, or the cursor, cannot be understood.
    """
    where = filters.conditions(query, filters.REQUESTS, filters.REQUEST_TEXT)
    cursor = _after(before, "start")
    with store.reading():
        total = store.read(f"SELECT COUNT(*) FROM requests WHERE {where.sql}", where.parameters)[0][0]  # noqa: S608
        found = store.read(
            f"SELECT id, {shapes.REQUEST_COLUMNS} FROM requests WHERE {where.sql} AND {cursor.sql}"  # noqa: S608
            " ORDER BY start DESC, id DESC LIMIT ?",
            (*where.parameters, *cursor.parameters, _bounded(limit) + 1),
        )
    page = found[: _bounded(limit)]
    start = 1 + shapes.REQUEST_COLUMNS.split(", ").index("start")
    following = f"{page[-1][start]}-{page[-1][0]}" if len(found) > len(page) else None
    return {"requests": [shapes.request(row[1:]) for row in page], "next": following, "total": total}


def logs(store: Store, query: str = "", *, limit: int = 100, before: str | None = None) -> dict[str, Any]:
    """The newest log records that match; paged as `requests`."""
    where = filters.conditions(query, filters.LOGS, filters.LOG_TEXT)
    cursor = _after(before, "time", "logs.id")
    source = "logs JOIN resources ON resources.id = logs.resource"
    with store.reading():
        total = store.read(f"SELECT COUNT(*) FROM {source} WHERE {where.sql}", where.parameters)[0][0]  # noqa: S608
        found = store.read(
            f"SELECT logs.id, time, payload, service, logger FROM {source} WHERE {where.sql} AND {cursor.sql}"  # noqa: S608
            " ORDER BY time DESC, logs.id DESC LIMIT ?",
            (*where.parameters, *cursor.parameters, _bounded(limit) + 1),
        )
    page = found[: _bounded(limit)]
    following = f"{page[-1][1]}-{page[-1][0]}" if len(found) > len(page) else None
    shown = [shapes.log(row, payload, service=service, scope=scope) for row, _, payload, service, scope in page]
    return {"logs": shown, "next": following, "total": total}


def _bounded(limit: int) -> int:
    return max(1, min(limit, MAX_LIMIT))


def _after(cursor: str | None, column: str, row: str = "id") -> filters.Condition:
    if not cursor:
        return filters.Condition("1")
    found = re.fullmatch(r"(\d{1,19})-(\d{1,19})", cursor)
    if not found:
        raise FilterError(f"before={cursor}: expected the `next` of an earlier answer")
    return filters.Condition(f"({column}, {row}) < (?, ?)", (int(found[1]), int(found[2])))


# --- one trace -------------------------------------------------------------------------------------------------------


def trace(store: Store, trace_id: str, explainer: Explainer) -> dict[str, Any] | None:
    """A trace with its spans and log records by time; None when it is not stored."""
    if not re.fullmatch(r"[0-9a-f]{32}", trace_id):
        return None
    with store.reading():
        number = store.read("SELECT id FROM traces WHERE trace_id = ?", (bytes.fromhex(trace_id),))
        if not number:
            return None
        found = store.read(
            "SELECT payload, service, resources.attributes, scope, statement, source, system, summary, text FROM spans"
            " JOIN resources ON resources.id = resource LEFT JOIN statements ON statements.id = statement"
            " WHERE trace = ? ORDER BY start, spans.id",
            number[0],
        )
        records = store.read(
            "SELECT logs.id, payload, service, logger FROM logs JOIN resources ON resources.id = resource"
            " WHERE trace = ? ORDER BY time, logs.id",
            number[0],
        )
    spans = _spans(found, explainer)
    shown_logs = [shapes.log(row, payload, service=service, scope=scope) for row, payload, service, scope in records]
    times = [moment for span in spans for moment in (span["start"], span["start"] + span["duration"])]
    times = times or [log["time"] for log in shown_logs] or [0.0]
    return {
        "trace_id": trace_id,
        "start": min(times),
        "duration": round(max(times) - min(times), 3),
        "services": list(dict.fromkeys(span["service"] for span in spans)),
        "error": any(span["status"] == "error" for span in spans),
        "spans": spans,
        "logs": shown_logs,
        "repeated": _repeated(spans),
    }


def _spans(found: Iterable[Any], explainer: Explainer) -> list[dict[str, Any]]:
    found = list(found)
    repeats = Counter(row[4] for row in found if row[4] is not None)
    spans = []
    for payload, service, resource, scope, statement, source, system, summary, text in found:
        span = shapes.span(payload, service=service, resource=resource, scope=scope)
        if statement is not None:
            span["sql"] = {
                "system": system, "text": text, "formatted": sql_text.formatted(text, system), "summary": summary,
                "repeats": repeats[statement], "source": source, "parameters_hidden": True,
                "can_explain": explainer.can_explain(system, text),
            }  # fmt: skip
        spans.append(span)
    return spans


def _repeated(spans: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The statements that the trace has executed often, the most frequent first."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for span in spans:
        if span["sql"] is not None:
            groups[span["sql"]["text"]].append(span)
    return [
        {
            "summary": group[0]["sql"]["summary"],
            "text": text,
            "count": len(group),
            "source": next((span["sql"]["source"] for span in group if span["sql"]["source"]), None),
            "hint": sql_text.hint(text),
            "hint_kind": sql_text.hint_kind(text),
            "span_ids": [span["span_id"] for span in group],
        }
        for text, group in sorted(groups.items(), key=lambda item: -len(item[1]))
        if len(group) >= REPEATED
    ]


# --- groups ----------------------------------------------------------------------------------------------------------


def endpoints(store: Store, since: str | None = None) -> dict[str, Any]:
    """Requests by service, method and route, the slowest first.

    Raises:
        FilterError: `since` is no duration.
    """
    earliest = int((time.time() - filters.seconds(since)) * 1e9) if since else 0
    groups: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for service, method, route, kind, name, *facts in store.read(
        "SELECT service, method, route, kind, name, duration, is_error, statements, start, trace_id FROM requests"
        " WHERE start >= ?",
        (earliest,),
    ):
        # A request that no route answered is named by its method alone, which is no route.
        groups[service, method, route or (None if kind == "http" else name)].append(facts)
    found = [_endpoint(key, group) for key, group in groups.items()]
    return {"endpoints": sorted(found, key=lambda one: -one["p95"])}


def _endpoint(key: Sequence[Any], group: Sequence[Any]) -> dict[str, Any]:
    durations = sorted(facts[0] for facts in group)
    slowest = max(group, key=lambda facts: facts[0])
    return {
        "service": key[0], "method": key[1], "route": key[2], "count": len(group),
        "errors": sum(facts[1] for facts in group), "p50": percentile(durations, 0.5),
        "p95": percentile(durations, 0.95), "max": milliseconds(durations[-1]),
        "statements_mean": round(sum(facts[2] for facts in group) / len(group), 1),
        "last_start": milliseconds(max(facts[3] for facts in group)), "slowest_trace_id": slowest[4].hex(),
    }  # fmt: skip


def percentile(ordered: Sequence[int], share: float) -> float:
    """A percentile of ordered nanoseconds, in milliseconds: the nearest rank."""
    return milliseconds(ordered[min(len(ordered) - 1, int(len(ordered) * share))])


def errors(store: Store) -> dict[str, Any]:
    """Exceptions and failed requests by kind, the latest first."""
    found: dict[str, dict[str, Any]] = {}
    rows = store.read(
        "SELECT fingerprint, type, message, service, (SELECT route FROM requests WHERE trace = errors.trace"
        " AND requests.service = errors.service LIMIT 1), time, trace_id, stacktrace FROM errors"
        " UNION ALL SELECT 'status ' || COALESCE(status, '') || service || COALESCE(route, name),"
        " COALESCE(error_type, CAST(status AS TEXT), 'error'), '', service, route, start, trace_id, '' FROM requests"
        " WHERE is_error AND NOT EXISTS (SELECT 1 FROM errors WHERE errors.trace = requests.trace)"
    )
    for fingerprint, kind, message, service, route, moment, trace_id, stacktrace in rows:
        shown = milliseconds(moment)
        group = found.setdefault(
            fingerprint,
            {"fingerprint": fingerprint, "type": kind, "message": message, "service": service, "route": route,
             "count": 0, "first": shown, "last": 0.0, "trace_id": None, "stacktrace": stacktrace},
        )  # fmt: skip
        group["count"] += 1
        group["first"] = min(group["first"], shown)
        if shown >= group["last"]:
            group.update(last=shown, message=message, stacktrace=stacktrace, route=route or group["route"])
            group["trace_id"] = trace_id.hex() if trace_id else None
    return {"errors": sorted(found.values(), key=lambda one: -one["last"])}


# One row for the executions of a statement from one line of code; where and how long as arrays of JSON, because other
# threads may take the interpreter at each row that is fetched. `trace` and `span_id` are those of the longest one.
_STATEMENTS: Final = """
SELECT resource, statement, source, json_group_array(duration), json_group_array(trace), SUM(is_error), MAX(duration),
    trace, span_id
FROM spans WHERE statement IS NOT NULL AND spans.id >= ? AND spans.id < ? GROUP BY resource, statement, source
"""


def statements(store: Store, explainer: Explainer) -> dict[str, Any]:
    """Statements by their text, those that took the longest in all first."""
    rows = list(store.read_spans(_STATEMENTS))
    with store.reading():
        names = dict(store.read("SELECT id, service FROM resources"))
        texts = {row[0]: row[1:] for row in store.read("SELECT id, system, summary, text FROM statements")}
        traces = dict(store.read("SELECT id, trace_id FROM traces"))
    groups: dict[tuple[str, int], list[Any]] = defaultdict(list)
    for resource, statement, *facts in rows:
        if resource in names and statement in texts:  # else it was deleted meanwhile
            groups[names[resource], statement].append(facts)
    found = [
        _statement(service, texts[statement], group, traces, explainer)
        for (service, statement), group in groups.items()
    ]
    return {"statements": sorted(found, key=lambda one: -one["total"])}


def _statement(
    service: str, texts: Sequence[str], group: Sequence[Any], traces: Mapping[int, bytes], explainer: Explainer
) -> dict[str, Any]:
    sources, durations, where, failed, longest, trace, span_id = zip(*group, strict=True)
    ordered = sorted(chain.from_iterable(map(json.loads, durations)))
    counts = Counter(chain.from_iterable(map(json.loads, where)))
    slowest = longest.index(ordered[-1])
    by_source: Counter[str] = Counter()
    for source, packed in zip(sources, durations, strict=True):
        if source:
            by_source[source] += len(json.loads(packed))
    return {
        "service": service, "system": texts[0], "summary": texts[1], "text": texts[2], "count": len(ordered),
        "formatted": sql_text.formatted(texts[2], texts[0]),
        "total": milliseconds(sum(ordered)), "p50": percentile(ordered, 0.5), "p95": percentile(ordered, 0.95),
        "max": milliseconds(ordered[-1]), "errors": sum(failed),
        "repeated_in": sum(count >= REPEATED for count in counts.values()),
        "sources": [{"source": source, "count": count} for source, count in by_source.most_common(MAX_SOURCES)],
        "slowest_trace_id": traces.get(trace[slowest], b"").hex(), "slowest_span_id": span_id[slowest].hex(),
        "can_explain": explainer.can_explain(texts[0], texts[2]),
    }  # fmt: skip
