"""The hook in `Logger.callHandlers`: each record passes the bridge, then the application's handlers.

A handler on the root logger would be removed by `dictConfig`, `fileConfig`, `basicConfig(force=True)` and
`handlers.clear()`, would get no records of uvicorn's and gunicorn's loggers, which do not propagate, and would make the
application's own `basicConfig` do nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from blogauto_otel import _process
from blogauto_otel._guard import swallow
from blogauto_otel.instrumentation import Context
from blogauto_otel.instrumentation.logging.bridge import Bridge, CurrentRecord, RecordCallback, on_record
from blogauto_otel.instrumentation.patching import count_as_logging

CallHandlers: TypeAlias = Callable[[logging.Logger, logging.LogRecord], None]


class _ThreadState(threading.local):
    """The record that this thread handles."""

    record: logging.LogRecord | None = None


_thread: Final = _ThreadState()


class _State:
    """The bridge that records pass, and the hook."""

    def __init__(self) -> None:
        self.bridge: Bridge | None = None
        self.hook: CallHandlers | None = None
        self.original: CallHandlers = logging.Logger.callHandlers

    def after_fork_in_child(self) -> None:
        """The child has a limit of lines of its own."""
        if self.bridge is not None:
            self.bridge.reset_limits()


_state: Final = _process.register(_State())


def _make_hook(original: CallHandlers) -> CallHandlers:
    state, thread, end = _state, _thread, _end

    def callHandlers(self: logging.Logger, record: logging.LogRecord) -> None:  # noqa: N802 - its name
        bridge, outer, current = state.bridge, thread.record, None
        if bridge is None or record is outer:  # a handler has passed the record to another logger
            original(self, record)
            return
        thread.record = record
        try:
            current = bridge.begin(self, record)
            if current is None or current.reaches_handlers:
                original(self, record)
        finally:
            thread.record = outer
            if current is not None:
                end(bridge, current, record)

    return count_as_logging(callHandlers)


def _end(bridge: Bridge, current: CurrentRecord, record: logging.LogRecord) -> None:
    try:
        bridge.end(current, record)
    except BaseException as error:
        if not swallow("finishing a log record", error):
            raise


def install(bridge: Bridge) -> None:
    """Pass every record through `bridge`."""
    _state.bridge = bridge
    if _state.hook is None or logging.Logger.callHandlers is not _state.hook:
        _state.original = logging.Logger.callHandlers
        _state.hook = _make_hook(_state.original)
        logging.Logger.callHandlers = _state.hook  # type: ignore[method-assign,assignment]


def uninstall() -> None:
    """Restore the method; under another library's wrapper ours stays and only calls the original."""
    bridge, _state.bridge = _state.bridge, None
    if bridge is not None and bridge.console is not None:
        bridge.console.restore_handlers()
    if _state.hook is not None and logging.Logger.callHandlers is _state.hook:
        logging.Logger.callHandlers = _state.original  # type: ignore[method-assign,assignment]


def is_active() -> bool:
    """Whether records pass a bridge."""
    return _state.bridge is not None


def is_handling() -> bool:
    """Whether this thread is handling a record."""
    return _thread.record is not None


def on_server_start() -> None:
    """Print as a server does: it has started an application in this process."""
    if _state.bridge is not None and _state.bridge.console is not None:
        _state.bridge.console.is_server = True


def watch_records(context: Context, callback: RecordCallback) -> None:
    """Call `callback` with every record, as `on_record` does, where nothing is exported or printed too."""
    on_record(callback)
    if _state.bridge is None:
        silent = replace(context, settings=replace(context.settings, console="off"))
        install(Bridge(silent, level=logging.NOTSET, exports=False))
