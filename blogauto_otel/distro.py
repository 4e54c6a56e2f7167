"""The launcher's way in: `opentelemetry-instrument uvicorn main:app` ends in `configure()` as well."""

from __future__ import annotations

import logging
from typing import Any, Final

from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined] # it is not typed at all

import blogauto_otel
from blogauto_otel._guard import guard

# The launcher compares versions before it asks us, and reports a conflict as an error: "nothing can be instrumented".
LAUNCHER_LOG: Final = "opentelemetry.instrumentation.auto_instrumentation._load"


def _is_no_news(record: logging.LogRecord) -> bool:
    """False for its complaint about an instrumentor: our status line says what was done about the library."""
    return "can be instrumented" not in str(record.msg)


class BlogautoDistro(BaseDistro):  # type: ignore[misc]
    """First of the launcher's two entry points: it sees to it that nothing is instrumented twice."""

    def _configure(self, **_: Any) -> None:
        """Nothing to prepare: `BlogautoConfigurator` does it all, on the one path."""
        logging.getLogger(LAUNCHER_LOG).addFilter(_is_no_news)

    def load_instrumentor(self, entry_point: Any, **kwargs: Any) -> None:
        """Nothing: `configure()` has switched on what is to be on; its status line says what was skipped."""


class BlogautoConfigurator:
    """Second entry point: calls `configure()`.

    Not a subclass of the SDK's configurator, which takes no views, limits or shutdown control.
    """

    def configure(self, **_: Any) -> None:
        """Configure this process; never raises, as an exception here would end the launcher's whole chain."""
        with guard("configuring under the launcher"):
            blogauto_otel.configure()
