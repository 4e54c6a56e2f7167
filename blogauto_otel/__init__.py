"""OpenTelemetry for FastAPI and SQLAlchemy services: one call, three signals, and no risk to the application.

    import blogauto_otel

    telemetry = blogauto_otel.configure(service_name="blogauto-backend")

    blogauto_otel.metrics.business.keywords_analyzed.add(3)
    with blogauto_otel.operation("wordpress.publish", site="example.org"):
        ...
    blogauto_otel.bind(user_id="42")

Importing this package opens no file, starts no thread, patches nothing and imports no framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blogauto_otel.api import ai_call, bind, metrics, operation, unbind
from blogauto_otel.errors import BlogautoOtelError, ConfigurationError, MissingDependencyError
from blogauto_otel.hooks import Hooks

if TYPE_CHECKING:
    from blogauto_otel._configure import configure
    from blogauto_otel.config import Settings
    from blogauto_otel.telemetry import Status, Telemetry

__all__ = [
    "BlogautoOtelError",
    "ConfigurationError",
    "Hooks",
    "MissingDependencyError",
    "Settings",
    "Status",
    "Telemetry",
    "ai_call",
    "bind",
    "configure",
    "metrics",
    "operation",
    "unbind",
]

# The SDK is imported at the first use of one of these, so that importing this package is cheap.
_LAZY = {
    "Settings": "blogauto_otel.config",
    "Status": "blogauto_otel.telemetry",
    "Telemetry": "blogauto_otel.telemetry",
    "configure": "blogauto_otel._configure",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    try:
        importlib.import_module("blogauto_otel._sdk")
        value = getattr(importlib.import_module(_LAZY[name]), name)
    except Exception as error:
        if name != "configure":
            raise
        from blogauto_otel._noop import Unavailable

        value = Unavailable(error)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
