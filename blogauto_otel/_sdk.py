"""Imports the OpenTelemetry SDK without `psutil`, and in spite of a mistyped variable.

`opentelemetry.sdk.resources` imports `psutil`, which takes as long as half of the SDK, for one attribute of one
detector; and it handles its absence, but no other error of that import.
`opentelemetry.sdk.trace` reads one variable at import, and raises when its value is not a number.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from types import ModuleType
from typing import Any, Final

READ_AT_IMPORT: Final = "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"


class _LazyPsutil(ModuleType):
    """Stands in for `psutil` in the SDK, whose detector of processes is all that uses it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("psutil"), name)


def import_safely() -> None:
    """Import its resources; `psutil` is imported when the SDK first uses it, which costs and fails there only."""
    if "psutil" not in sys.modules:
        # None makes `import psutil` raise ImportError.
        sys.modules["psutil"] = _LazyPsutil("psutil") if _is_installed("psutil") else None  # type: ignore[assignment]
        try:
            import opentelemetry.sdk.resources  # noqa: F401
        finally:
            del sys.modules["psutil"]


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (Exception, SystemExit):  # noqa: BLE001 - whatever an import hook may raise
        return False


def import_tracing() -> Any:
    """The SDK's module of spans, which only objects of the application need.

    It is imported with the variable unset if its value is not a number; the settings report that value.
    """
    value = os.environ.get(READ_AT_IMPORT, "")
    is_hidden = value != "" and not value.strip().isdecimal()
    if is_hidden:
        del os.environ[READ_AT_IMPORT]
    try:
        return importlib.import_module("opentelemetry.sdk.trace")
    finally:
        if is_hidden:
            os.environ[READ_AT_IMPORT] = value


import_safely()
