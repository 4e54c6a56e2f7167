"""Records below the application's level are exported, and nothing else changes."""

from __future__ import annotations

import io
import logging

import pytest

from blogauto_otel.instrumentation import logging as instrumentation
from tests.instrumentation.logging.conftest import Instrument


@pytest.fixture
def printed(fresh_logging: logging.Logger) -> io.StringIO:
    """What a handler of the application on the root logger writes."""
    stream = io.StringIO()
    fresh_logging.addHandler(logging.StreamHandler(stream))
    return stream


def levels() -> list[int]:
    loggers = [logging.getLogger(name) for name in ("", "shop", "shop.orders")]
    return [level for logger in loggers for level in (logger.level, logger.getEffectiveLevel())]


@pytest.mark.parametrize("console", ["off", "json"])
def test_no_level_changes(instrument: Instrument, console: str) -> None:
    before = levels()
    instrument(console=console, log_level="debug")
    logging.getLogger("shop").debug("exported")
    assert levels() == before
    instrumentation.uninstrument()
    assert levels() == before


def test_records_below_the_application_s_level_are_exported_and_not_handled(
    instrument: Instrument, printed: io.StringIO
) -> None:
    exported = instrument(log_level="info")
    for level in (logging.DEBUG, logging.INFO, logging.WARNING):
        logging.getLogger("shop").log(level, logging.getLevelName(level))
    logging.LoggerAdapter(logging.getLogger("shop"), {}).info("adapted")
    assert exported.bodies == ["INFO", "WARNING", "adapted"]
    assert printed.getvalue() == "WARNING\n"


def test_a_logger_s_own_handler_gets_nothing_below_its_level(instrument: Instrument, printed: io.StringIO) -> None:
    shop = logging.getLogger("shop")
    shop.addHandler(logging.StreamHandler(printed))
    shop.propagate = False
    exported = instrument(log_level="info")
    shop.info("low")
    assert exported.bodies == ["low"]
    assert not printed.getvalue()


def test_a_level_that_the_application_chose_stays(instrument: Instrument, printed: io.StringIO) -> None:
    logging.getLogger("quiet").setLevel(logging.WARNING)
    logging.getLogger("loud").setLevel(logging.INFO)
    exported = instrument(log_level="debug")
    logging.getLogger("quiet").info("not heard")
    logging.getLogger("loud.too").info("heard")
    logging.getLogger("loud").debug("not heard either")
    assert exported.bodies == ["heard"]
    assert printed.getvalue() == "heard\n"


def test_a_root_level_that_the_application_chose_later_is_obeyed(instrument: Instrument, printed: io.StringIO) -> None:
    exported = instrument(log_level="debug")
    logging.getLogger().setLevel(logging.ERROR)
    logging.getLogger("shop").warning("not heard")
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("shop").info("heard")
    assert exported.bodies == ["heard"]
    assert printed.getvalue() == "heard\n"


def test_logging_disable_is_obeyed(instrument: Instrument) -> None:
    exported = instrument(log_level="debug")
    logging.disable(logging.INFO)
    logging.getLogger("shop").info("not heard")
    logging.disable(logging.NOTSET)
    assert exported.bodies == []


def test_a_record_that_is_passed_to_a_logger_reaches_its_handlers_at_any_level(
    instrument: Instrument, printed: io.StringIO
) -> None:
    """As a listener does that takes records from other processes."""
    exported = instrument(log_level="info")
    made = logging.makeLogRecord({"name": "far", "levelno": logging.DEBUG, "levelname": "DEBUG", "msg": "handed over"})
    logging.getLogger("far").handle(made)
    assert printed.getvalue() == "handed over\n"
    assert exported.bodies == []


def test_a_handler_that_passes_a_copy_on_is_obeyed(instrument: Instrument, printed: io.StringIO) -> None:
    class PassOn(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logging.getLogger("elsewhere").handle(logging.makeLogRecord(record.__dict__))

    near = logging.getLogger("near")
    near.setLevel(logging.DEBUG)
    near.addHandler(PassOn())
    near.propagate = False
    instrument(log_level="info")
    near.info("passed on")
    assert printed.getvalue() == "passed on\n"


def test_our_own_line_is_printed_where_nothing_else_would_print_it(
    instrument: Instrument, fresh_logging: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh_logging.handlers.clear()
    fresh_logging.addHandler(logging.NullHandler())
    instrument(console="text", log_level="info")
    logging.getLogger("shop").info("paid")
    assert "shop: paid" in capsys.readouterr().err


def test_opentelemetry_s_own_lines_reach_the_application_s_handlers_in_full(
    instrument: Instrument, printed: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    exported = instrument(console="json")
    for number in range(50):
        logging.getLogger("opentelemetry.sdk.trace").warning("invalid type %d", number)
    assert len(printed.getvalue().splitlines()) == 50
    assert len(exported.bodies) == len(capsys.readouterr().err.splitlines()) == 10


def test_our_own_lines_are_limited_everywhere(instrument: Instrument, printed: io.StringIO) -> None:
    exported = instrument()
    for number in range(50):
        logging.getLogger("blogauto_otel").warning("again %d", number)
    assert len(printed.getvalue().splitlines()) == len(exported.bodies) == 10
