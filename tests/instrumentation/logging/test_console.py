"""One line per record, in our format, on the stream that the application or a setting chose."""

from __future__ import annotations

import io
import json
import logging
import logging.handlers
import queue
import subprocess
import sys
from typing import Any

import pytest

from blogauto_otel.instrumentation import logging as instrumentation
from tests.instrumentation.logging.conftest import Instrument


class Terminal:
    """What the process printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._out = self._err = ""

    def _read(self) -> None:
        out, err = self._capsys.readouterr()
        self._out += out
        self._err += err

    @property
    def stdout(self) -> list[str]:
        self._read()
        return self._out.splitlines()

    @property
    def lines(self) -> list[str]:
        self._read()
        return self._err.splitlines()

    @property
    def messages(self) -> list[str]:
        return [json.loads(line)["message"] for line in self.lines]


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


def test_without_handlers_of_the_application_each_record_is_a_line(
    instrument: Instrument, terminal: Terminal, fresh_logging: logging.Logger
) -> None:
    fresh_logging.handlers.clear()  # pytest's, that nothing prints at all
    instrument(console="json")
    logging.getLogger("shop").info("one")
    logging.getLogger("shop").warning("two")
    assert terminal.messages == ["one", "two"]  # the standard library's last resort does not print the warning again
    assert terminal.stdout == []


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        ({"console": "auto", "environment": "production"}, "{"),
        ({"console": "json"}, "{"),
        ({"console": "auto", "environment": "development"}, "0123456789"),
        ({"console": "text", "environment": "production"}, "0123456789"),
    ],
    ids=str,
)
def test_production_prints_json_and_development_text_by_default(
    instrument: Instrument, terminal: Terminal, settings: dict[str, str], first: str
) -> None:
    instrument(**settings)
    logging.getLogger("shop").info("one")
    (line,) = terminal.lines
    assert line[0] in first


def test_off_does_not_change_the_application_s_handlers(
    instrument: Instrument, terminal: Terminal, fresh_logging: logging.Logger
) -> None:
    fresh_logging.addHandler(logging.StreamHandler(sys.stderr))
    exported = instrument(console="off")
    logging.getLogger("shop").info("below the application's level")
    logging.getLogger("shop").warning("as before")
    assert terminal.stdout == []
    assert terminal.lines == ["as before"]
    assert exported.bodies == ["below the application's level", "as before"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_basic_config_works_before_and_after_and_prints_no_line_twice(
    instrument: Instrument, terminal: Terminal, fresh_logging: logging.Logger, when: str
) -> None:
    fresh_logging.handlers.clear()
    if when == "before":
        logging.basicConfig(level=logging.INFO, format="MINE %(message)s")
    instrument(console="json")
    logging.getLogger("shop").info("early")
    if when == "after":
        logging.basicConfig(level=logging.INFO, format="MINE %(message)s")
    logging.getLogger("shop").info("late")
    assert terminal.messages == ["early", "late"]
    assert terminal.stdout == []
    assert len(fresh_logging.handlers) == 1


def test_basic_config_into_a_file_still_works_after(
    instrument: Instrument, terminal: Terminal, fresh_logging: logging.Logger, tmp_path: Any
) -> None:
    fresh_logging.handlers.clear()
    instrument(console="json")
    logging.getLogger("shop").info("early")
    logging.basicConfig(filename=tmp_path / "app.log", format="MINE %(message)s", force=True)
    logging.getLogger("shop").warning("late")
    logging.getLogger("shop").info("below the level of the file")
    assert (tmp_path / "app.log").read_text() == "MINE late\n"
    assert terminal.messages == ["early", "late", "below the level of the file"]
    logging.basicConfig(force=True, handlers=[logging.NullHandler()])


def test_the_application_s_console_handler_decides_what_is_printed(
    instrument: Instrument, terminal: Terminal, fresh_logging: logging.Logger
) -> None:
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.addFilter(lambda record: "noise" not in record.getMessage())
    fresh_logging.addHandler(handler)
    exported = instrument(console="json")
    for message in ("quiet", "noise"):
        logging.getLogger("shop").info(message)
    for message in ("noise", "loud"):
        logging.getLogger("shop").warning(message)
    assert terminal.messages == ["loud"]
    assert exported.bodies == ["quiet", "noise", "noise", "loud"]


def test_several_handlers_of_one_stream_print_one_line_and_each_stream_has_its_own(
    instrument: Instrument, terminal: Terminal, fresh_logging: logging.Logger
) -> None:
    fresh_logging.addHandler(logging.StreamHandler(sys.stdout))
    logging.getLogger("shop").addHandler(logging.StreamHandler(sys.stderr))
    logging.getLogger("shop.orders").addHandler(logging.StreamHandler(sys.stderr))
    instrument(console="json")
    logging.getLogger("shop.orders").warning("one")
    logging.getLogger("other").warning("two")
    assert terminal.messages == ["one"]
    assert [json.loads(line)["message"] for line in terminal.stdout] == ["one", "two"]


def test_a_logger_that_is_kept_off_the_console_stays_off_it(instrument: Instrument, terminal: Terminal) -> None:
    audit = logging.getLogger("audit")
    audit.propagate = False
    audit.addHandler(logging.NullHandler())
    exported = instrument(console="json")
    audit.info("to the file only")
    assert terminal.lines == []
    assert exported.bodies == ["to the file only"]


def test_a_file_handler_keeps_its_format_and_the_line_is_ours(
    instrument: Instrument, terminal: Terminal, fresh_logging: logging.Logger
) -> None:
    file = io.StringIO()
    handler = logging.StreamHandler(file)
    handler.setFormatter(logging.Formatter("FILE %(message)s"))
    fresh_logging.addHandler(handler)
    instrument(console="json")
    logging.getLogger("shop").warning("one")
    assert file.getvalue() == "FILE one\n"
    assert terminal.messages == ["one"]


class TheirFormatter(logging.Formatter):
    """A formatter class of the application."""

    def format(self, record: logging.LogRecord) -> str:
        return f"THEIRS {record.getMessage()}"


def test_auto_keeps_a_formatter_of_the_application_and_logs_how_to_replace_it(
    instrument: Instrument, terminal: Terminal, fresh_logging: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(TheirFormatter())
    fresh_logging.addHandler(handler)
    caplog.set_level(logging.INFO)
    instrument(console="auto", environment="production")
    logging.getLogger("shop").info("one")
    assert terminal.stdout == []
    assert "THEIRS one" in terminal.lines
    assert "BLOGAUTO_OTEL_CONSOLE=json replaces it" in caplog.text
    instrument(console="json")
    logging.getLogger("shop").info("two")
    assert json.loads(terminal.lines[-1])["message"] == "two"


def test_handlers_that_forward_records_are_logged_once_as_not_redacted(
    instrument: Instrument, terminal: Terminal, fresh_logging: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    waiting: queue.Queue[Any] = queue.Queue()
    handler = logging.handlers.QueueHandler(waiting)
    handler.addFilter(lambda record: record.name == "shop")
    fresh_logging.addHandler(handler)
    exported = instrument(console="json")
    for message in ("one", "two"):
        logging.getLogger("shop").warning(message)
    assert terminal.lines == terminal.stdout == []
    assert [waiting.get_nowait().getMessage() for _ in range(2)] == ["one", "two"]
    assert exported.report is not None
    assert "not redacted: QueueHandler forwards records" in exported.report.detail
    assert caplog.text.count("console lines are not redacted: QueueHandler forwards records") == 1


def test_uninstrument_restores_the_handlers(
    instrument: Instrument, terminal: Terminal, fresh_logging: logging.Logger
) -> None:
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("MINE %(message)s")
    handler.setFormatter(formatter)
    fresh_logging.addHandler(handler)
    instrument(console="json")
    logging.getLogger("shop").warning("one")
    assert terminal.messages == ["one"]
    assert handler.stream is sys.stderr
    instrumentation.uninstrument()
    assert (handler.stream, handler.formatter, handler.filters) == (sys.stderr, formatter, [])


@pytest.mark.parametrize("whose", ["ours", "the application's"])
def test_where_stdout_is_full_the_line_goes_to_stderr(
    instrument: Instrument, monkeypatch: pytest.MonkeyPatch, fresh_logging: logging.Logger, whose: str
) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("no space left on device")

    monkeypatch.setattr(sys, "stderr", io.StringIO())
    fresh_logging.handlers.clear()
    if whose != "ours":
        fresh_logging.addHandler(logging.StreamHandler(Full()))
        monkeypatch.setattr(sys, "stdout", fresh_logging.handlers[0].stream)  # type: ignore[attr-defined]
    else:
        monkeypatch.setattr(sys, "stdout", Full())
    instrument(console="json", console_stream="stdout")
    logging.getLogger("shop").warning("password=%s", "c4n4ry")
    assert isinstance(sys.stderr, io.StringIO)
    [line] = sys.stderr.getvalue().splitlines()
    assert json.loads(line)["message"] == "password=[redacted:password]"


@pytest.mark.parametrize("stderr", ["open", "closed"])
@pytest.mark.parametrize("stdout", [None, "closed"])
def test_without_a_standard_output_logging_goes_on(
    instrument: Instrument,
    monkeypatch: pytest.MonkeyPatch,
    stdout: str | None,
    stderr: str,
    fresh_logging: logging.Logger,
) -> None:
    fresh_logging.handlers.clear()
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", None if stdout is None else closed)
    monkeypatch.setattr(sys, "stderr", closed if stderr == "closed" else io.StringIO())
    exported = instrument(console="json")
    logging.getLogger("shop").warning("one")
    assert exported.bodies == ["one"]


@pytest.mark.quiet_guard
def test_a_handler_whose_stream_cannot_be_read_is_only_called(
    instrument: Instrument, terminal: Terminal, fresh_logging: logging.Logger
) -> None:
    class Odd(logging.StreamHandler):  # type: ignore[type-arg]
        seen = 0

        @property
        def stream(self) -> Any:
            raise RuntimeError("not for you")

        @stream.setter
        def stream(self, value: Any) -> None:
            pass

        def emit(self, record: logging.LogRecord) -> None:
            Odd.seen += record.name == "shop"

    fresh_logging.addHandler(Odd())
    instrument(console="json")
    logging.getLogger("shop").warning("one")
    assert Odd.seen == 1


WRAPPED = """
import logging

stock, seen = logging.Logger.callHandlers, []


def wrapper(logger, record):
    seen.append(record.getMessage())
    return stock(logger, record)


logging.Logger.callHandlers = wrapper  # as sentry_sdk and others do

import blogauto_otel

nowhere = dict.fromkeys(("traces_exporter", "metrics_exporter", "logs_exporter"), "none")
blogauto_otel.configure(console="text", log_level="warning", **nowhere)
logging.getLogger("shop").warning("no handler anywhere")
assert seen[-1] == "no handler anywhere", seen
"""


def test_an_earlier_wrapper_of_call_handlers_gets_records_without_a_handler() -> None:
    done = subprocess.run([sys.executable, "-c", WRAPPED], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("no handler anywhere") == 1  # the standard library's last resort has nothing to add
    assert done.stdout == ""
