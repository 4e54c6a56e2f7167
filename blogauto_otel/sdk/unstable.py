"""SDK names that are public but may move, imported in this one module; `_otel.py` has those of the API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from opentelemetry.sdk._logs import (
    Logger,
    LoggerProvider,
    LogRecordLimits,
    LogRecordProcessor,
    ReadableLogRecord,
    ReadWriteLogRecord,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

__all__ = [
    "LogRecordLimits",
    "LogRecordProcessor",
    "Logger",
    "LoggerProvider",
    "ReadWriteLogRecord",
    "ReadableLogRecord",
]


def log_processor(receive: Callable[[Sequence[ReadableLogRecord]], None]) -> LogRecordProcessor:
    """A processor that passes each log record to `receive`, as exporters get it."""
    from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult, SimpleLogRecordProcessor

    class ForwardingExporter(LogRecordExporter):
        def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
            receive(batch)
            return LogRecordExportResult.SUCCESS

        def shutdown(self) -> None:
            """A record after the end is received."""

        def force_flush(self, timeout_millis: int = 10_000) -> bool:  # noqa: ARG002 - the interface
            """Nothing waits."""
            return True

    return SimpleLogRecordProcessor(ForwardingExporter())


def span_processor(receive: Callable[[ReadableSpan], None]) -> SpanProcessor:
    """A processor that passes each sampled span to `receive` as it ends."""
    from opentelemetry.sdk.trace import SpanProcessor

    class ForwardingProcessor(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            if span.context is not None and span.context.trace_flags.sampled:
                receive(span)

    return ForwardingProcessor()
