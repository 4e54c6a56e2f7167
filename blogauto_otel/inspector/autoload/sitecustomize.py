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

REPLACED_SECONDS = 1.0  # to send what was recorded before a call that comes after the application has started


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
    """Configure now, and send nothing until it is known that the application does not do it: it is one instance."""
    blogauto_otel: Any = import_module("blogauto_otel")  # the front door, which is above this layer
    provisional: Any = import_module("blogauto_otel._configure")
    reporter = import_module("blogauto_otel.inspector.reporting").Reporter()
    provisional.hold_next()
    first = blogauto_otel.configure(**_name())

    def replaced(telemetry: Any) -> None:
        reporter.report(telemetry)
        first._end_delivery(REPLACED_SECONDS)

    provisional.make_provisional(replaced)
    reporter.report(first, is_provisional=True)


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
