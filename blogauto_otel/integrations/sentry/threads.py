"""Threads that a request starts: their errors belong to its span, though its context does not follow them.

Only ids are kept, on the thread, so that nothing of a request lives as long as the thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Final, NamedTuple

from opentelemetry.trace import SpanContext, get_current_span

from blogauto_otel._guard import guard
from blogauto_otel._threads import signals_blocked

_ATTRIBUTE: Final = "_blogauto_otel_started_by"
# A thread that lives longer is no request's: drivers, schedulers and the like are started by the first that needs them.
MAX_LINKED_AGE: Final = 300.0
# Threads of pools work for everybody; what they do carries its own context.
_SENTRY: Final = ("sentry_sdk.",)
_POOLS: Final = ("concurrent.futures.", "anyio.", *_SENTRY)


class _Origin(NamedTuple):
    span: SpanContext
    when: float


_tell: Callable[[BaseException], None] | None = None
_before: dict[str, Callable[..., Any]] = {}  # what was there, by name; somebody may have wrapped ours since


def watch(tell: Callable[[BaseException], None]) -> None:
    """Note who starts threads, and call `tell` with the exception that ends one."""
    global _tell
    _tell = tell
    if "start" not in _before:
        _before["start"] = threading.Thread.start
        threading.Thread.start = _start  # type: ignore[method-assign]
    if "excepthook" not in _before:
        _before["excepthook"] = threading.excepthook
        threading.excepthook = _excepthook


def unwatch() -> None:
    """Put back what is still ours."""
    global _tell
    _tell = None
    if threading.Thread.start is _start:
        threading.Thread.start = _before.pop("start")  # type: ignore[method-assign]
    if threading.excepthook is _excepthook:
        threading.excepthook = _before.pop("excepthook")


def starting_span(*, has_failed: bool) -> SpanContext | None:
    """The span in which this thread was started, while it can be taken for a part of that work.

    Args:
        has_failed: the thread ends by the exception in question: then its age does not matter.
    """
    origin: _Origin | None = getattr(threading.current_thread(), _ATTRIBUTE, None)
    if origin is None or not (has_failed or time.monotonic() - origin.when < MAX_LINKED_AGE):
        return None
    return origin.span


def _start(self: threading.Thread) -> None:
    with guard("noting who starts a thread"):
        span = get_current_span().get_span_context()
        if _tell is not None and span.is_valid and not _is_of(self, _POOLS):
            setattr(self, _ATTRIBUTE, _Origin(span, time.monotonic()))
    # Sentry's own threads are started by whoever captures first, and receive no signals, like ours.
    with signals_blocked() if _is_of(self, _SENTRY) else nullcontext():
        _before["start"](self)


def _is_of(thread: threading.Thread, modules: tuple[str, ...]) -> bool:
    own = (type(thread).__module__, getattr(getattr(thread, "_target", None), "__module__", None))
    return any(str(module).startswith(modules) for module in own)


def _excepthook(args: Any) -> None:
    """In the place of `threading.excepthook`."""
    if _tell is not None and isinstance(args.exc_value, Exception):
        with guard("telling of a thread that failed"):
            _tell(args.exc_value)
    _before["excepthook"](args)
