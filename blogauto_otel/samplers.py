"""Samplers with the SDK's interface and names, without its classes: importing those would import its tracing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, get_current_span
from opentelemetry.trace.span import TraceState
from opentelemetry.util.types import Attributes

LOW_64: Final = (1 << 64) - 1
_SAMPLED: Final = TraceFlags.SAMPLED


class Decision(Enum):
    """As the SDK's."""

    DROP = 0
    RECORD_ONLY = 1
    RECORD_AND_SAMPLE = 2

    def is_recording(self) -> bool:
        """Whether the span records."""
        return self is not Decision.DROP

    def is_sampled(self) -> bool:
        """Whether the span is exported."""
        return self is Decision.RECORD_AND_SAMPLE


class SamplingResult(NamedTuple):
    """As the SDK's."""

    decision: Decision
    attributes: Attributes = None
    trace_state: TraceState | None = None


class Sampler(ABC):
    """A sampler that decides by ids, kind and attributes; in the SDK's interface too."""

    @abstractmethod
    def is_sampled(
        self,
        parent: SpanContext | None,
        trace_id: int,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
    ) -> bool:
        """Whether a span is sampled; `parent` is None without a valid one."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,  # noqa: ARG002 - the interface
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,  # noqa: ARG002
        trace_state: TraceState | None = None,  # noqa: ARG002 - the parent's applies, as in the SDK
    ) -> SamplingResult:
        """See the SDK's `Sampler`."""
        parent = get_current_span(parent_context).get_span_context()
        valid = parent if parent.is_valid else None
        state = None if valid is None else valid.trace_state
        if self.is_sampled(valid, trace_id, kind, attributes):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, state)
        return SamplingResult(Decision.DROP, None, state)


class TraceIdRatio(Sampler):
    """A share of all traces, whatever their parents: the SDK's `TraceIdRatioBased`; at 0 and 1 its static samplers."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.bound = round(rate * (LOW_64 + 1))

    def is_sampled(
        self,
        parent: SpanContext | None,  # noqa: ARG002 - the interface
        trace_id: int,
        kind: SpanKind | None = None,  # noqa: ARG002
        attributes: Attributes = None,  # noqa: ARG002
    ) -> bool:
        """See `Sampler`."""
        return trace_id & LOW_64 < self.bound

    def get_description(self) -> str:
        """As the SDK describes it."""
        return f"TraceIdRatioBased{{{self.rate}}}"


class ParentOrRate(TraceIdRatio):
    """The parent's decision; of roots, a share: the SDK's `ParentBasedTraceIdRatio`."""

    follows_parents: Final = True

    def is_sampled(
        self,
        parent: SpanContext | None,
        trace_id: int,
        kind: SpanKind | None = None,  # noqa: ARG002 - the interface
        attributes: Attributes = None,  # noqa: ARG002
    ) -> bool:
        """See `Sampler`."""
        if parent is not None:
            return parent.trace_flags & _SAMPLED != 0
        return trace_id & LOW_64 < self.bound

    def get_description(self) -> str:
        """A description for log lines."""
        return f"ParentBased{{root:{super().get_description()}}}"
