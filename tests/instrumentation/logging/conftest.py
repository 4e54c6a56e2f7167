"""Logging as a fresh process has it, a logger provider in memory, and the instrumentation between them."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from blogauto_otel import _guard
from blogauto_otel.config import load
from blogauto_otel.instrumentation import Context, Report
from blogauto_otel.instrumentation import logging as instrumentation
from blogauto_otel.redaction import build_redactor


@dataclass
class FakeDelivery:
    """Records what was lost."""

    losses: list[tuple[str, str]] = field(default_factory=list)

    def lost(self, signal: str, reason: str, count: int = 1) -> None:
        self.losses += [(signal, reason)] * count


@dataclass
class Record:
    """An exported log record, with the fields that tests compare."""

    body: Any
    attributes: dict[str, Any]
    severity: int
    severity_text: str
    scope: str
    trace_id: int
    span_id: int
    event_name: str | None


class Exported:
    """The records that the logger provider received."""

    def __init__(self, exporter: InMemoryLogRecordExporter, delivery: FakeDelivery, context: Context) -> None:
        self._exporter = exporter
        self.delivery = delivery
        self.context = context
        self.report: Report | None = None

    @property
    def records(self) -> list[Record]:
        return [
            Record(
                body=log.log_record.body,
                attributes=dict(log.log_record.attributes or {}),
                severity=cast("Any", log.log_record.severity_number).value,
                severity_text=str(log.log_record.severity_text),
                scope=log.instrumentation_scope.name if log.instrumentation_scope else "",
                trace_id=log.log_record.trace_id or 0,
                span_id=log.log_record.span_id or 0,
                event_name=log.log_record.event_name,
            )
            for log in self._exporter.get_finished_logs()
        ]

    @property
    def bodies(self) -> list[Any]:
        return [record.body for record in self.records]

    @property
    def one(self) -> Record:
        (record,) = self.records
        return record

    def clear(self) -> None:
        self._exporter.clear()


Instrument = Callable[..., Exported]


@pytest.fixture(autouse=True)
def fresh_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """A root logger without handlers at its factory level, no other loggers; everything is restored afterwards."""
    root = logging.RootLogger(logging.WARNING)
    manager = logging.Manager(root)
    monkeypatch.setattr(logging, "root", root)
    monkeypatch.setattr(logging.Logger, "root", root)
    monkeypatch.setattr(logging.Logger, "manager", manager)
    monkeypatch.setattr(_guard, "logger", manager.getLogger("blogauto_otel"))
    monkeypatch.setattr(logging, "_handlers", logging._handlers.__class__())  # type: ignore[attr-defined]
    monkeypatch.setattr(logging, "_handlerList", [])
    yield root
    instrumentation.uninstrument()


@pytest.fixture
def instrument() -> Iterator[Instrument]:
    """Switch the instrumentation on, with settings; returns what is exported from then on."""

    def switch_on(**settings: object) -> Exported:
        exporter, delivery = InMemoryLogRecordExporter(), FakeDelivery()  # type: ignore[no-untyped-call]
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        loaded = load({}, **{"console": "off", **settings}).settings
        context = Context(
            settings=loaded,
            redactor=build_redactor(loaded),
            delivery=cast("Any", delivery),
            tracer_provider=TracerProvider(shutdown_on_exit=False),
            meter_provider=MeterProvider(shutdown_on_exit=False),
            logger_provider=provider,
        )
        exported = Exported(exporter, delivery, context)
        exported.report = instrumentation.instrument(context)
        return exported

    yield switch_on
    instrumentation.uninstrument()
