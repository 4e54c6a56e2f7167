"""A trace as an indented tree of text, for terminals and agents."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

MAX_TEXT: Final = 160  # characters of a statement, message or body


def lines(trace: Mapping[str, Any]) -> Iterator[str]:
    """One line for each span, log record and exception; equal statements in a row are one line."""
    spans = trace["spans"]
    known = {span["span_id"] for span in spans}
    below: dict[str | None, list[Any]] = defaultdict(list)
    for span in spans:
        below[span["parent_id"] if span["parent_id"] in known else None].append(span)
    records: dict[str | None, list[Any]] = defaultdict(list)
    for record in trace["logs"]:
        records[record["span_id"] if record["span_id"] in known else None].append(record)
    yield from _below(None, below, records, 0)


def _below(
    parent: str | None, below: Mapping[str | None, list[Any]], records: Mapping[str | None, list[Any]], depth: int
) -> Iterator[str]:
    """Depth first, without recursion: a trace may be as deep as it likes."""
    waiting = [(item, depth) for item in reversed(_in_order(parent, below, records))]
    while waiting:
        item, depth = waiting.pop()
        yield "  " * min(depth, 40) + item["line"]
        if item["span_id"] is not None:
            inside = _in_order(item["span_id"], below, records)
            waiting += [(one, depth + 1) for one in reversed(inside)]


def _in_order(
    parent: str | None, below: Mapping[str | None, list[Any]], records: Mapping[str | None, list[Any]]
) -> list[dict[str, Any]]:
    """The spans and log records below a span, by time."""
    found = [(record["time"], {"line": log_line(record), "span_id": None}) for record in records.get(parent, ())]
    for group in _grouped(below.get(parent, ())):
        span = group[0]
        inside = len(group) == 1 and (span["span_id"] in below or span["span_id"] in records)
        found.append((span["start"], {"line": span_line(group), "span_id": span["span_id"] if inside else None}))
        if span["exception"]:
            found.append((span["start"], {"line": f"  ! {exception_line(span['exception'])}", "span_id": None}))
    return [item for _, item in sorted(found, key=lambda pair: pair[0])]


def _grouped(spans: Sequence[Any]) -> list[list[Any]]:
    """Statements of one text that follow each other, together."""
    groups: list[list[Any]] = []
    for span in spans:
        text = span["sql"] and span["sql"]["text"]
        former = groups[-1][0]["sql"] if groups else None
        if text and former and former["text"] == text and span["status"] == groups[-1][0]["status"]:
            groups[-1].append(span)
        else:
            groups.append([span])
    return groups


def span_line(group: Sequence[Mapping[str, Any]]) -> str:
    """Name, repetitions, duration, outcome and place of a span, or of equal statements."""
    span = group[0]
    found = span["attributes"]
    took = sum(one["duration"] for one in group)
    status = found.get("http.response.status_code", found.get("http.status_code"))
    parts = [
        short(span["sql"]["text"] if span["sql"] else span["name"]),
        f"x{len(group)}" if len(group) > 1 else "",
        f"{took:.1f} ms",
        str(status) if status is not None else "",
        "ERROR" if span["status"] == "error" else "",
        f"({span['sql']['source']})" if span["sql"] and span["sql"]["source"] else "",
        f"[{span['service']}]" if span["kind"] in ("server", "consumer") else "",
    ]
    return " ".join(part for part in parts if part)


def log_line(record: Mapping[str, Any]) -> str:
    """Severity, logger and body."""
    raised = f" ({record['exception']['type']})" if record["exception"] else ""
    return f"· {record['severity']} {record['logger']}: {short(record['body'])}{raised}"


def exception_line(exception: Mapping[str, str]) -> str:
    """Type and message."""
    return f"{exception['type']}: {short(exception['message'])}"


def short(text: str) -> str:
    """The text in one line, without control characters, which a terminal would obey."""
    plain = "".join(char if char.isprintable() else " " for char in " ".join(text.split()))
    return plain if len(plain) <= MAX_TEXT else f"{plain[: MAX_TEXT - 1]}…"


def request_line(request: Mapping[str, Any]) -> str:
    """A request in one line."""
    flags = [
        f"{request['statements']} SQL" if request["statements"] else "",
        f"repeated x{request['repeated']}" if request["repeated"] else "",
        f"{request['logs']} logs" if request["logs"] else "",
        f"ERROR {request['error_type'] or ''}".strip() if request["error"] else "",
    ]
    title = f"{request['method']} {request['route'] or request['path']}" if request["method"] else request["name"]
    status = "" if request["status"] is None else f" {request['status']}"
    facts = "".join(f", {flag}" for flag in flags if flag)
    return f"{short(title)}{status} {request['duration']:.1f} ms{facts} [{request['service']}]"
