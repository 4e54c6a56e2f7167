"""Log records: from the logger provider to encoded bytes in the queue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry._logs import Logger as APILogger
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import (
    Logger,
    LoggerProvider,
    LogRecordLimits,
    LogRecordProcessor,
    ReadableLogRecord,
    ReadWriteLogRecord,
)
from opentelemetry.sdk.resources import Resource

from blogauto_otel._guard import guard, is_foreign, swallow
from blogauto_otel.config import Settings
from blogauto_otel.export.pipeline import Delivery
from blogauto_otel.otlp.drop_reasons import UNSERIALISABLE
from blogauto_otel.otlp.encoder import Encoder
from blogauto_otel.otlp.signal import Signal
from blogauto_otel.otlp.values import NO_REDACTION, TextLimits, ValueRedactor
from blogauto_otel.sdk.console import printer
from blogauto_otel.sdk.scopes import Scopes, cleaned
from blogauto_otel.sdk.tracer import exception_attributes, readable, readable_attributes


class LogPipeline(LogRecordProcessor):
    """Redacts, encodes and queues each record as it is emitted; nothing of the record outlives that."""

    def __init__(self, delivery: Delivery, encoder: Encoder) -> None:
        self._delivery = delivery
        self._encoder = encoder
        self._scopes = Scopes()

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Queue the record."""
        try:
            item = self._encoder.log_record(log_record.log_record, dropped_attributes=log_record.dropped_attributes)
            scope = self._scopes.encoded(log_record.instrumentation_scope)
        except BaseException as error:
            self._delivery.lost(Signal.LOGS, UNSERIALISABLE)
            if not swallow("encoding a log record", error):
                raise
            return
        self._delivery.enqueue(Signal.LOGS, scope, item)

    def shutdown(self) -> None:
        """The end of delivery is the end of this."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits, of all signals."""
        return self._delivery.force_flush(timeout_millis / 1000)


class Guarded(LogRecordProcessor):
    """A processor that somebody else wrote: what it raises does not reach the code that logs."""

    def __init__(self, inner: LogRecordProcessor) -> None:
        self.inner = inner
        self._what = f"the log record processor {type(inner).__name__}"

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """See `LogRecordProcessor`."""
        try:
            self.inner.on_emit(log_record)
        except BaseException as error:
            if not swallow(self._what, error):
                raise

    def enabled(self, **question: Any) -> bool:
        """See `LogRecordProcessor`."""
        try:
            return self.inner.enabled(**question)
        except BaseException as error:
            if not swallow(self._what, error):
                raise
            return True

    def shutdown(self) -> None:
        """See `LogRecordProcessor`."""
        self.inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """See `LogRecordProcessor`."""
        return self.inner.force_flush(timeout_millis)


class TolerantLogger(Logger):
    """The SDK's logger, given this class; a record that it cannot take is emitted with readable values."""

    def emit(self, record: LogRecord | None = None, **given: Any) -> None:
        """See `Logger`."""
        try:
            super().emit(record, **given)
        except BaseException as error:
            if not is_foreign(error):
                raise
            self._emit_readable(record, given)

    def _emit_readable(self, record: LogRecord | None, given: Mapping[str, Any]) -> None:
        with guard("emitting a log record"):
            fields = given if record is None else {name: getattr(record, name, None) for name in _FIELDS}
            attributes = readable_attributes(fields.get("attributes")) or {}
            exception = fields.get("exception")
            if exception is not None:
                attributes = {**exception_attributes(exception), **attributes}
            changed = {"attributes": attributes, "body": readable(fields.get("body")), "exception": None}
            super().emit(**{**fields, **changed})


_FIELDS: Final = (
    "timestamp",
    "observed_timestamp",
    "context",
    "severity_number",
    "severity_text",
    "body",
    "attributes",
    "event_name",
    "exception",
)


class _Provider(LoggerProvider):
    redactor: ValueRedactor = NO_REDACTION

    def _handle_fork(self) -> None:
        """The SDK's answer to a fork overwrites the user's instance id; ours is `Logs.after_fork_in_child`."""

    def get_logger(self, *args: Any, **kwargs: Any) -> APILogger:
        """See `LoggerProvider`; the logger takes anything."""
        args, kwargs = cleaned(self.redactor, args, kwargs)  # type: ignore[assignment]
        logger = super().get_logger(*args, **kwargs)
        if type(logger) is Logger:
            logger.__class__ = TolerantLogger
        return logger

    def add_log_record_processor(self, log_record_processor: LogRecordProcessor) -> None:
        """See `LoggerProvider`; what the processor raises stays with us."""
        ours = isinstance(log_record_processor, (LogPipeline, ConsolePipeline, Guarded))
        super().add_log_record_processor(log_record_processor if ours else Guarded(log_record_processor))


@dataclass(frozen=True)
class Logs:
    """The logger provider."""

    provider: LoggerProvider

    def after_fork_in_child(self, resource: Resource) -> None:
        """Fresh locks, and the child's resource, for loggers made before the fork too."""
        provider = self.provider
        _renew_locks(provider)
        provider._resource = resource
        for logger in list(provider._active_loggers):
            logger._set_resource(resource)


def _renew_locks(provider: Any) -> None:
    """Locks that their thread may take again: a signal handler or a finalizer may record in the middle of anything."""
    provider._logger_cache_lock = provider._active_loggers_lock = threading.RLock()
    provider._multi_log_record_processor._lock = threading.RLock()


def build_logs(
    settings: Settings,
    resource: Resource,
    *,
    delivery: Delivery,
    redactor: ValueRedactor,
    processors: Sequence[LogRecordProcessor] = (),
) -> Logs:
    """Build the logger provider; it is not installed."""
    provider = _Provider(resource=resource, shutdown_on_exit=False, log_record_limits=_limits(settings))
    provider.redactor = redactor
    _renew_locks(provider)
    for processor in processors:
        provider.add_log_record_processor(processor)
    for name in settings.logs_exporter:
        provider.add_log_record_processor(_EXPORTERS[name](settings, delivery, redactor))
    return Logs(provider)


def _limits(settings: Settings) -> LogRecordLimits:
    """Counts only, and every one, for the reasons that spans have (`traces._limits`)."""
    return LogRecordLimits(
        max_attributes=settings.max_attributes,
        max_attribute_length=LogRecordLimits.UNSET,
        max_log_record_attributes=settings.log_attribute_count,
        max_log_record_attribute_length=LogRecordLimits.UNSET,
    )


def _otlp(settings: Settings, delivery: Delivery, redactor: ValueRedactor) -> LogRecordProcessor:
    return LogPipeline(delivery, Encoder(redactor, TextLimits.of_attributes(settings.log_attribute_length)))


class ConsolePipeline(LogRecordProcessor):
    """Prints each record as it is emitted."""

    def __init__(self, redactor: ValueRedactor) -> None:
        self._print = printer(redactor)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Print the record."""
        resource = log_record.resource or Resource({})
        self._print(ReadableLogRecord(log_record.log_record, resource, log_record.instrumentation_scope))

    def shutdown(self) -> None:
        """Nothing is kept."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the interface
        """Nothing is kept."""
        return True


def _console(settings: Settings, delivery: Delivery, redactor: ValueRedactor) -> LogRecordProcessor:  # noqa: ARG001
    return ConsolePipeline(redactor)


_EXPORTERS: Final[Mapping[str, Callable[[Settings, Delivery, ValueRedactor], Any]]] = {
    "otlp": _otlp,
    "console": _console,
}
