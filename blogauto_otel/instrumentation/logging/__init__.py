"""Standard library log records: exported with their trace, however and whenever the application configures logging.

One method is hooked: `logging.Logger.callHandlers`, through which every record passes exactly once (decision 0031).
structlog and loguru reach it through the standard library; the status says which line joins them.
"""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Mapping
from typing import Any, Final

from blogauto_otel._guard import guard
from blogauto_otel.instrumentation import Context, Report, State
from blogauto_otel.instrumentation.logging import bridge, correlation, levels
from blogauto_otel.instrumentation.logging.bridge import Bridge, Watch, on_record, unwatch_records, watch_records
from blogauto_otel.instrumentation.logging.export import severity_of
from blogauto_otel.instrumentation.logging.libraries import hints, loguru_sink

__all__ = [
    "Watch",
    "after_fork_in_child",
    "instrument",
    "loguru_sink",
    "on_record",
    "severity_of",
    "uninstrument",
    "unwatch_records",
    "watch_records",
]

# Silenced by any `dictConfig` or `fileConfig` that keeps the default of `disable_existing_loggers`; nobody means these.
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

_stock_handle_existing: Final = getattr(logging.config, "_handle_existing_loggers", None)


def instrument(context: Context) -> Report:
    """Hook into the standard library's logging; again is the same with the new context."""
    uninstrument()
    settings = context.settings
    correlation.instrument(settings)
    other = _other_exporter()
    made = Bridge(
        context, level=_LEVELS.get(settings.log_level, logging.NOTSET), exports=settings.logging and not other
    )
    if made.exporter is None and made.console is None:
        return Report("logging", State.OFF, "by BLOGAUTO_OTEL_LOGGING and BLOGAUTO_OTEL_CONSOLE")
    bridge.hook_in(made)
    if _stock_handle_existing is not None:
        logging.config._handle_existing_loggers = _handle_existing  # type: ignore[attr-defined]
    _enable()
    levels.let_through(_LEVELS.get(settings.log_level, logging.WARNING))
    _let_uvicorn_log_access()
    with guard("looking for servers"):
        _watch_lifespans()
    detail = "; ".join((made.console.describe() if made.console else "console left alone", *hints()))
    if other is not None:
        return Report("logging", State.SKIPPED, f"{other} exports already; {detail}")
    return Report("logging", State.ON if settings.logging else State.OFF, detail)


def uninstrument() -> None:
    """Give back what was hooked, as far as nobody has hooked in after us."""
    bridge.unhook()
    correlation.uninstrument()
    levels.restore()
    if getattr(logging.config, "_handle_existing_loggers", None) is _handle_existing:
        logging.config._handle_existing_loggers = _stock_handle_existing  # type: ignore[attr-defined]


def after_fork_in_child() -> None:
    """The child has a limit of lines of its own."""
    bridge.after_fork_in_child()


def _handle_existing(*args: Any, **kwargs: Any) -> None:
    """In the place of what `dictConfig` and `fileConfig` call to disable the loggers that they do not name."""
    if _stock_handle_existing is not None:
        _stock_handle_existing(*args, **kwargs)
    if bridge.is_active():
        _enable()


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


def _let_uvicorn_log_access() -> None:
    """Give its logger a handler: without any uvicorn writes no access lines (`--no-access-log` cuts the logger off)."""
    access = logging.getLogger("uvicorn.access")
    if access.propagate and not access.hasHandlers():
        access.addHandler(logging.NullHandler())


def _watch_lifespans() -> None:
    """A server that starts an application decides where our lines go."""
    from blogauto_otel.instrumentation.server.hooks import on_lifespan_startup

    on_lifespan_startup(bridge.server_runs)
