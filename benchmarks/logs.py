"""Cost of a log record, compared with OpenTelemetry's own handler: CPU of all threads, export included.

    python -m benchmarks.logs

Each round runs every configuration once, in random order, and is compared with the `NullHandler` of the same round.
Ours delivers to a receiver in another process; the reference encodes its batches and drops them. Each message is new.
The reference is the handler of `opentelemetry-instrumentation-logging` if installed, else the SDK's.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import random
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NoOpTracerProvider

from benchmarks import results
from benchmarks.sink import sink
from benchmarks.table import print_table
from blogauto_otel.api.context import begin_request, bind, end_request
from blogauto_otel.api.formatting import JsonFormatter, TextFormatter
from blogauto_otel.config import Settings
from blogauto_otel.export.pipeline import build_delivery
from blogauto_otel.instrumentation import Context
from blogauto_otel.instrumentation import logging as ours
from blogauto_otel.redaction import build_redactor
from blogauto_otel.sdk.logger_provider import build_logger_provider

ROUNDS, BATCH, WARM_UP = 15, 1500, 100
GOAL = 6  # microseconds

log = logging.getLogger("benchmark")


# --- workload ---------------------------------------------------------------------------------------------------------


numbers = itertools.count()


def message() -> None:
    log.info("analyzing %d keywords for %s", next(numbers), "example.com")


def constant() -> None:
    log.info("analyzing keywords")


def extras() -> None:
    log.info("analyzing keywords", extra={"site": "example.com", "keywords": next(numbers)})


def exception() -> None:
    try:
        int("no number")
    except ValueError:
        log.exception("cannot analyze")


RECORDS = {
    "message with arguments": message,
    "constant message": constant,
    "two extras": extras,
    "exception": exception,
}


# --- configurations ---------------------------------------------------------------------------------------------------


class EncodeAndDrop(LogRecordExporter):
    """The stock exporter up to the socket."""

    def export(self, batch: Any) -> LogRecordExportResult:
        encode_logs(batch).SerializeToString()
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 0) -> bool:  # noqa: ARG002 - its interface
        return True


@contextlib.contextmanager
def bare(_: str) -> Iterator[Callable[[], object]]:
    yield lambda: None


@contextlib.contextmanager
def stock(_: str) -> Iterator[Callable[[], object]]:
    provider = LoggerProvider(resource=Resource({}), shutdown_on_exit=False)
    processor = BatchLogRecordProcessor(EncodeAndDrop(), max_queue_size=100_000)
    provider.add_log_record_processor(processor)
    handler = stock_handler(provider)
    log.addHandler(handler)
    yield processor.force_flush
    log.removeHandler(handler)
    processor.shutdown()  # type: ignore[no-untyped-call]


def stock_handler(provider: LoggerProvider) -> logging.Handler:
    with contextlib.suppress(ImportError):
        from opentelemetry.instrumentation.logging.handler import LoggingHandler as ContribHandler

        contrib: logging.Handler = ContribHandler(logger_provider=provider, log_code_attributes=True)
        return contrib
    from opentelemetry.sdk._logs import LoggingHandler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return LoggingHandler(logger_provider=provider)


@contextlib.contextmanager
def own(endpoint: str, *, in_request: bool = False) -> Iterator[Callable[[], object]]:
    settings = Settings(console="off", endpoint=endpoint, spool_dir="off", metric_interval=3600.0)
    redactor, resource = build_redactor(settings), Resource({})
    delivery = build_delivery(settings, resource)
    logs = build_logger_provider(settings, resource, delivery=delivery, redactor=redactor)
    context = Context(settings, redactor, delivery, NoOpTracerProvider(), NoOpMeterProvider(), logs)
    ours.instrument(context)
    token = begin_request("r-1") if in_request else None
    if token is not None:
        bind(user_id="42")
    yield lambda: delivery.force_flush(10.0)
    if token is not None:
        end_request(token)
    ours.uninstrument()
    delivery.shutdown(1.0)


CONFIGURATIONS: dict[str, Callable[[str], contextlib.AbstractContextManager[Callable[[], object]]]] = {
    "bare": bare,
    "stock": stock,
    "ours": own,
    "ours, with request and user": partial(own, in_request=True),
}


@contextlib.contextmanager
def within_a_span() -> Iterator[None]:
    span = trace.NonRecordingSpan(trace.SpanContext(1, 1, is_remote=False, trace_flags=trace.TraceFlags(1)))
    token = otel.attach(trace.set_span_in_context(span))
    yield
    otel.detach(token)


def measure(configuration: str, emit: Callable[[], None], endpoint: str = "") -> float:
    """Microseconds of CPU per record."""
    with CONFIGURATIONS[configuration](endpoint) as flush, within_a_span():
        for _ in range(WARM_UP):
            emit()
        flush()
        started = time.process_time()
        for _ in range(BATCH):
            emit()
        flush()
        return (time.process_time() - started) / BATCH * 1e6


def added(emit: Callable[[], None], endpoint: str) -> dict[str, list[float]]:
    """Microseconds above the bare record of the same round; for the bare one its own."""
    found: dict[str, list[float]] = {name: [] for name in CONFIGURATIONS}
    for _ in range(ROUNDS):
        names = list(CONFIGURATIONS)
        random.shuffle(names)
        took = {name: measure(name, emit, endpoint) for name in names}
        for name in names:
            found[name].append(took[name] - (took["bare"] if name != "bare" else 0.0))
    return found


def line_microseconds(formatter: logging.Formatter) -> float:
    """Microseconds of CPU to format and write one line."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(formatter)
    log.addHandler(handler)
    try:
        return statistics.median(measure("bare", message) for _ in range(ROUNDS))
    finally:
        log.removeHandler(handler)


def main() -> None:
    """Print the cost of a record and of a console line."""
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(logging.NullHandler())
    rows, ratios = [], []
    with sink() as endpoint:
        measured = {name: added(emit, endpoint) for name, emit in RECORDS.items()}
    for name, found in measured.items():
        middle = {configuration: statistics.median(values) for configuration, values in found.items()}
        ratio = statistics.median(a / b for a, b in zip(found["ours"], found["stock"], strict=True))
        ratios.append(ratio)
        rows.append(
            (
                name,
                *(f"{middle[configuration]:.1f}" for configuration in CONFIGURATIONS),
                f"{ratio:.2f}",
                f"ours <= {GOAL}",
            )
        )
    print_table(
        f"a log record, exported: CPU in microseconds added to a NullHandler's; medians of {ROUNDS} paired runs",
        ("record", *CONFIGURATIONS, "ours / stock", "goal"),
        rows,
    )
    results.keep("logs", results.spread("", ratios))
    redactor = build_redactor(Settings())
    plain = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    lines = {"standard library": plain, "text": TextFormatter(redact=redactor), "JSON": JsonFormatter(redact=redactor)}
    print_table(
        "a line on the console, redacted: CPU in microseconds",
        ("format", "per record"),
        [(name, f"{line_microseconds(formatter):.1f}") for name, formatter in lines.items()],
    )


if __name__ == "__main__":
    main()
