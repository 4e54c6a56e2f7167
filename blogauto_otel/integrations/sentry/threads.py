"""Threads that a request starts: their errors belong to its span, though its context does not follow them.

Only ids are kept on the thread, so that no request lives as long as a thread.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Final, NamedTuple

from opentelemetry.trace import SpanContext, get_current_span

from blogauto_otel import _process
from blogauto_otel._guard import guard
from blogauto_otel._threads import signals_blocked

_ATTRIBUTE: Final = "_blogauto_otel_origin"
# An older thread belongs to no request: drivers and schedulers start theirs in the first request that needs them.
MAX_LINKED_AGE: Final = 300.0  # seconds
_SENTRY: Final = ("sentry_sdk.",)
# Threads of pools work for every request, and their work carries its own context.
_POOLS: Final = ("concurrent.futures.", "anyio.", *_SENTRY)


class _Origin(NamedTuple):
    span: SpanContext
    started_at: float


class _State:
    """The function to call, and the originals by name; another library may have wrapped ours since."""

    on_error: Callable[[BaseException], None] | None = None

    def __init__(self) -> None:
        self.originals: dict[str, Callable[..., Any]] = {}


_state: Final = _process.register(_State())


def patch(on_error: Callable[[BaseException], None]) -> None:
    """Remember the span that starts a thread, and call `on_error` with the exception that ends one."""
    _state.on_error = on_error
    if "start" not in _state.originals:
        _state.originals["start"] = threading.Thread.start
        threading.Thread.start = _start  # type: ignore[method-assign]
    if "excepthook" not in _state.originals:
        _state.originals["excepthook"] = threading.excepthook
        threading.excepthook = _excepthook


def unpatch() -> None:
    """Restore what no other library has wrapped."""
    _state.on_error = None
    if threading.Thread.start is _start:
        threading.Thread.start = _state.originals.pop("start")  # type: ignore[method-assign]
    if threading.excepthook is _excepthook:
        threading.excepthook = _state.originals.pop("excepthook")


def starting_span(*, has_failed: bool) -> SpanContext | None:
    """The span in which the current thread was started, while the thread may be part of that span's work.

    Args:
        has_failed: an exception ends the thread, so its age does not matter.
    """
    origin: _Origin | None = getattr(threading.current_thread(), _ATTRIBUTE, None)
    if origin is None or not (has_failed or time.monotonic() - origin.started_at < MAX_LINKED_AGE):
        return None
    return origin.span


@functools.wraps(threading.Thread.start)
def _start(self: threading.Thread) -> None:
    with guard("remembering the span that starts a thread"):
        span = get_current_span().get_span_context()
        if _state.on_error is not None and span.is_valid and not _is_of(self, _POOLS):
            setattr(self, _ATTRIBUTE, _Origin(span, time.monotonic()))
    # Sentry's own threads are started by the thread that captures first; like ours, they receive no signals.
    with signals_blocked() if _is_of(self, _SENTRY) else nullcontext():
        _state.originals["start"](self)


def _is_of(thread: threading.Thread, modules: tuple[str, ...]) -> bool:
    own = (type(thread).__module__, getattr(getattr(thread, "_target", None), "__module__", None))
    return any(str(module).startswith(modules) for module in own)


def _excepthook(args: Any) -> None:
    """Replaces `threading.excepthook`."""
    if _state.on_error is not None and isinstance(args.exc_value, Exception):
        with guard("capturing a failed thread"):
            _state.on_error(args.exc_value)
    _state.originals["excepthook"](args)
