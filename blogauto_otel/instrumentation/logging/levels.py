"""Levels: records below the application's level are exported, and its own handlers do not see them.

Only the factory level of the root logger is lowered, because nobody chose it; a level that the application set stays.
The root logger itself is not changed. `Logger.getEffectiveLevel` answers with the lower level where `isEnabledFor`
asks, which caches the answer, and with the application's level to everybody else.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from typing import Final

from blogauto_otel.instrumentation.frames import count_as_logging

FACTORY_LEVEL: Final = logging.WARNING  # of the root logger
_IS_ENABLED_FOR: Final = logging.Logger.isEnabledFor.__code__
_HANDLE: Final = logging.Handler.handle.__code__
_LOG: Final = "_log"  # `Logger._log`, and what overrides it
_MAX_FRAMES: Final = 12  # between a handler and the call that logs; wrappers of others stand there too

_lowest = FACTORY_LEVEL
_restore: Callable[[], None] | None = None


class _Thread(threading.local):
    """The record that this thread made for a logger after it asked whether the logger is enabled."""

    record: logging.LogRecord | None = None


_thread: Final = _Thread()


def let_through(level: int) -> None:
    """Let loggers at the factory level make records from `level` on."""
    global _lowest, _restore
    restore()
    if level >= FACTORY_LEVEL:
        return
    stock = logging.Logger.getEffectiveLevel
    hook = _make_hook(stock)
    logging.Logger.getEffectiveLevel = hook  # type: ignore[method-assign,assignment]

    def undo() -> None:
        if logging.Logger.getEffectiveLevel is hook:
            logging.Logger.getEffectiveLevel = stock  # type: ignore[method-assign]

    _lowest, _restore = level, undo
    _clear_cache()


def restore() -> None:
    """Give the standard library its own answer back; where somebody wrapped ours, ours passes theirs on."""
    global _lowest, _restore
    undo, _restore, _lowest = _restore, None, FACTORY_LEVEL
    if undo is not None:
        undo()
        _clear_cache()


def is_hidden(logger: logging.Logger, record: logging.LogRecord) -> bool:
    """Whether the record exists only because of `let_through`: handlers of the application do not get it.

    A record that somebody hands to `Logger.handle` is not one: the standard library asks for no level there.
    """
    level = record.levelno
    if level >= FACTORY_LEVEL or _lowest >= FACTORY_LEVEL or not _has_factory_level(logger):
        return False
    return record is _thread.record or _is_of_a_log_call()


def handle(logger: logging.Logger, record: logging.LogRecord) -> None:
    """`Logger.handle` for a record that was made because the logger is enabled for it, as a log call does."""
    outer, _thread.record = _thread.record, record
    try:
        logger.handle(record)
    finally:
        _thread.record = outer


def _make_hook(stock: Callable[[logging.Logger], int]) -> Callable[[logging.Logger], int]:
    getframe, asks, choose = sys._getframe, _IS_ENABLED_FOR, _choose

    def getEffectiveLevel(self: logging.Logger) -> int:  # noqa: N802 - the standard library's name
        level = stock(self)
        return choose(self, level) if getframe(1).f_code is asks else level

    return count_as_logging(getEffectiveLevel)


def _choose(logger: logging.Logger, level: int) -> int:
    return min(level, _lowest) if level == FACTORY_LEVEL and _has_factory_level(logger) else level


def _has_factory_level(logger: logging.Logger) -> bool:
    """Whether no logger on the way has a level of its own, and the root logger has the one it began with."""
    here: logging.Logger | None = logger
    while here is not None and not here.level:
        here = here.parent
    return here is not None and here.level == FACTORY_LEVEL and here is logger.root


def _is_of_a_log_call() -> bool:
    frame = sys._getframe(1)
    for _ in range(_MAX_FRAMES):
        if frame.f_code.co_name == _LOG:
            return True
        if frame.f_code is _HANDLE or frame.f_back is None:  # a handler passes the record on
            return False
        frame = frame.f_back
    return False


def _clear_cache() -> None:
    """Setting a level clears what `isEnabledFor` remembers of every logger."""
    root = logging.getLogger()
    root.setLevel(root.level)
