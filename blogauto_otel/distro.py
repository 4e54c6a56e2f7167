"""The launcher's way in: `opentelemetry-instrument uvicorn main:app` calls the same composition root as `configure()`."""

from __future__ import annotations

from typing import Any

from opentelemetry.instrumentation.distro import BaseDistro

from blogauto_otel import _configure
from blogauto_otel._guard import guard


class BlogautoDistro(BaseDistro):  # type: ignore[misc] # the launcher's package is not typed
    """First of the launcher's two entry points: it has nothing to prepare, and every instrumentor is already placed."""

    def _configure(self, **kwargs: Any) -> None:
        """Nothing: `BlogautoConfigurator` does it all, on the one path."""

    def load_instrumentor(self, entry_point: Any, **kwargs: Any) -> None:
        """Nothing: `configure()` switched the instrumentors on, and skipped those that would double ours (see the status line)."""


class BlogautoConfigurator:
    """Second entry point: calls `configure()`.

    Not a subclass of the SDK's configurator, which takes no views, limits or shutdown control.
    """

    def configure(self, **kwargs: Any) -> None:
        """Configure this process; never raises, as an exception here would end the launcher's whole chain."""
        with guard("configuring under the launcher"):
            _configure.configure()

