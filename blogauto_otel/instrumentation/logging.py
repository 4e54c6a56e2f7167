"""Standard library log records: exported with their trace, however and whenever the application configures logging.

One method is hooked: `logging.Logger.callHandlers`, through which every record passes exactly once. A handler on the
root logger would be lost to `dictConfig`, `fileConfig`, `basicConfig(force=True)` or `handlers.clear()`, would see
nothing of the loggers of uvicorn and gunicorn, which do not propagate, and would keep the application's own
`basicConfig` from working.

structlog reaches us through its standard library integration as it is; loguru through one line:
`loguru.logger.add(loguru_sink, format="{message}")`.
"""

from __future__ import annotations

import logging
import logging.config
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

from opentelemetry._logs import Logger, SeverityNumber
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_current
from opentelemetry.semconv.attributes import code_attributes
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context

from blogauto_otel._guard import guard, swallow, tell
from blogauto_otel.delivery.signal import Signal
from blogauto_otel.instrumentation import Context, Report, State
from blogauto_otel.instrumentation.console import Console
from blogauto_otel.signals.failures import where_it_happened
from blogauto_otel.signals.records import EVENT_NAME, read

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
# What telemetry says of itself must neither flood the application's log nor feed itself.
OWN_LOGGERS: Final = ("opentelemetry", "blogauto_otel")
_OWN_PREFIXES: Final = tuple(f"{name}." for name in OWN_LOGGERS)
OWN_LINES_A_MINUTE: Final = 10
MAX_LOGGERS: Final = 1_000
MAX_NESTING: Final = 2  # a record emitted while one is exported is exported too; one emitted during that is not
_SUPPRESS_BY_NAME: Final = "suppress_instrumentation"  # the older of the two keys, still in use
_OTHER_SCOPE: Final = "_OTHER"
_LOGGER_NAME: Final = "logger.name"
_SEVERITY_TEXTS: Final = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_SEVERITIES: Final = tuple(SeverityNumber)
_LEVELS: Final[Mapping[str | None, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}


Watch: TypeAlias = Callable[[logging.LogRecord], "SpanContext | None"]


class _Thread(threading.local):
    """What this thread is doing with a record."""

    record: logging.LogRecord | None = None
    exporting = 0


_thread: Final = _Thread()


# --- exporting -------------------------------------------------------------------------------------------------------


class _Exporter:
    """Emits records through the logger provider; a failure costs the record, counted."""

    def __init__(self, context: Context, level: int) -> None:
        self._context = context
        self._level = level
        self._loggers: dict[str, Logger] = {}

    def export(self, record: logging.LogRecord, context: Any) -> None:
        if _thread.exporting >= MAX_NESTING:
            return
        _thread.exporting += 1
        try:
            if record.levelno >= self._level:
                self._emit(record, context)
        except BaseException as error:
            self._context.delivery.lost(Signal.LOGS, "translation")
            # At the end of the stack there is no room to tell it either.
            if not isinstance(error, RecursionError) and not swallow("exporting a log record", error):
                raise
        finally:
            _thread.exporting -= 1

    def _emit(self, record: logging.LogRecord, context: Any) -> None:
        body, attributes = read(record)
        attributes[code_attributes.CODE_FILE_PATH] = record.pathname
        attributes[code_attributes.CODE_FUNCTION_NAME] = record.funcName
        attributes[code_attributes.CODE_LINE_NUMBER] = record.lineno
        event = attributes.pop(EVENT_NAME, None) or attributes.pop("otel.event.name", None)
        self._logger(record.name, attributes).emit(
            timestamp=int(record.created * 1e9),
            context=context,
            severity_number=severity_of(record.levelno),
            severity_text=_SEVERITY_TEXTS.get(record.levelname, record.levelname),
            body=body,
            attributes=attributes,
            event_name=None if event is None else str(event),
        )

    def _logger(self, name: str, attributes: dict[str, Any]) -> Logger:
        """The scope is the logger's name; names made at run time end in one scope, because the SDK forgets none."""
        found = self._loggers.get(name)
        if found is not None:
            return found
        if len(self._loggers) < MAX_LOGGERS:
            return self._loggers.setdefault(name, self._context.logger_provider.get_logger(name))
        attributes[_LOGGER_NAME] = name
        return self._context.logger_provider.get_logger(_OTHER_SCOPE)


def severity_of(level: int) -> SeverityNumber:
    """`DEBUG` 5, `INFO` 9, `WARNING` 13, `ERROR` 17, `CRITICAL` 21; levels between them are up to three steps more."""
    if level < logging.DEBUG:
        return SeverityNumber.TRACE if level > 0 else SeverityNumber.UNSPECIFIED
    return _SEVERITIES[min(4 * (level // 10) + 1 + min(level % 10, 3), len(_SEVERITIES) - 1)]


class _Throttle:
    """Lets some lines a minute through, and says afterwards how many it did not."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = 0.0
        self._lines = 0

    def allows(self) -> bool:
        now = time.monotonic()
        if not self._began or now - self._began >= 60:
            withheld, self._began, self._lines = self._lines - OWN_LINES_A_MINUTE, now, 0
            if withheld > 0:
                tell(f"throttled {self._what}", "%d lines of %s were withheld", withheld, self._what)
        self._lines += 1
        return self._lines <= OWN_LINES_A_MINUTE


# --- the hook --------------------------------------------------------------------------------------------------------


class _Bridge:
    """Where every record passes: throttled when it is telemetry's own, exported, printed, handled."""

    def __init__(self, context: Context, *, exports: bool) -> None:
        settings = context.settings
        level = _LEVELS.get(settings.log_level, logging.NOTSET)
        self.exporter = _Exporter(context, level) if exports else None
        self.console = (
            Console(settings, level=level, redact=context.redactor, call_handlers=_stock_call_handlers)
            if settings.console != "off"
            else None
        )
        self.throttles = {name: _Throttle(name) for name in (*OWN_LOGGERS, "the exporters")}

    def pass_on(self, logger: logging.Logger, record: logging.LogRecord) -> None:
        info = getattr(record, "exc_info", None)
        error = info[1] if isinstance(info, tuple) and len(info) == 3 else None
        if error is None:
            self._pass_on(logger, record)
        else:
            with where_it_happened(error):
                self._pass_on(logger, record)

    def _pass_on(self, logger: logging.Logger, record: logging.LogRecord) -> None:
        try:
            is_withheld = self._tell(record)
        except BaseException as error:  # a record that somebody put together by hand may lack anything
            if not swallow("passing on a log record", error):
                raise
            is_withheld = False
        if is_withheld:
            return
        if self.console is not None:
            self.console.call_handlers(logger, record)
        else:
            _stock_call_handlers(logger, record)

    def _tell(self, record: logging.LogRecord) -> bool:
        """Export the record; True when it is one too many of telemetry's own."""
        context = get_current()
        suppressed = context and (context.get(_SUPPRESS_INSTRUMENTATION_KEY) or context.get(_SUPPRESS_BY_NAME))
        name = record.name or ""
        own = name in OWN_LOGGERS or name.startswith(_OWN_PREFIXES)
        if own and not self.throttles[name.partition(".")[0]].allows():
            return True
        if suppressed and not self.throttles["the exporters"].allows():
            return True
        if not own and not suppressed:
            context = _shown(record, context)
        if self.exporter is not None and not suppressed:
            self.exporter.export(record, context)
        return False


_active: _Bridge | None = None
_watching: Final[list[Watch]] = []
_stock_call_handlers: Final = logging.Logger.callHandlers
_stock_handle_existing: Final = getattr(logging.config, "_handle_existing_loggers", None)
_root_level_set: int | None = None


def _shown(record: logging.LogRecord, context: Any) -> Any:
    """Show the record to those who watch; the context it is to be exported with."""
    for watch in _watching:
        with guard("showing a log record"):
            place = watch(record)
            if place is not None:
                return set_span_in_context(NonRecordingSpan(place), context)
    return context


def _call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
    """In the place of `logging.Logger.callHandlers`."""
    bridge, outer = _active, _thread.record
    # The same record again is one that a handler passed on: it has been seen.
    if bridge is None or record is outer:
        _stock_call_handlers(self, record)
        return
    _thread.record = record
    try:
        bridge.pass_on(self, record)
    finally:
        _thread.record = outer


def _handle_existing(*args: Any, **kwargs: Any) -> None:
    """In the place of what `dictConfig` and `fileConfig` call to disable the loggers that they do not name."""
    if _stock_handle_existing is not None:
        _stock_handle_existing(*args, **kwargs)
    if _active is not None:
        _enable()


def _enable() -> None:
    for name in NEVER_DISABLED:
        logger = logging.Logger.manager.loggerDict.get(name)
        if isinstance(logger, logging.Logger):
            logger.disabled = False


def instrument(context: Context) -> Report:
    """Hook into the standard library's logging; again is the same with the new context."""
    uninstrument()
    settings = context.settings
    other = _other_exporter()
    bridge = _Bridge(context, exports=settings.logging and other is None)
    if bridge.exporter is None and bridge.console is None:
        return Report("logging", State.OFF, "by BLOGAUTO_OTEL_LOGGING and BLOGAUTO_OTEL_CONSOLE")
    _hook_in(bridge)
    if _stock_handle_existing is not None:
        logging.config._handle_existing_loggers = _handle_existing  # type: ignore[attr-defined]
    _enable()
    _let_through(_LEVELS.get(settings.log_level, logging.WARNING))
    _let_uvicorn_log_access()
    console = f"console {bridge.console.format}" if bridge.console else "console left alone"
    if other is not None:
        return Report("logging", State.SKIPPED, f"{other} exports already; {console}")
    return Report("logging", State.ON if settings.logging else State.OFF, console)


def watch_records(context: Context, watch: Watch) -> None:
    """Call `watch` with every record that is not telemetry's own, before it is exported, printed or handled.

    What it puts into the record's `__dict__` is exported with it, and the span that it returns, if it does, is the one
    that the record belongs to. It is called where nothing is exported as well.
    """
    if watch not in _watching:
        _watching.append(watch)
    if _active is None:
        _hook_in(_Bridge(replace(context, settings=replace(context.settings, console="off")), exports=False))


def unwatch_records(watch: Watch) -> None:
    """Call it no longer."""
    if watch in _watching:
        _watching.remove(watch)


def _hook_in(bridge: _Bridge) -> None:
    global _active
    _active = bridge
    logging.Logger.callHandlers = _call_handlers  # type: ignore[method-assign]


def uninstrument() -> None:
    """Give back what was hooked, as far as nobody has hooked in after us."""
    global _active, _root_level_set
    bridge, _active = _active, None
    if bridge is not None and bridge.console is not None:
        bridge.console.give_back()
    if logging.Logger.callHandlers is _call_handlers:
        logging.Logger.callHandlers = _stock_call_handlers  # type: ignore[method-assign]
    if getattr(logging.config, "_handle_existing_loggers", None) is _handle_existing:
        logging.config._handle_existing_loggers = _stock_handle_existing  # type: ignore[attr-defined]
    root = logging.getLogger()
    if _root_level_set is not None and root.level == _root_level_set:
        root.setLevel(logging.WARNING)
    _root_level_set = None


def after_fork_in_child() -> None:
    """The child has lines of its own to spend."""
    if _active is not None:
        _active.throttles = {name: _Throttle(name) for name in _active.throttles}


def _other_exporter() -> str | None:
    for handler in logging.getLogger().handlers:
        kind = type(handler)
        if kind.__name__ == "LoggingHandler" and kind.__module__.startswith("opentelemetry."):
            return f"{kind.__module__}.{kind.__name__}"
    return None


def _let_through(level: int) -> None:
    """Lower the root logger from its factory setting; a level that the application chose stays."""
    global _root_level_set
    root = logging.getLogger()
    if root.level == logging.WARNING and level < logging.WARNING:
        root.setLevel(level)
        _root_level_set = level


def _let_uvicorn_log_access() -> None:
    """Give its logger a handler: without any uvicorn writes no access lines (`--no-access-log` cuts the logger off)."""
    access = logging.getLogger("uvicorn.access")
    if access.propagate and not access.hasHandlers():
        access.addHandler(logging.NullHandler())


def loguru_sink(message: Any) -> None:
    """Pass loguru's records to the standard library: `loguru.logger.add(loguru_sink, format="{message}")`.

    They get there under the name of their module, with `extra`, exception, and loguru's level. Remove loguru's own sink
    (`loguru.logger.remove(0)`) when the console is ours, or each line is printed twice. Records that came from the
    standard library, through an `InterceptHandler`, are not passed back.
    """
    if _thread.record is not None:
        return
    given = message.record
    logger = logging.getLogger(given["name"] or "loguru")
    level = given["level"]
    if not logger.isEnabledFor(level.no):
        return
    error = given["exception"]
    info = (error.type, error.value, error.traceback) if error is not None else None
    record = logger.makeRecord(
        logger.name, level.no, given["file"].path, given["line"], given["message"], (), info, given["function"]
    )
    record.created = given["time"].timestamp()
    record.levelname = level.name
    record.extra = dict(given["extra"])
    logger.handle(record)
