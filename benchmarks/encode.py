"""Cost of encoding a finished span or log record into the queue, compared with the official encoder.

    python -m benchmarks.encode

The official encoder runs later, in its exporter's thread, but in the same process and under the same GIL.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from benchmarks.table import print_table
from blogauto_otel import config
from blogauto_otel.export.pipeline import Delivery, build_delivery
from blogauto_otel.otlp.encoder import Encoder
from blogauto_otel.redaction import build_redactor
from blogauto_otel.sdk.logger_provider import ExportingLogProcessor
from blogauto_otel.sdk.span_processors import ExportingSpanProcessor
from testkit.otlp import SERVER_ATTRIBUTES

ITEMS = 2000
ROUNDS = 15
RESOURCE = Resource({"service.name": "benchmark"})


def spans(distinct: int) -> Sequence[Any]:
    """Server spans with ten attributes; `url.path` has this many different values."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False, resource=RESOURCE)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("benchmark", "1.0")
    for index in range(ITEMS):
        path = f"/api/content/saved/{index % distinct}"
        tracer.start_span(
            "GET /api/content/saved/{content_id}", attributes={**SERVER_ATTRIBUTES, "url.path": path}
        ).end()
    return exporter.get_finished_spans()


def records() -> Sequence[Any]:
    """Log records with three attributes and different bodies."""
    scope = InstrumentationScope("app.publishing")
    return [
        ReadWriteLogRecord(
            LogRecord(
                timestamp=time.time_ns(),
                severity_number=SeverityNumber.INFO,
                severity_text="INFO",
                body=f"published post {index} to the site of the customer",
                attributes={"code.function.name": "publish", "code.line.number": 42, "request.id": f"{index:016x}"},
            ),
            RESOURCE,
            scope,
        )
        for index in range(ITEMS)
    ]


def microseconds(*works: Callable[[], object]) -> list[float]:
    """Microseconds per item: medians of rounds that run each variant once."""
    rounds = [[_once(work) for work in works] for _ in range(ROUNDS)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def _once(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return (time.process_time() - started) / ITEMS * 1e6


def queueing(pipeline: Callable[[], Any], delivery: Delivery, items: Sequence[Any]) -> Callable[[], None]:
    """Pass every item to a new pipeline, and discard its queue."""

    def work() -> None:
        take = getattr(pipeline(), "on_end", None) or pipeline().on_emit
        for item in items:
            take(item)
        for queue in delivery._queues.values():
            queue.drop_waiting("benchmark")

    return work


OFFICIAL = "opentelemetry.exporter.otlp.proto.common"
BEFORE = (
    "import opentelemetry.sdk.trace, opentelemetry.sdk._logs, opentelemetry.sdk.metrics, logging.handlers, ssl, time\n"
    "import blogauto_otel.config, blogauto_otel.redaction\n"
)
IMPORTS = {
    "official encoders (protobuf)": ", ".join(
        f"{OFFICIAL}.{name}" for name in ("trace_encoder", "_log_encoder", "metrics_encoder")
    ),
    "official encoders and sender (requests)": "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "our encoder": "blogauto_otel.otlp.encoder",
    "our encoder, queues and sender": "blogauto_otel.export.pipeline",
}


def import_milliseconds(modules: str) -> float:
    """CPU time of an import in a process that has imported the SDK, settings and redaction."""
    script = f"{BEFORE}t = time.process_time(); import {modules}; print((time.process_time() - t) * 1000)"
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True) for _ in range(9)
    ]
    return statistics.median(float(run.stdout) for run in runs)


def main() -> None:
    """Print both tables."""
    settings = config.load({}, span_queue_items=10**6, log_queue_items=10**6, queue_bytes=2**33).settings
    redactor = build_redactor(settings)
    delivery = build_delivery(settings, RESOURCE)
    delivery.start = lambda: None  # type: ignore[method-assign] # no worker: only the caller's side is measured
    alike, distinct, logs = spans(1), spans(ITEMS), records()
    kinds = (ExportingSpanProcessor, ExportingLogProcessor)
    of_spans, of_logs = (lambda kind=kind: kind(delivery, Encoder(redactor)) for kind in kinds)
    rows = []
    for name, items, pipeline, official in (
        ("span, ten attributes, all seen before", alike, of_spans, lambda: encode_spans(alike).SerializeToString()),
        (
            "span, one attribute never seen before",
            distinct,
            of_spans,
            lambda: encode_spans(distinct).SerializeToString(),
        ),
        ("log record, two attributes seen, one not", logs, of_logs, lambda: encode_logs(logs).SerializeToString()),
    ):
        ours, theirs = microseconds(queueing(pipeline, delivery, items), official)
        rows.append((name, f"{theirs:.1f}", f"{ours:.1f}", f"{ours / theirs:.2f}"))
    title = "microseconds of CPU: ours redacts, encodes and queues; the official encoder encodes"
    print_table(title, ("", "official", "ours", "ratio"), rows)
    imports = [(name, f"{import_milliseconds(modules):.1f}") for name, modules in IMPORTS.items()]
    print_table("import, milliseconds of CPU beyond the SDK, settings and redaction", ("", "ms"), imports)


if __name__ == "__main__":
    main()
