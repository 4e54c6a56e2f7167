"""A span that is not sampled has no processor: an exception remembers it when it is ended."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from opentelemetry.trace import NonRecordingSpan

from blogauto_otel._guard import guard
from blogauto_otel.api.failures import record_failure

_stock_end: Final[Callable[..., None]] = NonRecordingSpan.end


def _end(self: NonRecordingSpan, end_time: int | None = None) -> None:
    """In the place of `NonRecordingSpan.end`, which does nothing."""
    failure = sys.exc_info()[1]
    if isinstance(failure, Exception):
        with guard("remembering a span that is not sampled"):
            record_failure(failure, self.get_span_context())
    _stock_end(self, end_time)


def patch() -> None:
    """Change the class."""
    _set(_stock_end, _end)


def unpatch() -> None:
    """Put back what is still ours."""
    _set(_end, _stock_end)


def _set(old: Callable[..., None], new: Any) -> None:
    if NonRecordingSpan.end is old:
        NonRecordingSpan.end = new  # type: ignore[method-assign]
