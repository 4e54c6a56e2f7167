"""A span that is not sampled: ids to pass on, and nothing recorded."""

from __future__ import annotations

from typing import Any, Final

from opentelemetry import trace
from opentelemetry.trace import SpanContext, TraceFlags

from blogauto_otel.otlp.spans import SpanTemplate

SAMPLED: Final = TraceFlags.SAMPLED
RANDOM: Final[int] = getattr(TraceFlags, "RANDOM_TRACE_ID", 0)  # before 1.41 the SDK does not know it
_FLAGS: Final = tuple(map(TraceFlags, range(4)))


def span_context(trace_id: int, span_id: int, flags: int, state: trace.TraceState | None) -> SpanContext:
    """The context of a span of this process."""
    return SpanContext(trace_id, span_id, False, _FLAGS[flags], state)


class UnsampledSpan(trace.NonRecordingSpan):
    """A span that records nothing; its span context is built when somebody asks for it."""

    __slots__ = ("_built", "_trace_state", "span_id", "trace_flags", "trace_id")

    is_sampled: Final = False

    def __init__(self, trace_id: int, span_id: int, flags: int, state: trace.TraceState | None) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.trace_flags = flags
        self._trace_state = state
        self._built: SpanContext | None = None

    def get_span_context(self) -> SpanContext:
        """See `Span`."""
        built = self._built
        if built is None:
            built = self._built = span_context(self.trace_id, self.span_id, self.trace_flags, self._trace_state)
        return built

    def finish(
        self,
        template: SpanTemplate,  # noqa: ARG002 - the interface
        attributes: dict[str, Any] | None = None,  # noqa: ARG002
        *,
        end_time: int | None = None,
    ) -> None:
        """See `RecordingSpan`."""
        self.end(end_time)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.get_span_context()!r})"
