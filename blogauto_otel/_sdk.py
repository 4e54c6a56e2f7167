"""The OpenTelemetry SDK, imported so that neither a broken neighbour of it nor a mistyped variable is the end.

`opentelemetry.sdk.resources` imports `psutil` and is prepared for its absence, but not for anything else it may raise.
`opentelemetry.sdk.trace` reads one variable as it is imported, and raises when that is no number.
"""

from __future__ import annotations

import os
import sys
from typing import Final

READ_AT_IMPORT: Final = "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"


def import_safely() -> None:
    """Import the SDK; a `psutil` that raises at import counts as absent meanwhile."""
    try:
        import psutil  # noqa: F401
    except (Exception, SystemExit):  # noqa: BLE001 - whatever a package may raise when it is imported
        sys.modules["psutil"] = None  # type: ignore[assignment] # to `import`, this says: not there
        try:
            import opentelemetry.sdk.resources  # noqa: F401
        finally:
            del sys.modules["psutil"]
    _import_tracing()


def _import_tracing() -> None:
    """A value that is no number counts as unset meanwhile; the settings complain of it."""
    value = os.environ.get(READ_AT_IMPORT, "")
    is_hidden = value != "" and not value.strip().isdecimal()
    if is_hidden:
        del os.environ[READ_AT_IMPORT]
    try:
        import opentelemetry.sdk.trace  # noqa: F401
    finally:
        if is_hidden:
            os.environ[READ_AT_IMPORT] = value


import_safely()
