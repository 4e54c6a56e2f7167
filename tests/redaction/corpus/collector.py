"""The Collector's own stage: texts through the real program, and what it costs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from blogauto_otel import semconv
from stack.processes import eventually, start_collector
from testkit import otlp

BATCH = 100
OURS: Final = {**otlp.BLOG, "telemetry.distro.name": semconv.DISTRO_NAME}
TYPICAL: Final = {
    **otlp.SERVER_ATTRIBUTES,
    "url.full": "https://api.example.org/api/content/saved/123?page=2&size=20",
    "net.peer.name": "api.example.org",
    "http.request.body.size": 1234,
}


def through_the_collector(texts: Sequence[str]) -> Sequence[str]:
    """The texts as they come out of a Collector of their own."""
    with tempfile.TemporaryDirectory() as folder:
        return redacted_in(Path(folder), texts)


def redacted_in(folder: Path, texts: Sequence[str]) -> Sequence[str]:
    """Send each text as an attribute of a log record, and read what arrives."""
    with start_collector(("process-redact", "export-file"), tmp=folder) as collector:
        for start in range(0, len(texts), BATCH):
            records = [
                otlp.record("corpus", attributes={"note": text, "number": start + index})
                for index, text in enumerate(texts[start : start + BATCH])
            ]
            assert otlp.post(collector.endpoint, otlp.logs(records, otlp.BLOG)) == 200
        arrived = eventually(collector.logs, lambda found: len(found) == len(texts))
    by_number: dict[Any, str] = {record.attributes["number"]: record.attributes.get("note", "") for record in arrived}
    return [by_number[number] for number in range(len(texts))]


@dataclass(frozen=True)
class Cost:
    """Processor time of the Collector for one span, in seconds: of another SDK, of ours, and without the stage."""

    other: float
    ours: float
    without: float

    def __str__(self) -> str:
        return (
            f"{1e6 * self.other:.0f} µs of processor time a span of another SDK, {1e6 * self.ours:.0f} µs of ours, "
            f"{1e6 * self.without:.0f} µs without the stage"
        )


def cost_in(folder: Path, *, spans: int = 10_000) -> Cost:
    """Send typical server spans of both kinds to Collectors with the stage and without it."""
    return Cost(
        other=_seconds_a_span(folder / "other", ("process-redact",), otlp.BLOG, spans),
        ours=_seconds_a_span(folder / "ours", ("process-redact",), OURS, spans),
        without=_seconds_a_span(folder / "without", (), otlp.BLOG, spans),
    )


def _seconds_a_span(folder: Path, overlays: Sequence[str], resource: otlp.Attributes, spans: int) -> float:
    message = otlp.traces([otlp.span(attributes=TYPICAL) for _ in range(BATCH)], resource)
    with start_collector(overlays, tmp=folder) as collector:
        assert otlp.post(collector.endpoint, message) == 200
        before = _processor_seconds(collector.pid)
        for _ in range(spans // BATCH):
            assert otlp.post(collector.endpoint, message) == 200
        return (_processor_seconds(collector.pid) - before) / spans


def _processor_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
