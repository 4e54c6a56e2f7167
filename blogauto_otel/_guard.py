"""The guard: an error of ours is caught before it reaches the application, counted, and logged once."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from types import FrameType, TracebackType
from typing import Final, ParamSpec, TypeVar

from blogauto_otel import _messages
from blogauto_otel._class_names import class_name
from blogauto_otel._log_thread import LogThread

P = ParamSpec("P")
R = TypeVar("R")

logger: Final = logging.getLogger("blogauto_otel")

# Seconds until a message of the same key is logged again.
QUIET_SECONDS: Final = 60.0
MAX_KEYS: Final = 256

# Packages whose code runs between us and an object of the application: Ctrl-C may arrive in any line of them.
_CALLING_PACKAGES: Final = frozenset(
    {"blogauto_otel", "opentelemetry", "logging", "traceback", "linecache", "threading"}
)
# A greenlet that is killed gets its exception in the line of these packages where it waits.
_GREENLET_PACKAGES: Final = frozenset({"gevent", "greenlet", "eventlet"})


class _State:
    """Errors by guarded place, and when each message was logged; `_process` registers it."""

    def __init__(self) -> None:
        self.reraises = False
        self.log_thread = LogThread()
        self.reset()

    def reset(self) -> None:
        """Forget all, with fresh locks."""
        self.log_thread.reset()
        # Reentrant: a signal handler or a finalizer may fail, and log it, while its thread holds the lock.
        self.lock = threading.RLock()
        self.swallowed: dict[str, int] = {}
        self.logged_at: OrderedDict[str, float] = OrderedDict()

    def after_fork_in_child(self) -> None:
        """The same: the parent reports its own errors, and a thread of it may have held the lock."""
        self.reset()


state: Final = _State()


class guard:  # noqa: N801 - reads as a statement: `with guard("recording a request"):`
    """Swallow what the block raises, count it under `where`, and log it at most once a minute.

    Other exceptions (`KeyboardInterrupt`, `SystemExit`, `CancelledError`) are swallowed when an object of the
    application raised them, and pass otherwise: see `is_foreign`. The block must not await or yield.
    """

    __slots__ = ("where",)

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            return False
        return swallow(self.where, error)


def swallow(where: str, error: BaseException) -> bool:
    """Count and log an error of ours or of a foreign object; False when the caller must re-raise it."""
    if state.reraises or not is_foreign(error):
        return False
    with state.lock:
        state.swallowed.setdefault(where, 0)
        state.swallowed[where] += 1  # no call in between: a finalizer may fail at the same place
    log_once(
        f"swallowed {where} {class_name(type(error))}",
        "%s failed; the application is not affected, some telemetry may be missing",
        where,
        level=logging.WARNING,
        error=error,
    )
    return True


def is_foreign(error: BaseException) -> bool:
    """Whether code that we called raised `error`: any `Exception`, and of other exceptions those that it raised itself.

    `except BaseException` around a call of foreign code (`__str__`, a callback) asks this, and re-raises when it is
    False. A `SystemExit` out of a `__str__` is a defect of that object, and the application's call must survive it. The
    same exception out of a signal handler is meant for the process, and passes. The traceback shows which of the two it
    is: a signal handler is given the frame that it interrupts, which is the frame before its own. Ctrl-C without a
    handler of the application has no frame, so the line it arrives in counts: in our code it passes; inside the foreign
    object it looks like the object's own `raise`, and is swallowed, as the standard library's `traceback` does.
    """
    if isinstance(error, Exception):
        return True
    step, outer = error.__traceback__, None
    if step is None:
        return False
    while step is not None:
        if outer is not None and _has_as_argument(step.tb_frame, outer):
            return False
        outer, step = step.tb_frame, step.tb_next
    package = str(outer.f_globals.get("__name__")).partition(".")[0] if outer is not None else ""
    return package not in _GREENLET_PACKAGES and not (
        isinstance(error, KeyboardInterrupt) and package in _CALLING_PACKAGES
    )


def _has_as_argument(frame: FrameType, outer: FrameType) -> bool:
    """Whether `outer` is an argument of the function of `frame`, as the interrupted frame is of a signal handler."""
    for value in frame.f_locals.values():
        if value is outer or (type(value) is tuple and any(item is outer for item in value)):
            return True
    return False


def guarded(where: str, default: R) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function of ours that user code or a library calls: on error it returns `default`."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except BaseException as error:
                if not swallow(where, error):
                    raise
                return default

        return call

    return decorate


def log_once(
    key: str, message: str, *args: object, level: int = logging.WARNING, error: BaseException | None = None
) -> bool:
    """Log `message` unless one of the same `key` was logged within the last minute; False when it was not.

    A line of a thread of ours is logged in another one: a handler of the application may block (`_log_thread`).

    The message, and arguments that are texts of the table in `_messages`, are logged in the language of the log lines.

    Never raises: a broken handler or a closed stream of the application must not turn our message into its failure.
    """
    now = time.monotonic()
    with state.lock:
        logged_at = state.logged_at
        last = logged_at.get(key)
        if last is not None and now - last < QUIET_SECONDS:
            return False
        logged_at.pop(key, None)
        if len(logged_at) >= MAX_KEYS:
            logged_at.popitem(last=False)  # the oldest, in one step
        logged_at[key] = now
    return state.log_thread.run(lambda: _log(level, message, args, error))


def _log(level: int, message: str, args: Sequence[object], error: BaseException | None) -> bool:
    try:
        texts = (_messages.log_text(one) if isinstance(one, str) else one for one in args)
        logger.log(level, _messages.log_text(message), *texts, exc_info=error)
    except BaseException as broken:  # a handler of the application
        if not is_foreign(broken):
            raise
        return False
    return True


def wait_for_log_lines(seconds: float) -> None:
    """Wait until the lines of our threads are logged, at most so long: the process may be about to end."""
    state.log_thread.wait(seconds)


def set_level(level: str) -> None:
    """Set the least severity of the log lines of ours and of the OpenTelemetry SDK about themselves."""
    for name in ("blogauto_otel", "opentelemetry"):
        logging.getLogger(name).setLevel(_LEVELS[level])


# The severities of OTEL_LOG_LEVEL.
_LEVELS: Final[Mapping[str, int]] = {
    "trace": 5,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}


def swallowed() -> Mapping[str, int]:
    """How often each guarded place failed since the process started (a copy)."""
    with state.lock:
        return dict(state.swallowed)


def set_reraise(value: bool) -> None:
    """Make the guard re-raise (`True`), as the tests do, so that a swallowed error cannot hide."""
    state.reraises = value


def reset() -> None:
    """Forget what was counted and logged."""
    state.reset()
