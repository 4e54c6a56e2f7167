"""No configuration of logging, before or after ours, loses a record or doubles one."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from uvicorn.config import LOGGING_CONFIG

from blogauto_otel.instrumentation import logging as instrumentation
from tests.instrumentation.logging.conftest import Instrument

# As most applications have it: the default of `disable_existing_loggers` silences what it does not name.
TYPICAL: dict[str, Any] = {
    "version": 1,
    "formatters": {"plain": {"format": "%(asctime)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
NAMED_ONLY: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"null": {"class": "logging.NullHandler"}},
    "loggers": {"shop": {"handlers": ["null"], "level": "INFO", "propagate": False}},
}
INI = """
[loggers]
keys=root
[handlers]
keys=console
[formatters]
keys=plain
[logger_root]
level=INFO
handlers=console
[handler_console]
class=StreamHandler
formatter=plain
args=(sys.stderr,)
[formatter_plain]
format=%(message)s
"""


def by_dict_config() -> None:
    logging.config.dictConfig(TYPICAL)


def by_named_loggers_only() -> None:
    logging.config.dictConfig(NAMED_ONLY)


def by_file_config() -> None:
    path = Path("logging.ini")
    path.write_text(INI)
    logging.config.fileConfig(str(path))


def by_basic_config() -> None:
    logging.basicConfig(level=logging.INFO, force=True)


def by_clearing() -> None:
    logging.getLogger().handlers.clear()


def by_uvicorn() -> None:
    logging.config.dictConfig(LOGGING_CONFIG)


CONFIGURATIONS = [by_dict_config, by_named_loggers_only, by_file_config, by_basic_config, by_clearing, by_uvicorn]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("console", ["off", "json"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("configure_logging", CONFIGURATIONS)
def test_records_of_application_and_server_are_exported_once_each(
    instrument: Instrument, configure_logging: Callable[[], None], when: str, console: str
) -> None:
    servers = [logging.getLogger(name) for name in ("uvicorn.error", "uvicorn.access", "gunicorn.error")]
    if when == "before":
        configure_logging()
    exported = instrument(console=console)
    if when == "after":
        configure_logging()
    shop = logging.getLogger("shop")
    shop.info("sold")
    for server in servers:
        server.info("from %s", server.name)
    assert [body for body in exported.bodies if "console lines" not in body] == [
        "sold",
        "from uvicorn.error",
        "from uvicorn.access",
        "from gunicorn.error",
    ]


def test_a_name_imported_earlier_works_as_well(instrument: Instrument) -> None:
    from logging.config import dictConfig

    error = logging.getLogger("uvicorn.error")
    exported = instrument()
    dictConfig(TYPICAL)
    error.info("started")
    assert exported.bodies == ["started"]


def test_an_application_s_logger_that_its_configuration_disables_stays_disabled(instrument: Instrument) -> None:
    shop = logging.getLogger("shop")
    exported = instrument()
    logging.config.dictConfig(TYPICAL)
    shop.error("unheard, as the application has it")
    assert exported.bodies == []


def test_uninstrumented_configuring_is_the_standard_library_s_again(instrument: Instrument) -> None:
    error = logging.getLogger("uvicorn.error")
    instrument()
    instrumentation.uninstrument()
    logging.config.dictConfig(TYPICAL)
    assert error.disabled


def test_uvicorn_writes_access_lines_even_without_a_logging_configuration(
    instrument: Instrument, fresh_logging: logging.Logger
) -> None:
    fresh_logging.handlers.clear()
    instrument()
    assert logging.getLogger("uvicorn.access").hasHandlers()


def test_no_access_log_stays_no_access_log(instrument: Instrument) -> None:
    access = logging.getLogger("uvicorn.access")
    access.handlers, access.propagate = [], False  # what `uvicorn --no-access-log` does
    instrument()
    assert not access.hasHandlers()


def test_another_librarys_hook_around_ours_keeps_working(
    instrument: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = instrument()
    ours = logging.Logger.callHandlers
    seen: list[str] = []

    def theirs(self: logging.Logger, record: logging.LogRecord) -> None:
        seen.append(record.getMessage())
        ours(self, record)

    monkeypatch.setattr(logging.Logger, "callHandlers", theirs)
    logging.getLogger("shop").info("both")
    instrumentation.uninstrument()
    logging.getLogger("shop").info("theirs alone") if logging.getLogger("shop").isEnabledFor(logging.INFO) else None
    logging.getLogger("shop").warning("theirs alone")
    assert logging.Logger.callHandlers is theirs
    assert seen == ["both", "theirs alone"]
    assert exported.bodies == ["both"]
