"""OpenTelemetry API names whose place may change, imported in this one module; all others import them from here.

The SDK's logs are imported in `sdk/unstable.py`, because importing them costs what the SDK costs.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from importlib.metadata import EntryPoint
from typing import Any

from opentelemetry import _logs as logs_api
from opentelemetry._logs import (
    Logger,
    LoggerProvider,
    LogRecord,
    SeverityNumber,
    get_logger_provider,
    set_logger_provider,
)

__all__ = [
    "LogRecord",
    "Logger",
    "LoggerProvider",
    "SeverityNumber",
    "entry_points",
    "get_logger_provider",
    "logs_api",
    "set_logger_provider",
]


def entry_points(*, group: str, name: str | None = None) -> Iterable[EntryPoint]:
    """The entry points of a group; OpenTelemetry caches them for the process."""
    selection: dict[str, Any] = {"group": group} if name is None else {"group": group, "name": name}
    try:
        from opentelemetry.util._importlib_metadata import entry_points as cached
    except ImportError:
        cached = importlib.metadata.entry_points  # type: ignore[assignment]
    found: Any = cached(**selection)
    return tuple(found)
