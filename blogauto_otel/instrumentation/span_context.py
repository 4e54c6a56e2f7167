"""What a span takes from its context when it starts, and what the exception that ends it remembers of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context, create_key, get_current
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode

from blogauto_otel._guard import guard, swallow
from blogauto_otel.api.context import bound
from blogauto_otel.api.failures import record_failure
from blogauto_otel.sdk.span_processors import SpanProcessor

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, Span

# Under this key a context without a span has the context of the span that a new trace is linked to.
LINK: Final = create_key("blogauto_otel.link")


class BoundContextProcessor(SpanProcessor):
    """Puts bound context and links on spans when they start; it can be disabled, but not be removed from a provider."""

    def __init__(self) -> None:
        self.enabled = True

    def values(self) -> Mapping[str, Any]:
        """What `on_start` puts on a span that has a parent."""
        return bound() if self.enabled else {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Costs two look-ups when nothing is bound."""
        try:
            values = bound()
            if values and self.enabled:
                span.set_attributes(values)
            if span.parent is None and self.enabled:
                linked = (get_current() if parent_context is None else parent_context).get(LINK)
                if isinstance(linked, SpanContext):
                    span.add_link(linked)
        except BaseException as error:
            if not swallow("putting bound context on a span", error):
                raise

    def on_end(self, span: ReadableSpan) -> None:
        """A span that an exception ends is ended while that exception is handled, which remembers the span."""
        failure = sys.exc_info()[1]
        if failure is None or span.status.status_code is not StatusCode.ERROR or not isinstance(failure, Exception):
            return
        try:
            if self.enabled and span.context is not None:
                record_failure(failure, span.context)
        except BaseException as error:
            if not swallow("remembering a failed span", error):
                raise


# --- spans that are not sampled, for which no processor is called

_stock_end: Final[Callable[..., None]] = NonRecordingSpan.end


def _end(self: NonRecordingSpan, end_time: int | None = None) -> None:
    """Replaces `NonRecordingSpan.end`, which does nothing."""
    failure = sys.exc_info()[1]
    if isinstance(failure, Exception):
        with guard("remembering a span that is not sampled"):
            record_failure(failure, self.get_span_context())
    _stock_end(self, end_time)


def patch_non_recording() -> None:
    """Let exceptions remember spans that are not sampled."""
    _replace_end(_stock_end, _end)


def unpatch_non_recording() -> None:
    """Restore what is still ours."""
    _replace_end(_end, _stock_end)


def _replace_end(old: Callable[..., None], new: Any) -> None:
    if NonRecordingSpan.end is old:
        NonRecordingSpan.end = new  # type: ignore[method-assign]
