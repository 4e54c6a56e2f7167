"""The OpenTelemetry SDK, imported so that a broken neighbour of it is not the end.

`opentelemetry.sdk.resources` imports `psutil` and is prepared for its absence, but not for anything else it may raise.
"""

from __future__ import annotations

import sys


def import_safely() -> None:
    """Import the SDK; a `psutil` that raises at import counts as absent meanwhile."""
    try:
        import psutil  # noqa: F401
    except Exception:  # noqa: BLE001 - whatever a package may raise when it is imported
        sys.modules["psutil"] = None  # type: ignore[assignment] # to `import`, this says: not there
        try:
            import opentelemetry.sdk.resources  # noqa: F401
        finally:
            del sys.modules["psutil"]


import_safely()
