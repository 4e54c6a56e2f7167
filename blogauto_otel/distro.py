"""The entry points of the launcher: `opentelemetry-instrument uvicorn main:app` calls `configure()`."""

from __future__ import annotations

import logging
from typing import Any, Final

from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined] # it is not typed at all

import blogauto_otel
from blogauto_otel._guard import guard

# The launcher compares versions before it calls us, and logs a conflict as an error.
LAUNCHER_LOG: Final = "opentelemetry.instrumentation.auto_instrumentation._load"


def _is_not_about_instrumentor(record: logging.LogRecord) -> bool:
    """False for its error about an instrumentor: our status line has the state of that library."""
    return "can be instrumented" not in str(record.msg)


class BlogautoDistro(BaseDistro):  # type: ignore[misc]
    """The first of the launcher's two entry points; it loads no instrumentor, so that nothing is instrumented twice."""

    def _configure(self, **_: Any) -> None:
        """Silence the launcher's version conflicts; `BlogautoConfigurator` does the rest."""
        logging.getLogger(LAUNCHER_LOG).addFilter(_is_not_about_instrumentor)

    def load_instrumentor(self, entry_point: Any, **kwargs: Any) -> None:
        """Do nothing: `configure()` has switched the instrumentations on, and its status line lists them."""


class BlogautoConfigurator:
    """The second entry point: calls `configure()`.

    It is not a subclass of the SDK's configurator, which has no views, limits or control of the shutdown.
    """

    def configure(self, **_: Any) -> None:
        """Configure this process; it never raises, because an exception would end the launcher."""
        with guard("configuring under the launcher"):
            blogauto_otel.configure()
