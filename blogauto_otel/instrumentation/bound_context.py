"""What a span takes from its surroundings when it starts, and what it leaves on the exception that ends it."""

from __future__ import annotations

import sys

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode

from blogauto_otel._guard import swallow
from blogauto_otel.api.context import bound
from blogauto_otel.api.failures import record_failure


class BoundContextProcessor(SpanProcessor):
    """Puts bound context on spans when they start; a processor cannot be taken out of a provider, but it can rest."""

    def __init__(self) -> None:
        self.enabled = True

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - its interface
        """Costs a dictionary's truth value when nothing is bound."""
        try:
            values = bound()
            if values and self.enabled:
                span.set_attributes(values)
        except BaseException as error:
            if not swallow("putting bound context on a span", error):
                raise

    def on_end(self, span: ReadableSpan) -> None:
        """A span that an exception ends is ended while that exception passes by: it remembers the span."""
        failure = sys.exc_info()[1]
        if failure is None or span.status.status_code is not StatusCode.ERROR or not isinstance(failure, Exception):
            return
        try:
            if self.enabled and span.context is not None:
                record_failure(failure, span.context)
        except BaseException as error:
            if not swallow("remembering a failed span", error):
                raise
