"""The picture of a trace, from what a real Jaeger answers: `python -m tools.trace_picture` records and draws it.

Jaeger shows the same as a timeline: one line for each span, indented below its parent, with a bar for its time.
"""

from __future__ import annotations

import html
import json
import tempfile
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from examples import traffic
from monitoring.verification.replay import example
from stack.processes import LOOPBACK, Stack, eventually, free_port, get
from stack.responses import Span

ROOT: Final = Path(__file__).resolve().parents[1]
PICTURE: Final = ROOT / "docs" / "images" / "trace.svg"
ROOT_SPAN: Final = "POST /api/content/generate"

WIDTH, LEFT, LINE, TOP = 1100, 480, 26, 96
BAR_WIDTH: Final = WIDTH - LEFT - 120
COLOURS: Final = {
    "blogauto_otel.http": "#2563eb",
    "blogauto_otel.operation": "#7c3aed",
    "blogauto_otel.ai": "#db2777",
    "blogauto_otel.sql": "#0d9488",
    "opentelemetry.instrumentation.httpx": "#ea580c",
}
FAILED: Final = "#dc2626"
FONT: Final = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"
# What a line says beside the name: the first of these attributes that the span has.
DETAILS: Final = ("http.response.status_code", "db.query.summary", "error.type", "provider")


def recorded_trace() -> Sequence[Span]:
    """A request for an article that the AI provider rejects, as Jaeger stores it."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), overlays=("export-jaeger",)) as stack:
        with example(Path(folder), stack.collector.endpoint, port=port, OTEL_BSP_SCHEDULE_DELAY="100"):
            traffic.content_failures(f"http://{LOOPBACK}:{port}", count=3)
        query = urllib.parse.urlencode({"service": "blogauto-backend", "operation": ROOT_SPAN})
        url = f"{stack.jaeger.url}/api/traces?{query}"
        found = eventually(lambda: json.loads(get(url)[1])["data"], timeout=60, what="the trace in Jaeger")
        traces = [stack.jaeger.trace(one["traceID"]) for one in found]
    return min(traces, key=lambda spans: max(span.end - span.start for span in spans))  # without the first connections


def svg(spans: Sequence[Span]) -> str:
    """The timeline of a trace."""
    ordered = list(_lines(spans, ""))
    begin = min(span.start for span in spans)
    length = max(span.end for span in spans) - begin
    height = TOP + LINE * len(ordered) + 24
    name = ordered[0][1].name
    facts = f"{len(spans)} spans, {_time(length)}, trace {spans[0].trace_id[:12]}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-size="13" fill="#0f172a"',
        f' font-family="{FONT}" role="img" aria-labelledby="title">',
        _element("title", f"A trace in Jaeger: {name} with {len(spans)} spans, the failed ones in red.", id="title"),
        _element("rect", width=WIDTH, height=height, rx=10, fill="#ffffff", stroke="#cbd5e1"),
        _element("text", f"blogauto-backend: {name}", x=20, y=34, font_size=17, font_weight=600),
        _element("text", facts, x=20, y=58, fill="#475569"),
        *_axis(length, height),
    ]
    for number, (depth, span) in enumerate(ordered):
        parts += _span(span, depth, TOP + LINE * number, begin, length)
    return "\n".join([*parts, "</svg>", ""])


def _element(tag: str, text: str = "", **attributes: object) -> str:
    written = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
    return f"<{tag}{written}>{html.escape(text)}</{tag}>" if text else f"<{tag}{written}/>"


def _lines(spans: Sequence[Span], parent: str, depth: int = 0) -> Iterator[tuple[int, Span]]:
    known = {span.span_id for span in spans}
    children = [s for s in spans if (s.parent_span_id if s.parent_span_id in known else "") == parent]
    for span in sorted(children, key=lambda one: one.start):
        yield depth, span
        yield from _lines(spans, span.span_id, depth + 1)


def _axis(length: int, height: int) -> Iterator[str]:
    for quarter in range(5):
        x = LEFT + BAR_WIDTH * quarter // 4
        yield _element("path", d=f"M{x} {TOP - 12} V{height - 16}", stroke="#e2e8f0")
        small = {"font_size": 11, "fill": "#64748b", "text_anchor": "middle"}
        yield _element("text", _time(length * quarter / 4), x=x, y=TOP - 18, **small)


def _span(span: Span, depth: int, top: int, begin: int, length: int) -> Iterator[str]:
    failed = span.status.upper().endswith("ERROR")
    colour = FAILED if failed else COLOURS.get(span.scope, "#64748b")
    x = LEFT + BAR_WIDTH * (span.start - begin) // length
    width = max(2, BAR_WIDTH * (span.end - span.start) // length)
    detail = next((str(span.attributes[name]) for name in DETAILS if name in span.attributes), "")
    indent = 32 + depth * 16
    yield _element("rect", x=20, y=top - 2, width=4, height=18, fill=colour)
    yield _element("text", span.name if len(span.name) < 34 else span.name[:33] + "…", x=indent, y=top + 12)
    yield _element(
        "text", detail.rpartition(".")[2][:24], x=LEFT - 12, y=top + 12, font_size=11, fill="#64748b", text_anchor="end"
    )
    yield _element("rect", x=x, y=top, width=width, height=14, rx=2, fill=colour)
    after = min(x + width + 6, WIDTH - 70)
    yield _element("text", _time(span.end - span.start), x=after, y=top + 11, font_size=11, fill="#475569")


def _time(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e6:.3g} ms" if nanoseconds >= 1e6 else f"{nanoseconds / 1e3:.0f} µs"


def main() -> None:
    """Record the trace and write the picture."""
    PICTURE.write_text(svg(recorded_trace()), encoding="utf-8")
    print(f"wrote {PICTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
