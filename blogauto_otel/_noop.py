"""The replacement of `configure()` when the OpenTelemetry SDK cannot be imported: the application runs without it."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any

from blogauto_otel._guard import log_once
from blogauto_otel.config import load
from blogauto_otel.errors import ConfigurationError


class NoopTelemetry:
    """A handle without telemetry: every call succeeds and does nothing."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __enter__(self) -> NoopTelemetry:  # noqa: PYI034 - Self is not in typing before Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def force_flush(self, timeout: float = 5.0) -> bool:  # noqa: ARG002 - the signature of the real one
        """Nothing is queued."""
        return True

    def shutdown(self, timeout: float | None = None) -> bool:  # noqa: ARG002 - the signature of the real one
        """Nothing runs."""
        return True

    def status(self) -> str:
        """The reason why there is no telemetry."""
        return f"no telemetry: {self.reason}"


class Unavailable:
    """`configure` for a process whose SDK does not import."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __call__(self, *, strict: bool | None = None, **_: Any) -> NoopTelemetry:
        """Log the reason once; with `strict`, raise it.

        Raises:
            ConfigurationError: only with `strict`.
        """
        reason = f"the OpenTelemetry SDK does not import ({type(self._error).__name__}: {self._error})"
        if load(os.environ).settings.strict if strict is None else strict:
            raise ConfigurationError(reason) from self._error
        log_once("no sdk", "%s; the application runs without telemetry", reason, error=self._error)
        return NoopTelemetry(reason)
