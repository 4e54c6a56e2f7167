"""Cost of a request, compared with contrib's and FastAPI's own instrumentation: CPU of all threads, with export.

    python -m benchmarks.requests

The application does nothing, so that microseconds are visible. Each round runs every configuration once, in random
order, and is compared with the bare run of the same round. Spans go over HTTP to a process whose CPU is not counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from opentelemetry._logs import NoOpLoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from starlette.applications import Starlette
from starlette.routing import Route

from benchmarks import results
from benchmarks.sink import sink
from benchmarks.table import print_table

ROUNDS, BATCH, WARM_UP = 21, 1024, 200
GOALS = {"ours": ("contrib", 0.06), "ours unsampled": ("contrib unsampled", 0.04)}
RESOURCE = Resource({"service.name": "benchmark"})


# --- workload ---------------------------------------------------------------------------------------------------------


async def answer(_scope: Any, _receive: Any, send: Any) -> None:
    await send({
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-length", b"15"), (b"content-type", b"application/json")],
    })  # fmt: skip
    await send({"type": "http.response.body", "body": b'{"status":"ok"}'})


class StatusApp:
    """An ASGI application as endpoint, so that routing costs nothing."""

    __call__ = staticmethod(answer)


ROUTE = Route("/api/status", StatusApp())
HEADERS = [
    (b"host", b"api.example.com"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, br"),
    (b"x-forwarded-for", b"203.0.113.7"),
]


def application(kind: Callable[[], Any] = Starlette, stack: Any = None) -> Any:
    app = kind()
    app.middleware_stack = stack or _handle
    return app


async def _handle(scope: Any, receive: Any, send: Any) -> None:
    scope["route"] = ROUTE
    await ROUTE.handle(scope, receive, send)


async def requests(app: Any, number: int) -> None:
    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None: ...

    for count in range(number):  # the request id and the client's port differ, as they do on a server
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "server": ("10.0.0.5", 8000),
            "client": ("203.0.113.7", 32768 + count), "scheme": "http", "method": "GET", "root_path": "",
            "path": "/api/status", "raw_path": b"/api/status", "query_string": b"", "headers": HEADERS, "state": {},
        }  # fmt: skip
        await app(scope, receive, send)


# --- configurations ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def stock(endpoint: str, *, sampled: bool) -> Iterator[tuple[TracerProvider, MeterProvider, Callable[[], object]]]:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    tracers = TracerProvider(ALWAYS_ON if sampled else ALWAYS_OFF, RESOURCE, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint + "/v1/traces", compression=Compression.NoCompression)
    processor = BatchSpanProcessor(exporter, max_queue_size=100_000)
    tracers.add_span_processor(processor)
    meters = MeterProvider([InMemoryMetricReader()], RESOURCE, shutdown_on_exit=False)
    yield tracers, meters, processor.force_flush
    processor.shutdown()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def bare(_: str) -> Iterator[tuple[Any, Callable[[], object]]]:
    yield application(), lambda: None


def contrib(*, sampled: bool) -> Any:
    @contextlib.contextmanager
    def instrumented(endpoint: str) -> Iterator[tuple[Any, Callable[[], object]]]:
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

        with stock(endpoint, sampled=sampled) as (tracers, meters, flush):
            watched = OpenTelemetryMiddleware(
                _handle,
                tracer_provider=tracers,
                meter_provider=meters,
                exclude_spans=["receive", "send"],
                default_span_details=lambda _: ("GET /api/status", {"http.route": "/api/status"}),
            )
            yield application(stack=watched), flush

    return instrumented


@contextlib.contextmanager
def native(endpoint: str) -> Iterator[tuple[Any, Callable[[], object]]]:
    from fastapi import FastAPI

    with stock(endpoint, sampled=True) as (tracers, meters, flush):
        telemetry = {"tracer_provider": tracers, "meter_provider": meters, "logs": False, "operation_spans": False}
        yield application(lambda: FastAPI(openapi_url=None, telemetry=telemetry)), flush  # type: ignore[arg-type]


def own(*, sampled: bool) -> Any:
    @contextlib.contextmanager
    def instrumented(endpoint: str) -> Iterator[tuple[Any, Callable[[], object]]]:
        from blogauto_otel.config import Settings
        from blogauto_otel.export.pipeline import build_delivery
        from blogauto_otel.instrumentation import Context, server
        from blogauto_otel.redaction import build_redactor
        from blogauto_otel.sdk.meter_provider import build_meter_provider
        from blogauto_otel.sdk.tracer_provider import build_tracer_provider

        settings = Settings(endpoint=endpoint, sample_rate=float(sampled), metric_interval=3600.0)
        redactor = build_redactor(settings)
        delivery = build_delivery(settings, RESOURCE)
        tracing = build_tracer_provider(settings, RESOURCE, delivery=delivery, redactor=redactor)
        metering = build_meter_provider(settings, RESOURCE, delivery=delivery, redactor=redactor)
        providers = (tracing, metering, NoOpLoggerProvider())
        server.instrument(Context(settings, redactor, delivery, *providers, tracing.write_deferred_span))
        yield application(), lambda: delivery.force_flush(10.0)
        server.uninstrument()
        delivery.shutdown(1.0)

    return instrumented


CONFIGURATIONS: dict[str, Any] = {
    "bare": bare,
    "contrib": contrib(sampled=True),
    "contrib unsampled": contrib(sampled=False),
    "FastAPI native": native,
    "ours": own(sampled=True),
    "ours unsampled": own(sampled=False),
}


# --- measurement ------------------------------------------------------------------------------------------------------


def microseconds(loop: asyncio.AbstractEventLoop, configuration: str, endpoint: str) -> float:
    """CPU microseconds per request."""
    with CONFIGURATIONS[configuration](endpoint) as (app, flush):
        loop.run_until_complete(requests(app, WARM_UP))
        flush()
        gc.collect()
        started = time.process_time()
        loop.run_until_complete(requests(app, BATCH))
        flush()
        return (time.process_time() - started) / BATCH * 1e6


def added(rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Microseconds above the bare request of the same round; for the bare one its own."""
    loop, found = asyncio.new_event_loop(), {name: list[float]() for name in CONFIGURATIONS}
    with sink() as endpoint:
        for _ in range(rounds):
            names = list(CONFIGURATIONS)
            random.shuffle(names)
            took = {name: microseconds(loop, name, endpoint) for name in names}
            for name in names:
                found[name].append(took[name] - (took["bare"] if name != "bare" else 0.0))
    loop.close()
    return found


def compared(values: list[float], rivals: list[float]) -> float:
    """Their ratio by round: the speed of the machine varies between rounds."""
    return statistics.median(value / rival for value, rival in zip(values, rivals, strict=True))


def main(rounds: int = ROUNDS) -> None:
    """Print the table."""
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http"
    logging.disable(logging.CRITICAL)
    found = added(rounds)
    logging.disable(logging.NOTSET)
    rows = []
    for name, values in found.items():
        low, middle, high = statistics.quantiles(values, n=4)
        rival, goal = GOALS.get(name, ("contrib", None))
        ratio = "-" if name == "bare" else f"{compared(values, found[rival]):.2f} of {rival}"
        rows.append([name, f"{middle:.1f}", f"{low:.1f}..{high:.1f}", ratio, "" if goal is None else f"<= {goal}"])
    header = ["who watches", "us added (bare: us)", "quartiles", "ratio", "goal"]
    print_table(f"a request: CPU microseconds, medians of {rounds} paired rounds of {BATCH}", header, rows)
    kept = {"sampled": "ours", "unsampled": "ours unsampled"}
    results.keep("requests", {word: compared(found[name], found[GOALS[name][0]]) for word, name in kept.items()})


if __name__ == "__main__":
    main()
