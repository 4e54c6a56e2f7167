"""Imports the OpenTelemetry SDK in spite of a broken `psutil` or a mistyped variable.

`opentelemetry.sdk.resources` imports `psutil` and handles its absence, but no other error of that import.
`opentelemetry.sdk.trace` reads one variable at import, and raises when its value is not a number.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, Final

READ_AT_IMPORT: Final = "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"


def import_safely() -> None:
    """Import its resources; meanwhile, a `psutil` that raises at import counts as absent."""
    try:
        import psutil  # noqa: F401
    except (Exception, SystemExit):  # noqa: BLE001 - whatever a package may raise when it is imported
        sys.modules["psutil"] = None  # type: ignore[assignment] # makes `import psutil` raise ImportError
        try:
            import opentelemetry.sdk.resources  # noqa: F401
        finally:
            del sys.modules["psutil"]


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
