"""Code that looks for the caller of a log call finds the application's line, never one of ours."""

from __future__ import annotations

import inspect
import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import loguru
import pytest
import structlog
from sqlalchemy import create_engine, text

import blogauto_otel
from blogauto_otel.testing import capture_telemetry
from tests.instrumentation.logging.conftest import Instrument

OURS = str(Path(blogauto_otel.__file__).parent)


@pytest.fixture(autouse=True)
def _structlog_as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_between_the_call_and_the_handler_every_frame_is_logging_s(
    instrument: Instrument, fresh_logging: logging.Logger
) -> None:
    class Looking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            frame = inspect.currentframe()
            while (frame := frame.f_back if frame else None) and frame.f_code.co_filename != __file__:
                files.add((frame.f_code.co_filename, frame.f_globals["__name__"]))

    files: set[tuple[str, str]] = set()
    fresh_logging.addHandler(Looking())
    for console in ("off", "json"):
        instrument(console=console)
        logging.getLogger("shop").warning("who?")
    assert files == {(logging.addLevelName.__code__.co_filename, "logging")}


@pytest.mark.parametrize("console", ["off", "auto"])
def test_structlog_s_call_site_is_the_application_s_where_a_formatter_adds_it(
    instrument: Instrument, fresh_logging: logging.Logger, capsys: pytest.CaptureFixture[str], console: str
) -> None:
    structlog.configure(
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(sys.stderr)
    site = structlog.processors.CallsiteParameterAdder([structlog.processors.CallsiteParameter.PATHNAME])
    processors: list[Any] = [site, structlog.processors.KeyValueRenderer(key_order=["pathname"])]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=processors))
    fresh_logging.addHandler(handler)
    instrument(console=console)
    structlog.get_logger("shop").warning("paid")
    assert f"pathname='{__file__}'" in capsys.readouterr().err


def test_loguru_s_intercept_handler_names_the_application_s_line(
    instrument: Instrument, fresh_logging: logging.Logger
) -> None:
    class InterceptHandler(logging.Handler):  # as loguru's documentation has it
        def emit(self, record: logging.LogRecord) -> None:
            frame, depth = inspect.currentframe(), 0
            while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
                frame, depth = frame.f_back, depth + 1
            loguru.logger.opt(depth=depth, exception=record.exc_info).log(record.levelname, record.getMessage())

    seen: list[Any] = []
    sink = loguru.logger.add(lambda message: seen.append(message.record), format="{message}")
    fresh_logging.addHandler(InterceptHandler())
    instrument()
    logging.getLogger("shop").warning("who?")
    loguru.logger.remove(sink)
    assert [record["file"].path for record in seen if record["message"] == "who?"] == [__file__]


def test_sqlalchemy_s_echo_names_the_same_lines_as_without_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "_loggerClass", logging.Logger)  # structlog's own counts every frame

    def echoed() -> list[str]:
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(pathname)s %(funcName)s"))
        logger = logging.getLogger("sqlalchemy.engine")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        with create_engine("sqlite://").begin() as connection:
            connection.execute(text("SELECT 1"))
        logger.removeHandler(handler)
        return stream.getvalue().splitlines()

    before = echoed()
    with capture_telemetry():
        assert echoed() == before
    assert not [line for line in before if line.startswith(OURS)]


def test_find_caller_with_a_stack_shows_none_of_ours(instrument: Instrument, fresh_logging: logging.Logger) -> None:
    stacks: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: stacks.append(str(record.stack_info))  # type: ignore[method-assign]
    fresh_logging.addHandler(handler)
    exported = instrument()
    logging.getLogger("shop").warning("who?", stack_info=True, stacklevel=1)
    assert OURS not in stacks[0]
    assert exported.one.attributes["code.file.path"] == __file__
