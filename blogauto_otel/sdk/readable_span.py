"""Our span as objects of the SDK, for span processors of the application; imports the SDK's tracing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes

from blogauto_otel._sdk import import_tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from blogauto_otel.sdk.span import RecordingSpan


def readable_span(span: RecordingSpan) -> ReadableSpan:
    """The span as the SDK's `ReadableSpan`, as it is now."""
    sdk = import_tracing()
    limits = span.limits
    events = [
        sdk.Event(event.name, _immutable(limits.event_attributes, event), event.timestamp) for event in span.events
    ]
    own = BoundedAttributes(limits.attributes, span.attributes)
    own.dropped = span.dropped_attributes
    readable: ReadableSpan = sdk.ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=own,
        events=_sdk_list(events, span.dropped_events),
        links=_sdk_list(span.links, span.dropped_links),
        kind=span.kind,
        instrumentation_info=span.instrumentation_info,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
    return readable


def _immutable(limit: int | None, event: Any) -> BoundedAttributes:
    bound = BoundedAttributes(limit, event.attributes)
    bound.dropped = event.dropped_attributes
    return bound


def _sdk_list(items: Sequence[Any], dropped: int) -> Any:
    from opentelemetry.sdk.util import BoundedList

    made = BoundedList.from_seq(None, items)
    made.dropped = dropped
    return made
