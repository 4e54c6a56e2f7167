"""The output of the application's own formatters is redacted on the console, and keeps its format."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from rich.console import Console
from rich.logging import RichHandler

from blogauto_otel.instrumentation import logging as instrumentation
from tests.instrumentation.logging.conftest import Instrument

SECRET = "hunter2hunter2"


class TheirJson(logging.Formatter):
    """As JSON formatters are written: every attribute of the record is a field."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {"message": record.getMessage(), "password": getattr(record, "password", None), "args": record.args}
        if record.exc_info:
            fields["exc_info"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


class TheirAccess(logging.Formatter):
    """As formatters of access lines are written: they count on the number of arguments."""

    def format(self, record: logging.LogRecord) -> str:
        client, path, status = record.args  # type: ignore[misc]
        return f"{client} -> {path} = {status}"


def of_structlog() -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(processor=structlog.dev.ConsoleRenderer(colors=True))


@pytest.fixture(autouse=True)
def _structlog_as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def console_handler(formatter: logging.Formatter) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    return handler


def fail() -> None:
    try:
        raise ValueError(f"login with password={SECRET}")
    except ValueError:
        logging.getLogger("shop").exception("failed")


@pytest.mark.parametrize("make", [TheirJson, of_structlog], ids=["json", "structlog"])
def test_messages_arguments_extras_and_exceptions_are_printed_without_secrets(
    instrument: Instrument, capsys: pytest.CaptureFixture[str], make: Any
) -> None:
    console_handler(make())
    exported = instrument(console="auto")
    log = logging.getLogger("shop")
    log.warning("signing in with password=%s", SECRET)
    log.warning({"event": "paid", "password": SECRET})
    log.warning("extra", extra={"password": SECRET})
    log.warning("harmless %s", "words")
    fail()
    printed = capsys.readouterr().err
    assert SECRET not in printed
    for word in ("signing in", "extra", "harmless words", "failed", "ValueError"):
        assert word in printed
    assert exported.bodies[0] == f"signing in with password={SECRET}"  # as it goes to the exporter, which redacts
    if make is TheirJson:
        assert len([json.loads(line) for line in printed.splitlines() if line.startswith("{")]) == 5


def test_structlog_s_own_events_are_printed_without_secrets(
    instrument: Instrument, capsys: pytest.CaptureFixture[str]
) -> None:
    structlog.configure(
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    console_handler(of_structlog())
    instrument(console="auto")
    structlog.get_logger("shop").warning("paid", password=SECRET, site="a")
    try:
        raise ValueError(f"login with password={SECRET}")
    except ValueError:
        structlog.get_logger("shop").exception("failed")
    printed = capsys.readouterr().err
    assert SECRET not in printed
    assert "site" in printed
    assert "ValueError" in printed


def test_the_number_of_arguments_stays(instrument: Instrument, capsys: pytest.CaptureFixture[str]) -> None:
    console_handler(TheirAccess())
    instrument(console="auto")
    logging.getLogger("access").warning("%s %s %d", "127.0.0.1", f"/reset?token={SECRET}", 200)
    printed = capsys.readouterr().err
    assert printed.startswith("127.0.0.1 -> /reset?token=[redacted:")
    assert printed.endswith(" = 200\n")


def test_other_handlers_get_the_record_itself(instrument: Instrument, fresh_logging: logging.Logger) -> None:
    file = io.StringIO()
    console_handler(TheirJson())
    fresh_logging.addHandler(logging.StreamHandler(file))
    instrument(console="auto")
    logging.getLogger("shop").warning("password=%s", SECRET)
    assert file.getvalue() == f"password={SECRET}\n"  # a file of the application's is its own


def test_rich_prints_no_secrets_either(instrument: Instrument, fresh_logging: logging.Logger) -> None:
    shown = io.StringIO()
    fresh_logging.addHandler(RichHandler(console=Console(file=shown, width=200), rich_tracebacks=True))
    instrument(console="auto")
    logging.getLogger("shop").warning("password=%s", SECRET)
    fail()
    assert SECRET not in shown.getvalue()
    assert "ValueError" in shown.getvalue()


def test_local_variables_in_tracebacks_of_rich_are_named_at_start(
    instrument: Instrument, fresh_logging: logging.Logger
) -> None:
    fresh_logging.addHandler(RichHandler(rich_tracebacks=True, tracebacks_show_locals=True))
    exported = instrument(console="auto")
    assert exported.report is not None
    assert "not redacted: RichHandler prints local variables" in exported.report.detail


def test_with_redaction_off_nothing_is_changed(instrument: Instrument, capsys: pytest.CaptureFixture[str]) -> None:
    handler = console_handler(TheirJson())
    instrument(console="auto", redact=False)
    logging.getLogger("shop").warning("password=%s", SECRET)
    assert SECRET in capsys.readouterr().err
    assert not {"emit", "format"} & vars(handler).keys()


def test_uninstrument_restores_the_methods_of_a_handler(instrument: Instrument) -> None:
    handler = console_handler(TheirJson())
    before = dict(vars(handler))
    instrument(console="auto")
    logging.getLogger("shop").warning("one")
    assert {"emit", "format"} <= vars(handler).keys()
    instrumentation.uninstrument()
    assert vars(handler) == before


@pytest.mark.quiet_guard
def test_a_record_that_cannot_be_redacted_is_printed_without_its_text(
    instrument: Instrument, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    console_handler(TheirJson())
    exported = instrument(console="auto")

    def broken(*_: object) -> object:
        raise RuntimeError("no")

    monkeypatch.setattr(type(exported.context.redactor), "value", broken)
    logging.getLogger("shop").warning("password=%s", SECRET)
    printed = capsys.readouterr().err
    assert SECRET not in printed
    assert "[redacted:unreadable]" in printed
