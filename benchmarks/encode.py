"""What it costs to turn a finished span or a log record into bytes in the queue, against the official encoder.

    python -m benchmarks.encode

The official encoder works later, in its exporter's thread, but in the same process and under the same lock.
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
from blogauto_otel.sdk.tracer_provider import ExportingSpanProcessor

ITEMS = 2000
ROUNDS = 15
RESOURCE = Resource({"service.name": "benchmark"})

REQUEST: dict[str, Any] = {
    "http.request.method": "GET",
    "http.route": "/api/content/saved/{content_id}",
    "http.response.status_code": 200,
    "url.scheme": "http",
    "network.protocol.version": "1.1",
    "server.address": "api.example.org",
    "server.port": 8000,
    "client.address": "192.0.2.7",
    "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
}


def spans(distinct: int) -> Sequence[Any]:
    """Server spans with ten attributes; `url.path` takes so many different values."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False, resource=RESOURCE)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("benchmark", "1.0")
    for index in range(ITEMS):
        path = f"/api/content/saved/{index % distinct}"
        tracer.start_span("GET /api/content/saved/{content_id}", attributes={**REQUEST, "url.path": path}).end()
    return exporter.get_finished_spans()


def records() -> Sequence[Any]:
    """Log records with three attributes and a text of their own."""
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
    """Per item, medians of rounds in which the works take turns."""
    rounds = [[_once(work) for work in works] for _ in range(ROUNDS)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def _once(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return (time.process_time() - started) / ITEMS * 1e6


def queueing(pipeline: Callable[[], Any], delivery: Delivery, items: Sequence[Any]) -> Callable[[], None]:
    """Hand every item to a new pipeline, and throw away what it queued."""

    def work() -> None:
        take = getattr(pipeline(), "on_end", None) or pipeline().on_emit
        for item in items:
            take(item)
        for queue in delivery._queues.values():
            queue.discard("benchmark")

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
    """CPU time of an import in a process that has the SDK, settings and redaction already."""
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
    delivery.start = lambda: None  # type: ignore[method-assign] # nobody takes: only the caller's side is measured
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
