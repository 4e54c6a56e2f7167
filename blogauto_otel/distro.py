"""The launcher's way in: `opentelemetry-instrument uvicorn main:app` ends in `configure()` as well."""

from __future__ import annotations

from typing import Any

from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined] # it is not typed at all

import blogauto_otel
from blogauto_otel._guard import guard


class BlogautoDistro(BaseDistro):  # type: ignore[misc]
    """First of the launcher's two entry points: it has nothing to prepare, and every instrumentor is already placed."""

    def _configure(self, **kwargs: Any) -> None:
        """Nothing: `BlogautoConfigurator` does it all, on the one path."""

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
