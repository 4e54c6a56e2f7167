"""The span of our tracer, from its start to its end (docs/decisions/0060).

It behaves as the SDK's span does, accepts any value, and raises nothing. It has the properties of the SDK's
`ReadableSpan`; where the SDK's tracing is imported, spans are made of a subclass that is the SDK's `Span` too.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping, Sequence
from time import perf_counter_ns, time_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from blogauto_otel._class_names import type_name
from blogauto_otel._guard import is_foreign, log_once, swallow
from blogauto_otel.otlp.plain_values import key_text
from blogauto_otel.otlp.spans import SpanData, SpanEvent, SpanTemplate
from blogauto_otel.sdk.plain import (
    PLAIN,
    are_plain,
    bounded,
    description,
    exception_attributes,
    limit_nested,
    to_plain,
    to_plain_attributes,
)
from blogauto_otel.sdk.readable_span import readable_span
from blogauto_otel.sdk.span_limits import SpanLimits, append, is_valid_link, limited, limited_link
from blogauto_otel.sdk.unsampled_span import SAMPLED, UnsampledSpan, span_context

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from blogauto_otel.sdk.tracer import BlogautoTracer

__all__ = ["RecordingSpan", "UnsampledSpan"]  # the two that our tracer starts

_sdk_log: Final = logging.getLogger("opentelemetry.sdk.trace")  # where the SDK warns about the same


class RecordingSpan(SpanData, trace.Span):
    """A span of our tracer, from its start to its end.

    Its duration comes from the monotonic clock, unless the caller gives the times: a wall clock that is set back
    meanwhile does not end it before it starts.
    """

    __slots__ = (
        "_built", "_is_open", "_is_renamed", "_records_exception", "_sets_status", "_started", "_tracer",
    )  # fmt: skip

    def __init__(
        self,
        tracer: BlogautoTracer,
        trace_id: int,
        span_id: int,
        flags: int,
        state: trace.TraceState | None,
        parent: SpanContext | None,
        name: str,
        kind: trace.SpanKind,
        start_time: int | None,
        records_exception: bool = True,
        sets_status: bool = True,
    ) -> None:
        if start_time is None:
            start_time = time_ns()
            self._started: int | None = perf_counter_ns()
        else:
            self._started = None
        # As in `SpanData`, without the call: every span passes through here.
        self.trace_id = trace_id
        self.span_id = span_id
        self.trace_flags = flags
        self.trace_state = state
        self.parent = parent
        self.name = name
        self.kind = kind
        self.start_time = start_time
        self.end_time: int | None = None
        self.template: SpanTemplate | None = None
        self._attributes: dict[str, Any] = {}
        self.has_rare = False
        self._tracer = tracer
        self._records_exception = records_exception
        self._sets_status = sets_status
        self._built: SpanContext | None = None
        self._is_renamed = False
        self._is_open = True

    # --- what it is ---------------------------------------------------------------------------------------------------

    @property
    def is_sampled(self) -> bool:
        """Whether it will be exported."""
        return self.trace_flags & SAMPLED != 0

    def is_recording(self) -> bool:
        """See `Span`."""
        return self.end_time is None

    def get_span_context(self) -> SpanContext:
        """See `Span`."""
        built = self._built
        if built is None:
            built = self._built = span_context(self.trace_id, self.span_id, self.trace_flags, self.trace_state)
        return built

    @property
    def context(self) -> SpanContext:
        """See `ReadableSpan`."""
        return self.get_span_context()

    @property
    def resource(self) -> Resource:
        """See `ReadableSpan`."""
        return self._tracer.resource

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        """See `ReadableSpan`."""
        return self._tracer.scope

    @property
    def instrumentation_info(self) -> Any:
        """See `ReadableSpan`: name, version and schema URL."""
        return self._tracer.scope

    @property
    def limits(self) -> SpanLimits:
        """How much it holds."""
        return self._tracer.limits

    @property
    def encoded_scope(self) -> bytes:
        """See `SpanData`."""
        return self._tracer.encoded_scope

    def readable(self) -> ReadableSpan:
        """The span as an object of the SDK; imports the SDK's tracing."""
        if self.end_time is None:
            return readable_span(self)
        known: ReadableSpan | None = self.__dict__.get("_readable")  # of one processor, for the next
        return self.__dict__.setdefault("_readable", readable_span(self)) if known is None else known

    def to_json(self, indent: int | None = 4) -> str:
        """See `ReadableSpan`."""
        return str(self.readable().to_json(indent))

    def __repr__(self) -> str:
        return f'{type(self).__name__}(name="{self.name}", context={self.get_span_context()})'

    # --- attributes ---------------------------------------------------------------------------------------------------

    def set_attribute(self, key: str, value: Any) -> None:
        """See `Span`."""
        if self.end_time is not None:
            _sdk_log.warning("Setting attribute on ended span.")
            return
        if type(value) in PLAIN and type(key) is str and key:
            self.put({key: value})
            return
        try:
            cleaned = BoundedAttributes(immutable=False)
            cleaned[key] = bounded(value)
        except BaseException as error:
            if not is_foreign(error):
                raise
            cleaned = BoundedAttributes(attributes={key_text(key): to_plain(value)})
        self.put(cleaned.copy(), cleaned.dropped)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """See `Span`."""
        if self.end_time is not None:
            _sdk_log.warning("Setting attribute on ended span.")
            return
        try:
            if are_plain(attributes):
                self.put(attributes)
                return
            cleaned = BoundedAttributes(attributes=limit_nested(attributes))
        except BaseException as error:
            if not is_foreign(error):
                raise
            cleaned = BoundedAttributes(attributes=to_plain_attributes(attributes) or {})
        self.put(cleaned.copy(), cleaned.dropped)

    def adopt(self, attributes: dict[str, Any]) -> None:
        """Take a dict of plain values as the attributes of a new span, without a copy."""
        self._attributes = attributes

    def put(self, cleaned: Mapping[str, Any], invalid: int = 0) -> None:
        """Add plain attributes (`str`, `bool`, `int`, `float`), which are not looked at.

        Those that are set again move to the end, and the oldest make room, as in the SDK.

        Args:
            cleaned: the attributes.
            invalid: further ones that could not be taken, and count as dropped.
        """
        own, limit = self._attributes, self._tracer.limits.attributes
        if invalid:
            self.dropped_attributes += invalid
            self.has_rare = True
        template = self.template
        if template is not None and (
            not template.attributes.keys().isdisjoint(cleaned)
            or (limit is not None and len(own) + len(template.attributes) + len(cleaned) > limit)
        ):
            self._unfold(template)
        if own.keys().isdisjoint(cleaned) and (limit is None or len(own) + len(cleaned) <= limit):
            own.update(cleaned)
            return
        for key, value in cleaned.items():
            own.pop(key, None)
            if limit is None or len(own) < limit or self._make_room(own, limit):
                own[key] = value

    def _unfold(self, template: SpanTemplate) -> None:
        """Take the attributes of the template that it was started with as its own, because one of them may change."""
        own = self._attributes
        own.update({key: value for key, value in template.attributes.items() if key not in own})
        self.template = None

    def _make_room(self, own: dict[str, Any], limit: int) -> bool:
        log_once("attributes of a span", "a span has more than %d attributes; the oldest are dropped", limit)
        self.dropped_attributes += 1
        self.has_rare = True
        for oldest in list(own)[:1] if limit else ():
            own.pop(oldest, None)
        return limit > 0

    # --- events and links ---------------------------------------------------------------------------------------------

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """See `Span`."""
        if self.end_time is not None:
            _sdk_log.warning("Tried calling %s on an ended span.", "_add_event")
            return
        limits = self._tracer.limits
        given, dropped = limited(attributes, limits.event_attributes)
        event = SpanEvent(name, given, self._now() if timestamp is None else timestamp, dropped)
        self.has_rare = True
        lost = append(self.__dict__.setdefault("_events", []), event, limits.events)
        if lost:
            self.dropped_events += lost

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        """See `Span`."""
        try:
            if not is_valid_link(context, attributes):
                return
        except BaseException as error:
            if not swallow("adding a link", error):
                raise
            return
        if self.end_time is not None:
            _sdk_log.warning("Tried calling %s on an ended span.", "_add_link")
            return
        limits = self._tracer.limits
        link = limited_link(context, attributes, limits.link_attributes)
        self.has_rare = True
        lost = append(self.__dict__.setdefault("_links", []), link, limits.links)
        if lost:
            self.dropped_links += lost

    def add_links(self, links: Sequence[Link]) -> None:
        """Add the links that it is started with."""
        for link in links:
            if link:
                self.add_link(link.context, link.attributes)

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        """See `Span`."""
        try:
            recorded = _recorded(exception, escaped=escaped)
            if attributes:
                recorded.update(attributes)
        except BaseException as error:
            if not is_foreign(error):
                raise
            recorded = {**exception_attributes(exception), **(to_plain_attributes(attributes) or {})}
        self.add_event("exception", recorded, timestamp)

    # --- name and status ----------------------------------------------------------------------------------------------

    def update_name(self, name: str) -> None:
        """See `Span`."""
        if self.end_time is not None:
            _sdk_log.warning("Tried calling %s on an ended span.", "update_name")
            return
        self.name = name
        self._is_renamed = True

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """See `Span`."""
        if self.end_time is not None:
            _sdk_log.warning("Tried calling %s on an ended span.", "set_status")
            return
        try:
            self._set_status(status, description)
        except BaseException as error:
            if not swallow("setting the status of a span", error):
                raise

    def _set_status(self, status: Any, description: str | None) -> None:
        is_status = isinstance(status, Status)
        code = status.status_code if is_status else status
        if self.status.status_code is StatusCode.OK or code is StatusCode.UNSET or not isinstance(code, StatusCode):
            return
        self.has_rare = True
        if not is_status:
            self.status = Status(code, description)
            return
        if description is not None:
            _sdk_log.warning(
                "Description %s ignored. Use either `Status` or `(StatusCode, Description)`", to_plain(description)
            )
        self.status = status

    # --- the end ------------------------------------------------------------------------------------------------------

    def end(self, end_time: int | None = None) -> None:
        """See `Span`."""
        try:
            del self._is_open  # one thread succeeds
        except AttributeError:
            _sdk_log.warning("Calling end() on an ended span.")
            return
        self.end_time = self._now() if end_time is None else end_time
        tracer = self._tracer
        direct = tracer.processors.direct
        if direct is not None and not self.has_rare:  # no other processor does anything with one that ends well
            direct[0].export(self, tracer.encoded_scope)
        else:
            tracer.processors.end(self)

    def finish(
        self, template: SpanTemplate, attributes: dict[str, Any] | None = None, *, end_time: int | None = None
    ) -> None:
        """End it with what is known only now; what the application has set wins over the template.

        Args:
            template: the name that it gets unless `update_name` was called, and attributes. Its `base` is the template
                that the span was started with, if any.
            attributes: plain values that the caller gives away; they win over those that are set.
            end_time: nanoseconds, as of `end`.
        """
        if self.end_time is None:
            own, common, limit = self._attributes, template.attributes, self._tracer.limits.attributes
            if (
                attributes
                or template.base is not self.template
                or not own.keys().isdisjoint(common)
                or (limit is not None and len(own) + len(common) > limit)
            ):
                self._take(template, attributes)
            else:  # as `_take`, without the call
                if not self._is_renamed:
                    self.name = template.name
                self.template = template
        self.end(end_time)

    def _take(self, template: SpanTemplate, attributes: dict[str, Any] | None) -> None:
        if self.template is not None:
            self._unfold(self.template)
        own, common, limit = self._attributes, template.attributes, self._tracer.limits.attributes
        count = len(own) + len(common)
        if attributes:
            count += len(attributes)
            if not own:
                self._attributes = own = attributes
            elif limit is None or count <= limit:
                own.update(attributes)
            else:
                self.put(attributes)
        if not self._is_renamed:
            self.name = template.name
        if own.keys().isdisjoint(common) and (limit is None or count <= limit):
            self.template = template
        else:
            known = own if template.base is None else {*own, *template.base.attributes}  # it was started with those
            self.put({key: value for key, value in common.items() if key not in known})

    def _now(self) -> int:
        """The time now, on a clock that does not go back while the span lasts."""
        started: Any = self.start_time
        if self._started is not None:
            return int(started) + perf_counter_ns() - self._started
        return max(time_ns(), started) if isinstance(started, int) else time_ns()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        """See `Span`; an error while recording `error` does not replace it."""
        if error is not None and self.end_time is None:
            if self._records_exception:
                self.record_exception(error, escaped=True)
            if self._sets_status:
                self.set_status(Status(StatusCode.ERROR, description(error)))
        self.end()


def _recorded(error: BaseException, *, escaped: bool) -> dict[str, Any]:
    """https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans/, as the SDK has it."""
    return {
        "exception.type": type_name(type(error)),
        "exception.message": str(error),
        "exception.stacktrace": "".join(traceback.format_exception(error)),
        "exception.escaped": str(escaped),
    }
