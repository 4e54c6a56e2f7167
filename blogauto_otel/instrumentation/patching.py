"""When a library is imported: our part in it begins then, so that nobody pays for a library that nobody uses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

from blogauto_otel._guard import log_once


def when_imported(name: str, call: Callable[[ModuleType], object]) -> None:
    """Call with the module: now if it is imported, else right after it is.

    wrapt has the hook for that, and OpenTelemetry's instrumentation base brings wrapt. Without it, only what is
    imported already can be instrumented.
    """
    try:
        from wrapt import register_post_import_hook
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a package may raise when it is imported
        log_once("no import hooks", "wrapt does not import (%r): libraries imported later are not instrumented", error)
        module = sys.modules.get(name)
        if module is not None:
            call(module)
        return
    register_post_import_hook(call, name)
