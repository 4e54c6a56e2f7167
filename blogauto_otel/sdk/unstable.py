"""SDK names that are public but may move, imported in this one module; `_otel.py` has those of the API."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk._logs import (
    Logger,
    LoggerProvider,
    LogRecordLimits,
    LogRecordProcessor,
    ReadableLogRecord,
    ReadWriteLogRecord,
)

try:
    from opentelemetry.sdk._logs import SynchronousMultiLogRecordProcessor
except ImportError:  # before 1.41
    from opentelemetry.sdk._logs._internal import SynchronousMultiLogRecordProcessor

__all__ = [
    "LogRecordLimits",
    "LogRecordProcessor",
    "Logger",
    "LoggerProvider",
    "ReadWriteLogRecord",
    "ReadableLogRecord",
    "SynchronousMultiLogRecordProcessor",
]


def in_memory_log_exporter() -> tuple[Any, LogRecordProcessor]:
    """An exporter that keeps log records, and the processor that gives them to it."""
    from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call,unused-ignore]
    return exporter, SimpleLogRecordProcessor(exporter)
