"""What is bound to a request appears on each of its later spans."""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor

from blogauto_otel._guard import swallow
from blogauto_otel.signals.context import bound


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
        except Exception as error:
            if not swallow("putting bound context on a span", error):
                raise
