"""Cost of one span, from its start to its place in the queue, compared with the SDK's span and the official encoder.

    python -m benchmarks spans

The official encoder runs later, in its exporter's thread, but in the same process and under the same GIL. Each column
is the median of rounds that measure every row once.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBasedTraceIdRatio, Sampler
from opentelemetry.trace import SpanKind

from benchmarks.table import print_table
from blogauto_otel import config
from blogauto_otel.export.pipeline import Delivery, build_delivery
from blogauto_otel.otlp.spans import SpanTemplate
from blogauto_otel.redaction import build_redactor
from blogauto_otel.sdk.span import RecordingSpan
from blogauto_otel.sdk.tracer import BlogautoTracer
from blogauto_otel.sdk.tracer_provider import build_tracer_provider

SPANS = 2000  # of one kind in one round
ROUNDS = 15
RESOURCE = Resource({"service.name": "benchmark"})
CONTEXT = Context()

AT_START = {"http.request.method": "GET", "url.scheme": "https", "url.path": "/api/content/saved/17"}
OF_ROUTE = {
    "http.route": "/api/content/saved/{content_id}",
    "http.response.status_code": 200,
    "network.protocol.version": "1.1",
    "server.address": "blog.example.com",
    "server.port": 443,
}
OF_REQUEST = {
    "client.address": "203.0.113.7",
    "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "request.id": "5f1f2d3c4b5a69788796a5b4c3d2e1f0",
    "user.tier": "free",
}
NAME = "GET /api/content/saved/{content_id}"
OF_STATEMENT = {
    "db.system.name": "postgresql",
    "db.namespace": "blog",
    "db.operation.name": "SELECT",
    "db.collection.name": "posts",
    "db.query.text": "SELECT posts.id, posts.title FROM posts WHERE posts.owner = %(owner)s",
    "db.query.summary": "SELECT posts",
}


class Encoding(SpanProcessor):
    """Encodes each span as the official exporter does."""

    def on_end(self, span: ReadableSpan) -> None:
        """See `SpanProcessor`."""
        encode_spans([span]).SerializeToString()


def server_span(tracer: Any) -> Callable[[], None]:
    """A server span by the calls of the API."""

    def work() -> None:
        span = tracer.start_span("GET", CONTEXT, SpanKind.SERVER, AT_START, (), start_time=time.time_ns())
        span.set_attributes({**OF_ROUTE, **OF_REQUEST})
        span.update_name(NAME)
        span.end(time.time_ns())

    return work


def fast_server_span(tracer: BlogautoTracer) -> Callable[[], None]:
    """The same by the calls that our server instrumentation makes."""
    template = SpanTemplate(NAME, SpanKind.SERVER, OF_ROUTE)

    def work() -> None:
        span = tracer.start_server_span("GET", CONTEXT, dict(AT_START), start_time=time.time_ns())
        span.finish(template, dict(OF_REQUEST), end_time=time.time_ns())

    return work


def statement(tracer: Any) -> Callable[[], None]:
    """A span of a statement by the calls of the API."""

    def work() -> None:
        tracer.start_span("SELECT posts", CONTEXT, SpanKind.CLIENT, OF_STATEMENT, start_time=time.time_ns()).end()

    return work


def fast_statement(tracer: BlogautoTracer) -> Callable[[], None]:
    """The same in one call."""
    template = SpanTemplate("SELECT posts", SpanKind.CLIENT, OF_STATEMENT)

    def work() -> None:
        now = time.time_ns()
        tracer.record_span(template, start_time=now, end_time=now, parent_context=CONTEXT)

    return work


def unsampled(tracer: Any) -> Callable[[], None]:
    """The start of a server span that is not sampled."""

    def work() -> None:
        tracer.start_span("GET", CONTEXT, SpanKind.SERVER, AT_START, (), start_time=1)

    return work


def fast_unsampled(tracer: BlogautoTracer) -> Callable[[], None]:
    """Likewise."""

    def work() -> None:
        tracer.start_server_span("GET", CONTEXT, AT_START, start_time=1)

    return work


def sdk_tracer(sampler: Sampler, *processors: SpanProcessor) -> Any:
    """A tracer of the SDK."""
    provider = TracerProvider(sampler, RESOURCE, shutdown_on_exit=False)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider.get_tracer("benchmark", "1.0")


def our_tracer(rate: float) -> tuple[BlogautoTracer, Delivery]:
    """A tracer of ours, whose spans wait in the queue of a delivery that sends nothing."""
    settings = config.load({}, span_queue_items=10**6, queue_bytes=2**33, sample_rate=rate).settings
    delivery = build_delivery(settings, RESOURCE)
    delivery._wake_up = lambda: None  # type: ignore[method-assign] # no worker: only the caller's side is measured
    provider = build_tracer_provider(settings, RESOURCE, delivery=delivery, redactor=build_redactor(settings))
    tracer = provider.get_tracer("benchmark", "1.0")
    tracer.processors.span_class = RecordingSpan  # as where nobody has imported the SDK's tracing
    return tracer, delivery


def rows() -> list[tuple[str, tuple[Callable[[], None], ...], Delivery]]:
    """What is measured: of the SDK, of ours through the API, and of ours by its own calls."""
    ours, delivery = our_tracer(1.0)
    off, nowhere = our_tracer(0.0)
    theirs, theirs_off = sdk_tracer(ALWAYS_ON, Encoding()), sdk_tracer(ParentBasedTraceIdRatio(0.0))
    return [
        ("server span, 12 attributes", (server_span(theirs), server_span(ours), fast_server_span(ours)), delivery),
        ("statement, 6 attributes", (statement(theirs), statement(ours), fast_statement(ours)), delivery),
        ("unsampled start", (unsampled(theirs_off), unsampled(off), fast_unsampled(off)), nowhere),
    ]


def _microseconds(work: Callable[[], None], delivery: Delivery) -> float:
    started = time.process_time()
    for _ in range(SPANS):
        work()
    took = time.process_time() - started
    for queue in delivery._queues.values():
        queue.drop_waiting("benchmark")
    return took / SPANS * 1e6


def main() -> None:
    """Print the table."""
    measured = rows()
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name, _, _ in measured}
    for _ in range(ROUNDS):
        for name, works, delivery in measured:
            found[name].append(tuple(_microseconds(work, delivery) for work in works))
    table = []
    for name, rounds in found.items():
        theirs, ours, fast = (statistics.median(column) for column in zip(*rounds, strict=True))
        table.append((name, f"{theirs:.1f}", f"{ours:.1f}", f"{fast:.1f}", f"{fast / theirs:.2f}"))
    title = "microseconds of CPU for a span: started, ended, redacted, encoded, queued (the SDK's: encoded)"
    print_table(title, ("", "SDK", "ours, API", "ours, fast", "ratio"), table)


if __name__ == "__main__":
    main()
