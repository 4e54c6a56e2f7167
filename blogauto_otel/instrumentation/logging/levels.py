"""Levels: records below the default level of the root logger are exported, and hidden from the application's handlers.

Only the default level is lowered; a level that the application has set stays. The root logger is not changed:
`Logger.getEffectiveLevel` returns the lower level to `isEnabledFor`, which caches it, and the original level to every
other caller.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from typing import Final

from blogauto_otel import _process
from blogauto_otel.instrumentation.patching import count_as_logging

DEFAULT_LEVEL: Final = logging.WARNING  # of the root logger
_IS_ENABLED_FOR: Final = logging.Logger.isEnabledFor.__code__
_HANDLE: Final = logging.Handler.handle.__code__
_LOG: Final = "_log"  # `Logger._log`, and what overrides it
_MAX_FRAMES: Final = 12  # between a handler and the log call, including those of other libraries' wrappers


class _State:
    """The level from which on records are made, and how to undo the wrapping."""

    level = DEFAULT_LEVEL
    undo: Callable[[], None] | None = None


_state: Final = _process.register(_State())


class _ThreadState(threading.local):
    """The record that this thread has created for a logger that is enabled for it."""

    record: logging.LogRecord | None = None


_thread: Final = _ThreadState()


def lower(level: int) -> None:
    """Make loggers with the default level create records from `level` on."""
    restore()
    if level >= DEFAULT_LEVEL:
        return
    original = logging.Logger.getEffectiveLevel
    hook = _make_hook(original)
    logging.Logger.getEffectiveLevel = hook  # type: ignore[method-assign,assignment]

    def undo() -> None:
        if logging.Logger.getEffectiveLevel is hook:
            logging.Logger.getEffectiveLevel = original  # type: ignore[method-assign]

    _state.level, _state.undo = level, undo
    _clear_cache()


def restore() -> None:
    """Restore the method; under another library's wrapper ours stays and only calls the original."""
    undo, _state.undo, _state.level = _state.undo, None, DEFAULT_LEVEL
    if undo is not None:
        undo()
        _clear_cache()


def is_hidden(logger: logging.Logger, record: logging.LogRecord) -> bool:
    """Whether the record exists only because of `lower`: handlers of the application do not get it.

    A record that is passed to `Logger.handle` is not hidden, because the standard library checks no level there.
    """
    level = record.levelno
    if level >= DEFAULT_LEVEL or _state.level >= DEFAULT_LEVEL or not _has_default_level(logger):
        return False
    return record is _thread.record or _comes_from_log_call()


def handle(logger: logging.Logger, record: logging.LogRecord) -> None:
    """`Logger.handle` for a record that was created because the logger is enabled for it, as by a log call."""
    outer, _thread.record = _thread.record, record
    try:
        logger.handle(record)
    finally:
        _thread.record = outer


def _make_hook(original: Callable[[logging.Logger], int]) -> Callable[[logging.Logger], int]:
    getframe, is_enabled_for, choose = sys._getframe, _IS_ENABLED_FOR, _choose

    def getEffectiveLevel(self: logging.Logger) -> int:  # noqa: N802 - the standard library's name
        level = original(self)
        return choose(self, level) if getframe(1).f_code is is_enabled_for else level

    return count_as_logging(getEffectiveLevel)


def _choose(logger: logging.Logger, level: int) -> int:
    return min(level, _state.level) if level == DEFAULT_LEVEL and _has_default_level(logger) else level


def _has_default_level(logger: logging.Logger) -> bool:
    """Whether neither the logger nor one above it has a level, and the root logger has the default."""
    here: logging.Logger | None = logger
    while here is not None and not here.level:
        here = here.parent
    return here is not None and here.level == DEFAULT_LEVEL and here is logger.root


def _comes_from_log_call() -> bool:
    frame = sys._getframe(1)
    for _ in range(_MAX_FRAMES):
        if frame.f_code.co_name == _LOG:
            return True
        if frame.f_code is _HANDLE or frame.f_back is None:  # a handler has passed the record to another logger
            return False
        frame = frame.f_back
    return False


def _clear_cache() -> None:
    """Setting a level clears the cache of `isEnabledFor` of every logger."""
    root = logging.getLogger()
    root.setLevel(root.level)
