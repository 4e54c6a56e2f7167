"""Captured telemetry as text: spans as trees, with the log records of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import StatusCode

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

MAX_LINES: Final = 200
_LONGEST: Final = 160  # characters of a text


def tree(spans: Sequence[ReadableSpan], records: Iterable[Any]) -> str:
    """One line a span, indented below its parent, with its milliseconds; its log records and exceptions below it."""
    logs: dict[int, list[Any]] = defaultdict(list)
    for record in records:
        logs[record.log_record.span_id or 0].append(record.log_record)
    ids = {span.context.span_id for span in spans if span.context is not None}
    children: dict[int, list[ReadableSpan]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: span.start_time or 0):
        parent = span.parent.span_id if span.parent is not None else 0
        children[parent if parent in ids else 0].append(span)
    outside = [record for span_id, found in logs.items() if span_id not in ids for record in found]
    lines = [*_lines(children[0], children, logs, ""), *map(_record, outside)]
    left_out = len(lines) - MAX_LINES
    return "\n".join(lines[:MAX_LINES] + ([f"... {left_out} more lines"] if left_out > 0 else []))


def _lines(
    spans: Iterable[ReadableSpan],
    children: Mapping[int, list[ReadableSpan]],
    logs: Mapping[int, list[Any]],
    indent: str,
) -> Iterator[str]:
    for span in spans:
        span_id = span.context.span_id if span.context is not None else -1
        yield f"{indent}{_span(span)}"
        below = indent + "  "
        for event in span.events:
            if event.name == "exception":
                yield f"{below}! {_exception(event.attributes or {})}"
        for record in logs.get(span_id, ()):
            yield below + _record(record)
        yield from _lines(children.get(span_id, ()), children, logs, below)


def _span(span: ReadableSpan) -> str:
    milliseconds = ((span.end_time or 0) - (span.start_time or 0)) / 1e6
    attributes = span.attributes or {}
    details = [str(attributes[name]) for name in ("http.response.status_code", "db.query.text") if attributes.get(name)]
    if span.status.status_code is StatusCode.ERROR:
        details.append("ERROR")
    return _cut("  ".join((span.name, f"{milliseconds:.1f} ms", *details)))


def _record(record: Any) -> str:
    return _cut(f"- {record.severity_text or 'LOG'} {record.body}")


def _exception(attributes: Mapping[str, Any]) -> str:
    return _cut(f"{attributes.get('exception.type')}: {attributes.get('exception.message')}")


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."
