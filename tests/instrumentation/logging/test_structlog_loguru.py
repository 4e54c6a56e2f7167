"""structlog and loguru through the standard library: once, with their fields, their exceptions and their trace."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import loguru
import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider

import blogauto_otel
from blogauto_otel.instrumentation.logging import libraries, loguru_sink
from blogauto_otel.instrumentation.logging.libraries import JOIN_LOGURU, JOIN_STRUCTLOG
from tests.instrumentation.logging.conftest import Instrument


@pytest.fixture(autouse=True)
def _structlog_as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.fixture
def bridged() -> Iterator[Any]:
    """A loguru logger with nothing but our sink."""
    loguru.logger.remove()
    sink = loguru.logger.add(loguru_sink, format="{message}", level=0)
    yield loguru.logger
    loguru.logger.remove(sink)
    loguru.logger.add(sys.stderr)


# --- structlog -------------------------------------------------------------------------------------------------------

SHARED: list[Any] = [structlog.stdlib.add_log_level, structlog.stdlib.filter_by_level]
ENDINGS: dict[str, list[Any]] = {
    "keywords": [structlog.stdlib.render_to_log_kwargs],
    "formatter": [structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_structlog_s_event_is_the_body_and_its_fields_are_attributes(instrument: Instrument, ending: str) -> None:
    structlog.configure(
        processors=[*SHARED, *ENDINGS[ending]],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    exported = instrument()
    with TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("work") as span:
        structlog.get_logger("shop").bind(site="a").warning("post published", post=7)
    record = exported.one
    assert record.body == "post published"
    assert (record.attributes["site"], record.attributes["post"]) == ("a", 7)
    assert (record.scope, record.severity) == ("shop", 13)
    assert record.span_id == span.get_span_context().span_id
    assert not [name for name in record.attributes if name.startswith("_")]


def test_structlog_rendered_to_text_is_the_body(instrument: Instrument) -> None:
    structlog.configure(
        processors=[*SHARED, structlog.processors.JSONRenderer()],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    exported = instrument()
    structlog.get_logger("shop").warning("published", post=7)
    assert json.loads(exported.one.body)["post"] == 7


def test_structlog_s_own_console_stays_and_the_record_is_exported_once(
    instrument: Instrument, fresh_logging: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    structlog.configure(
        processors=[*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=structlog.dev.ConsoleRenderer(colors=False)))
    fresh_logging.addHandler(handler)
    exported = instrument(console="auto")
    structlog.get_logger("shop").warning("published", post=7)
    printed = capsys.readouterr().err
    assert "published" in printed
    assert "post=7" in printed
    assert exported.one.attributes["post"] == 7


def test_structlog_s_exception_is_an_exception(instrument: Instrument) -> None:
    structlog.configure(
        processors=[*SHARED, structlog.stdlib.render_to_log_kwargs],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    exported = instrument()
    try:
        raise LookupError("gone")
    except LookupError:
        structlog.get_logger("shop").exception("failed")
    assert exported.one.attributes["exception.type"] == "LookupError"


# --- loguru ----------------------------------------------------------------------------------------------------------


def test_loguru_s_records_arrive_with_level_fields_line_and_trace(instrument: Instrument, bridged: Any) -> None:
    exported = instrument()
    with TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("work") as span:
        bridged.bind(site="a").success("post {} published", 7)
    record = exported.one
    assert record.body == "post 7 published"
    assert record.attributes["site"] == "a"
    assert (record.severity, record.severity_text) == (12, "SUCCESS")
    assert record.scope == __name__
    assert record.attributes["code.file.path"] == __file__
    assert record.span_id == span.get_span_context().span_id


def test_loguru_s_exception_is_an_exception_and_not_part_of_the_message(instrument: Instrument, bridged: Any) -> None:
    exported = instrument()
    try:
        raise LookupError("gone")
    except LookupError:
        bridged.exception("failed")
    assert exported.one.body == "failed"
    assert exported.one.attributes["exception.type"] == "LookupError"
    assert "Traceback" in exported.one.attributes["exception.stacktrace"]


def test_loguru_s_line_is_printed_once(
    instrument: Instrument, bridged: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    instrument(console="json")
    bridged.bind(site="a").info("published")
    (line,) = capsys.readouterr().err.splitlines()
    fields = json.loads(line)
    assert (fields["message"], fields["site"]) == ("published", "a")


def test_the_recipe_of_loguru_s_documentation_works_too(instrument: Instrument) -> None:
    class PropagateHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logging.getLogger(record.name).handle(record)

    sink = loguru.logger.add(PropagateHandler(), format="{message}")
    exported = instrument()
    loguru.logger.bind(site="a").warning("published")
    loguru.logger.remove(sink)
    assert exported.one.body == "published"
    assert exported.one.attributes["site"] == "a"


def test_standard_library_records_that_go_to_loguru_do_not_come_back(
    instrument: Instrument, bridged: Any, fresh_logging: logging.Logger
) -> None:
    class InterceptHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            loguru.logger.opt(exception=record.exc_info).log(record.levelname, record.getMessage())

    printed: list[str] = []
    sink = bridged.add(printed.append, format="{message}")
    fresh_logging.addHandler(InterceptHandler())
    exported = instrument(console="json")
    logging.getLogger("shop").warning("once")
    bridged.remove(sink)
    assert exported.bodies.count("once") == 1
    assert printed.count("once\n") == 1


def test_below_the_level_of_its_module_loguru_is_silent(instrument: Instrument, bridged: Any) -> None:
    exported = instrument(log_level="info")
    bridged.debug("low")
    assert exported.bodies == []


# --- how they are joined, in the status ------------------------------------------------------------------------------


def test_the_status_names_the_line_that_joins_each(instrument: Instrument) -> None:
    report = instrument().report
    assert report is not None
    assert f"structlog joins with {JOIN_STRUCTLOG}" in report.detail
    assert f"loguru joins with {JOIN_LOGURU}" in report.detail


def test_structlog_that_is_joined_needs_no_line(instrument: Instrument) -> None:
    exec(JOIN_STRUCTLOG, {"structlog": structlog})
    exported = instrument()
    assert exported.report is not None
    assert "structlog" not in exported.report.detail
    structlog.contextvars.bind_contextvars(site="a")
    structlog.get_logger("shop").info("paid", post=7)
    structlog.contextvars.clear_contextvars()
    assert (exported.one.body, exported.one.attributes["post"], exported.one.attributes["site"]) == ("paid", 7, "a")


def test_the_line_that_joins_loguru_works_as_it_stands(instrument: Instrument) -> None:
    exported = instrument()
    names = {"loguru": loguru, "blogauto_otel": blogauto_otel}
    sink = eval(JOIN_LOGURU, names)
    loguru.logger.info("paid")
    loguru.logger.remove(sink)
    assert exported.bodies == ["paid"]


def test_neither_is_named_where_it_is_not_installed(instrument: Instrument, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "_is_installed", lambda name: False)
    report = instrument().report
    assert report is not None
    assert "joins" not in report.detail


def test_loguru_s_records_below_the_application_s_level_do_not_reach_its_handlers(
    instrument: Instrument, bridged: Any, fresh_logging: logging.Logger
) -> None:
    handled: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: handled.append(record.getMessage())  # type: ignore[method-assign]
    fresh_logging.addHandler(handler)
    exported = instrument(log_level="info")
    bridged.info("low")
    bridged.warning("high")
    assert exported.bodies == ["low", "high"]
    assert handled == ["high"]
