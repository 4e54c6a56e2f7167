"""Standard library log records: exported with their trace, however and whenever the application configures logging.

`logging.Logger.callHandlers` is wrapped, because every record passes it exactly once (docs/decisions/0031). Records of
structlog and loguru pass it when they are joined to the standard library; the status has the line that joins them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

from blogauto_otel._guard import guard
from blogauto_otel.instrumentation import Context, Report, State
from blogauto_otel.instrumentation.import_hooks import when_imported
from blogauto_otel.instrumentation.logging import correlation, hook, levels
from blogauto_otel.instrumentation.logging.bridge import Bridge, RecordCallback, on_record, unwatch_records
from blogauto_otel.instrumentation.logging.export import severity_of
from blogauto_otel.instrumentation.logging.hook import watch_records
from blogauto_otel.instrumentation.logging.libraries import hints, loguru_sink

__all__ = [
    "RecordCallback",
    "instrument",
    "loguru_sink",
    "on_record",
    "severity_of",
    "uninstrument",
    "unwatch_records",
    "watch_records",
]

# A `dictConfig` or `fileConfig` with the default of `disable_existing_loggers` disables these without intent.
NEVER_DISABLED: Final = (
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
    "uvicorn.asgi",
    "gunicorn.error",
    "gunicorn.access",
    "blogauto_otel",
)
_LEVELS: Final[Mapping[str | None, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}

_CONFIG: Final = "logging.config"
_HANDLE_EXISTING: Final = "_handle_existing_loggers"


def instrument(context: Context) -> Report:
    """Wrap the standard library's logging; a second call replaces the context."""
    uninstrument()
    settings = context.settings
    correlation.instrument(settings)
    other = _other_exporter()
    made = Bridge(
        context, level=_LEVELS.get(settings.log_level, logging.NOTSET), exports=settings.logging and not other
    )
    if made.exporter is None and made.console is None:
        return Report("logging", State.OFF, "by BLOGAUTO_OTEL_LOGGING and BLOGAUTO_OTEL_CONSOLE")
    hook.install(made)
    when_imported(_CONFIG, _keep_servers_enabled)
    _enable()
    levels.lower(_LEVELS.get(settings.log_level, logging.WARNING))
    _enable_access_log()
    with guard("looking for servers"):
        _watch_lifespans()
    detail = "; ".join((made.console.describe() if made.console else "console unchanged", *hints()))
    if other is not None:
        return Report("logging", State.SKIPPED, f"{other} exports already; {detail}")
    return Report("logging", State.ON if settings.logging else State.OFF, detail)


def uninstrument() -> None:
    """Restore what no other library has wrapped since."""
    hook.uninstall()
    correlation.uninstrument()
    levels.restore()
    config = sys.modules.get(_CONFIG)
    ours = getattr(config, _HANDLE_EXISTING, None)
    if isinstance(ours, _KeepingServers):
        setattr(config, _HANDLE_EXISTING, ours.original)


class _KeepingServers:
    """The function by which `dictConfig` and `fileConfig` disable the loggers that they do not name; not those."""

    def __init__(self, original: Callable[..., object]) -> None:
        self.original = original

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        self.original(*args, **kwargs)
        if hook.is_active():
            _enable()


def _keep_servers_enabled(config: ModuleType) -> None:
    original = getattr(config, _HANDLE_EXISTING, None)
    if hook.is_active() and original is not None and not isinstance(original, _KeepingServers):
        setattr(config, _HANDLE_EXISTING, _KeepingServers(original))


def _enable() -> None:
    for name in NEVER_DISABLED:
        logger = logging.Logger.manager.loggerDict.get(name)
        if isinstance(logger, logging.Logger):
            logger.disabled = False


def _other_exporter() -> str | None:
    for handler in logging.getLogger().handlers:
        kind = type(handler)
        if kind.__name__ == "LoggingHandler" and kind.__module__.startswith("opentelemetry."):
            return f"{kind.__module__}.{kind.__name__}"
    return None


def _enable_access_log() -> None:
    """Give uvicorn's access logger a handler, without which uvicorn logs no requests; `--no-access-log` is obeyed."""
    access = logging.getLogger("uvicorn.access")
    if access.propagate and not access.hasHandlers():
        access.addHandler(logging.NullHandler())


def _watch_lifespans() -> None:
    """The console prints to another stream when a server has started an application."""
    from blogauto_otel.instrumentation.server.hooks import on_lifespan_startup

    on_lifespan_startup(hook.on_server_start)
