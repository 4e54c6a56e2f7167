"""Imported by each Python process below `blogauto-otel dev`: telemetry without a change to the application.

An application that calls `configure()` itself is configured by that call alone: it replaces this one. A Python without
`blogauto_otel`, such as that of a tool in an environment of its own, is left as it is.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

REPLACED_SECONDS = 1.0  # for what was recorded before the application's own call


def _import_the_next() -> None:
    """The `sitecustomize` that this one hides."""
    here = str(Path(__file__).parent)
    before, own = list(sys.path), sys.modules.pop("sitecustomize", None)
    sys.path[:] = [path for path in before if path != here]
    try:
        import sitecustomize  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ImportError:
        pass
    finally:
        sys.path[:] = before
        if own is not None:
            sys.modules.setdefault("sitecustomize", own)


def _configure() -> None:
    blogauto_otel: Any = import_module("blogauto_otel")  # the front door, which is above this layer
    reporter = import_module("blogauto_otel.inspector.reporting").Reporter()
    first = blogauto_otel.configure(**_name())
    reporter.report(first)
    original = blogauto_otel.configure

    def configure(**arguments: Any) -> Any:
        blogauto_otel.configure = original
        if not first.is_shut_down:
            first.shutdown(REPLACED_SECONDS)
        telemetry = original(**arguments)
        reporter.report(telemetry)
        return telemetry

    blogauto_otel.configure = configure


def _name() -> dict[str, Any]:
    """The name of the current folder, for an application that has none."""
    is_named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return {} if is_named else {"service_name": Path.cwd().name or "application"}


def _is_application() -> bool:
    """False for a process of `multiprocessing` that runs nothing of the application."""
    return not any("multiprocessing.resource_tracker" in argument for argument in sys.orig_argv)


_import_the_next()
try:
    if _is_application():
        _configure()
except ImportError:
    pass
