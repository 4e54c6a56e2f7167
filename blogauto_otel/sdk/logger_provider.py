"""Log records: from the logger provider to encoded bytes in the queue."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from weakref import WeakSet

from opentelemetry.sdk.resources import Resource

from blogauto_otel._guard import guard, is_foreign, swallow
from blogauto_otel._otel import Logger as APILogger
from blogauto_otel._otel import LogRecord
from blogauto_otel.config import Settings
from blogauto_otel.export.pipeline import Delivery
from blogauto_otel.otlp.drop_reasons import UNSERIALISABLE
from blogauto_otel.otlp.log_records import LogRecordEncoder
from blogauto_otel.otlp.plain_values import NO_REDACTION, TextLimits, ValueRedactor
from blogauto_otel.otlp.signal import LOGS
from blogauto_otel.sdk import private, self_test
from blogauto_otel.sdk.console import printer
from blogauto_otel.sdk.direct_logs import DirectExport
from blogauto_otel.sdk.plain import exception_attributes, to_plain, to_plain_attributes
from blogauto_otel.sdk.scopes import MAX_NAME, NameLimit, Scopes, redact_arguments
from blogauto_otel.sdk.unstable import (
    Logger,
    LoggerProvider,
    LogRecordLimits,
    LogRecordProcessor,
    ReadableLogRecord,
    ReadWriteLogRecord,
)


class ExportingLogProcessor(LogRecordProcessor):
    """Redacts, encodes and queues each record as it is emitted; nothing of the record outlives that."""

    def __init__(self, delivery: Delivery, encoder: LogRecordEncoder) -> None:
        self._delivery = delivery
        self._encoder = encoder
        self._scopes = Scopes()

    def switch_on(self, direct: DirectExport) -> None:
        """Let records that no other processor gets be exported without the SDK's objects."""
        direct.switch_on(self._encoder, self._delivery, self._scopes)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Queue the record."""
        try:
            item = self._encoder.log_record(log_record.log_record, dropped_attributes=log_record.dropped_attributes)
            scope = self._scopes.encoded(log_record.instrumentation_scope)
        except BaseException as error:
            self._delivery.lost(LOGS, UNSERIALISABLE)
            if not swallow("encoding a log record", error):
                raise
            return
        self._delivery.enqueue(LOGS, scope, item)

    def shutdown(self) -> None:
        """The end of delivery is the end of this."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits, of all signals."""
        return self._delivery.force_flush(timeout_millis / 1000)


class GuardedLogProcessor(LogRecordProcessor):
    """A processor of the application: what it raises does not reach the code that logs."""

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


_FIELDS: Final = tuple(name for name in inspect.signature(Logger.emit).parameters if name not in ("self", "record"))
_HAS_LIMITS: Final = "log_record_limits" in inspect.signature(LoggerProvider.__init__).parameters


class TolerantLogger(Logger):
    """The SDK's logger, given this class; a record that it cannot take is emitted with plain values."""

    limits: LogRecordLimits | None = None  # for an SDK whose provider takes none

    def emit(self, record: LogRecord | None = None, **given: Any) -> None:
        """See `Logger`."""
        try:
            super().emit(record if self.limits is None else self._limited(record, given), **given)
        except BaseException as error:
            if not is_foreign(error):
                raise
            self._emit_plain(record, given)

    def _limited(self, record: LogRecord | None, given: dict[str, Any]) -> Any:
        if record is None:
            record = LogRecord(**given)
            given.clear()
        if isinstance(record, ReadWriteLogRecord):
            return record
        limits: Any = self.limits
        return ReadWriteLogRecord(record, self.resource, private.scope_of_logger(self), limits=limits)

    def _emit_plain(self, record: LogRecord | None, given: Mapping[str, Any]) -> None:
        with guard("emitting a log record"):
            fields = given if record is None else {name: getattr(record, name, None) for name in (*_FIELDS, _EXCEPTION)}
            attributes = to_plain_attributes(fields.get("attributes")) or {}
            exception = fields.get(_EXCEPTION)
            if exception is not None:
                attributes = {**exception_attributes(exception), **attributes}
            changed = {"attributes": attributes, "body": to_plain(fields.get("body"))}
            super().emit(**{name: changed.get(name, fields.get(name)) for name in _FIELDS if name != _EXCEPTION})


_EXCEPTION: Final = "exception"


class BlogautoLoggerProvider(private.LoggerConfigListener, private.WithoutForkHandler, LoggerProvider):
    """The SDK's logger provider, with tolerant loggers and guarded processors.

    `direct` exports records without the SDK's objects, as long as nobody else gets the records.
    """

    def __init__(self, *, redactor: ValueRedactor = NO_REDACTION, limits: LogRecordLimits, **options: Any) -> None:
        self.processors = private.multi_log_processor()
        if _HAS_LIMITS:
            options["log_record_limits"] = limits
        super().__init__(multi_log_record_processor=self.processors, shutdown_on_exit=False, **options)
        self._redactor = redactor
        self._limits = None if _HAS_LIMITS else limits
        self.direct = DirectExport(limits.max_log_record_attributes if _HAS_LIMITS else limits.max_attributes)
        self._added: tuple[LogRecordProcessor, ...] = ()
        self._names = NameLimit("loggers")
        self._given: WeakSet[Logger] = WeakSet()
        private.make_reentrant(self, self.processors)
        self.on_logger_configs()

    def get_logger(self, *args: Any, **kwargs: Any) -> APILogger:
        """See `LoggerProvider`; the logger accepts any value."""
        args, kwargs = redact_arguments(self._redactor, args, kwargs, longest=MAX_NAME)  # type: ignore[assignment]
        if len(args) < _ATTRIBUTES_POSITION and not self._names.admits(args, kwargs):
            kwargs.setdefault("attributes", {})  # the SDK caches only loggers without attributes
        logger = super().get_logger(*args, **kwargs)
        if type(logger) is Logger:
            logger.__class__ = TolerantLogger
            logger.limits = self._limits  # type: ignore[attr-defined]
            self._given.add(logger)
        return logger

    def add_log_record_processor(self, log_record_processor: LogRecordProcessor) -> None:
        """See `LoggerProvider`; what the processor raises is swallowed and logged."""
        ours = isinstance(log_record_processor, (ExportingLogProcessor, ConsoleLogProcessor, GuardedLogProcessor))
        added = log_record_processor if ours else GuardedLogProcessor(log_record_processor)
        super().add_log_record_processor(added)
        self._added += (added,)
        self.on_logger_configs()

    def on_logger_configs(self) -> None:
        """Learn again which loggers are exported directly."""
        self.direct.switch_off()
        is_counted = private.counts_log_records(self)
        self.direct.discards = not self._added and not is_counted
        only = self._added[0] if len(self._added) == 1 else None
        if isinstance(only, ExportingLogProcessor) and not is_counted:
            only.switch_on(self.direct)

    def after_fork_in_child(self, resource: Resource) -> None:
        """Fresh locks, and the child's resource, for loggers made before the fork too."""
        private.make_reentrant(self, self.processors)
        if self_test.works("resource"):
            for owner in (self, *self._given):
                private.set_resource(owner, resource)


_ATTRIBUTES_POSITION: Final = 4  # of `attributes` among the positional parameters of `get_logger`


def build_logger_provider(
    settings: Settings,
    resource: Resource,
    *,
    delivery: Delivery,
    redactor: ValueRedactor,
    processors: Sequence[LogRecordProcessor] = (),
) -> BlogautoLoggerProvider:
    """Build the logger provider; it is not installed."""
    provider = BlogautoLoggerProvider(redactor=redactor, limits=_limits(settings), resource=resource)
    for processor in processors:
        provider.add_log_record_processor(processor)
    for name in settings.logs_exporter:
        provider.add_log_record_processor(_EXPORTERS[name](settings, delivery, redactor))
    return provider


def _limits(settings: Settings) -> LogRecordLimits:
    """Counts only, and every one, as for spans (`tracer_provider._limits`)."""
    most = settings.log_attribute_count
    if not _HAS_LIMITS:
        return LogRecordLimits(max_attributes=most, max_attribute_length=sys.maxsize)  # None: from the environment
    return LogRecordLimits(
        max_attributes=settings.max_attributes,
        max_attribute_length=LogRecordLimits.UNSET,
        max_log_record_attributes=most,
        max_log_record_attribute_length=LogRecordLimits.UNSET,
    )


def _otlp(settings: Settings, delivery: Delivery, redactor: ValueRedactor) -> LogRecordProcessor:
    limits = TextLimits.of_attributes(settings.log_attribute_length)
    return ExportingLogProcessor(delivery, LogRecordEncoder(redactor, limits))


class ConsoleLogProcessor(LogRecordProcessor):
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
    return ConsoleLogProcessor(redactor)


_EXPORTERS: Final[Mapping[str, Callable[[Settings, Delivery, ValueRedactor], Any]]] = {
    "otlp": _otlp,
    "console": _console,
}
