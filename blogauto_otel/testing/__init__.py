"""For tests: capture the telemetry of a block, and the fixture `telemetry` of pytest.

    def test_a_wrong_password_is_one_refused_attempt(client):
        with capture_telemetry() as telemetry:
            client.post("/login", json=WRONG_PASSWORD)
        assert telemetry.points("blogauto.security.events") == {(("type", "auth_failure"),): 1}

Under pytest the fixture `telemetry` gives the same of the application's own configuration.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from blogauto_otel.testing.capture import Captured, capture_telemetry
    from blogauto_otel.testing.queries import Query

__all__ = ["Captured", "Query", "capture_telemetry"]

# Imported at their first use: pytest imports this package for its plugin in every run.
_LAZY: Final = {"Captured": "capture", "Query": "queries", "capture_telemetry": "capture"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
