"""Deferred spans: an unsampled request that fails, is slow or reports an error gets its server span at the end.

Nothing was recorded while it lasted, so the span has no children; its ids are those of the request's log records.
"""

from __future__ import annotations

from typing import Any, Final

from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.semconv.attributes import exception_attributes
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
)
from opentelemetry.util.types import AttributeValue

from blogauto_otel import semconv
from blogauto_otel._class_names import type_name
from blogauto_otel.api.text import description, safe_text, stacktrace
from blogauto_otel.instrumentation import Context
from blogauto_otel.instrumentation.server.request import Request
from blogauto_otel.otlp.spans import SpanEvent
from blogauto_otel.sampling import decides_alone, untraced_matcher

ERROR: Final = "error"
SLOW: Final = "slow"


class DeferredSpan(NonRecordingSpan):
    """Collects the attributes for the span of an unsampled request."""

    def __init__(self, context: SpanContext) -> None:
        flags = TraceFlags(context.trace_flags | TraceFlags.SAMPLED)
        super().__init__(SpanContext(context.trace_id, context.span_id, False, flags, context.trace_state))
        self.attributes: dict[str, AttributeValue] = {}

    def is_recording(self) -> bool:
        """True, because hooks ask before they set attributes."""
        return True

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Store an attribute for the span that will be written."""
        self.attributes[key] = value

    def set_attributes(self, attributes: Any) -> None:
        """Store several."""
        self.attributes.update(attributes)


class DeferredSpans:
    """Decides which unsampled requests get a span, and writes it."""

    def __init__(self, context: Context) -> None:
        self.slow = context.settings.slow_request_seconds or float("inf")
        # A sampler that the user configured has the only say.
        self._write = None if decides_alone(context.tracer_provider) else context.write_deferred_span
        self._is_untraced = untraced_matcher(context.settings)
        self._scope = InstrumentationScope(semconv.SCOPE_HTTP)

    def reason(self, request: Request) -> str | None:
        """Why an unsampled request gets a span; None when it gets none."""
        if request.failed or request.has_reported_error:
            return ERROR
        return SLOW if request.seconds > self.slow and not request.is_websocket else None

    def can_write(self, request: Request) -> bool:
        """False for routes that are never traced, and when the tracer provider is not ours."""
        if self._write is None or not request.span.get_span_context().is_valid:
            return False
        path = request.scope.get("path", "")
        return not (self._is_untraced(path) or self._is_untraced(request.template or path))

    def write_request(self, span: DeferredSpan, request: Request) -> None:
        """Write the span of a request."""
        self.write(
            span,
            name=request.span_name(),
            kind=SpanKind.SERVER,
            parent=get_current_span(request.parent).get_span_context(),
            times=(request.began_at, request.ended_at),
            failed=request.failed,
            error=request.error if request.failed else None,
            links=request.links,
        )

    def write(
        self,
        span: DeferredSpan,
        *,
        name: str,
        kind: SpanKind,
        parent: SpanContext | None,
        times: tuple[int, int],
        failed: bool,
        error: BaseException | None,
        links: tuple[Link, ...] = (),
    ) -> None:
        """Write a span with start and end time (`time_ns`), and the exception as an event."""
        assert self._write is not None
        began_at, ended_at = times
        self._write(
            name=name,
            context=span.get_span_context(),
            parent=parent if parent is not None and parent.is_valid else None,
            kind=kind,
            attributes=span.attributes,
            start_time=began_at,
            end_time=ended_at,
            status=_status(error, failed=failed),
            scope=self._scope,
            events=() if error is None else (_exception_event(error, ended_at),),
            links=links,
        )


def _status(error: BaseException | None, *, failed: bool) -> Status:
    if not failed:
        return Status(StatusCode.UNSET)
    return Status(StatusCode.ERROR, None if error is None else description(error))


def _exception_event(error: BaseException, timestamp: int) -> SpanEvent:
    """https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans/."""
    return SpanEvent(
        "exception",
        {
            exception_attributes.EXCEPTION_TYPE: type_name(type(error)),
            exception_attributes.EXCEPTION_MESSAGE: safe_text(error),
            exception_attributes.EXCEPTION_STACKTRACE: stacktrace(error, error.__traceback__),
        },
        timestamp,
    )
