"""structlog and loguru: the line of code that joins each to the standard library's logging, and loguru's sink."""

from __future__ import annotations

import importlib.util
import logging
import sys
from typing import Any, Final

from blogauto_otel.instrumentation.logging import hook, levels

JOIN_LOGURU: Final = 'loguru.logger.add(blogauto_otel.instrumentation.logging.loguru_sink, format="{message}")'
JOIN_STRUCTLOG: Final = (
    "structlog.configure(processors=[structlog.contextvars.merge_contextvars, structlog.stdlib.render_to_log_kwargs], "
    "logger_factory=structlog.stdlib.LoggerFactory(), wrapper_class=structlog.stdlib.BoundLogger)"
)


def loguru_sink(message: Any) -> None:
    """Pass loguru's records to the standard library: `loguru.logger.add(loguru_sink, format="{message}")`.

    Their logger has the name of their module; `extra`, exception and loguru's level are kept. Remove loguru's own sink
    (`loguru.logger.remove(0)`) when the console is ours, or each line is printed twice. Records that came from the
    standard library, through an `InterceptHandler`, are not passed back.
    """
    if hook.is_handling():
        return
    source = message.record
    logger = logging.getLogger(source["name"] or "loguru")
    level = source["level"]
    if not logger.isEnabledFor(level.no):
        return
    error = source["exception"]
    info = (error.type, error.value, error.traceback) if error is not None else None
    record = logger.makeRecord(
        logger.name, level.no, source["file"].path, source["line"], source["message"], (), info, source["function"]
    )
    record.created = source["time"].timestamp()
    record.levelname = level.name
    record.extra = dict(source["extra"])
    levels.handle(logger, record)


def hints() -> tuple[str, ...]:
    """The line that makes the records of structlog or loguru exported, for each that is installed."""
    found = []
    if _is_installed("structlog") and not _is_structlog_joined():
        found.append(f"structlog joins with {JOIN_STRUCTLOG}")
    if _is_installed("loguru"):
        found.append(f"loguru joins with {JOIN_LOGURU}")
    return tuple(found)


def _is_installed(name: str) -> bool:
    try:
        return name in sys.modules or importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # half installed
        return False


def _is_structlog_joined() -> bool:
    """Whether structlog's loggers are the standard library's; if it is not imported, it is not configured either."""
    structlog = sys.modules.get("structlog")
    if structlog is None:
        return False
    try:
        factory = structlog.get_config()["logger_factory"]
    except Exception:  # noqa: BLE001 - another version's configuration
        return False
    return type(factory).__module__ == "structlog.stdlib" or factory is logging.getLogger
