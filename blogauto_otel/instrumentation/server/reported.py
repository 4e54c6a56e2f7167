"""Errors reported in an unsampled request: its server span is exported as a deferred span, and the report names it.

A report is a log record of level ERROR or above with an exception, or a Sentry event.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from opentelemetry.trace import SpanContext, get_current_span

from blogauto_otel.instrumentation.server.deferred import DeferredSpan
from blogauto_otel.instrumentation.server.instrumentation import ServerInstrumentation, state
from blogauto_otel.instrumentation.server.request import Request, current

LEVEL: Final = logging.ERROR  # of a record that is a report


def server_span(span: SpanContext) -> SpanContext | None:
    """The server span that a report made in the unsampled `span` names; None when that span is never exported."""
    server = state.active
    request = _unsampled_request(server, span) if server is not None else None
    return None if request is None else DeferredSpan(request.span.get_span_context()).get_span_context()


def export_server_span(span: SpanContext, attributes: Mapping[str, str] | None = None) -> None:
    """Export the server span that `server_span` has returned, with these attributes."""
    server = state.active
    unsampled = SpanContext(span.trace_id, span.span_id, is_remote=False)
    request = _unsampled_request(server, unsampled) if server is not None else None
    if server is None or request is None or request.span.get_span_context().span_id != span.span_id:
        return
    if attributes:
        request.add_attributes(attributes)
    server.export_deferred(request)


def on_log_record(record: logging.LogRecord) -> SpanContext | None:
    """Export the server span of the request in which an exception is logged; returns the span for the record."""
    if record.levelno < LEVEL or not isinstance(record.exc_info, tuple) or record.exc_info[1] is None:
        return None
    span = server_span(get_current_span().get_span_context())
    if span is not None:
        export_server_span(span)
    return span


def _unsampled_request(server: ServerInstrumentation, span: SpanContext) -> Request | None:
    """The unsampled request that `span` was started in, when a deferred span can be written for it."""
    if not span.is_valid or span.trace_flags.sampled:
        return None
    request = current()
    if request is None or request.span.get_span_context().trace_id != span.trace_id:
        request = _open_request(server, span)
    if request is None or request.sampled or not server.deferred.can_write(request):
        return None
    return request


def _open_request(server: ServerInstrumentation, span: SpanContext) -> Request | None:
    """For threads, which have no request of their own; requests of one trace cannot be distinguished."""
    of_trace: list[Request] = []
    for request in tuple(server.metrics.open):
        known = request.span.get_span_context()
        if known.trace_id == span.trace_id:
            if known.span_id == span.span_id:
                return request
            of_trace.append(request)
    return of_trace[0] if len(of_trace) == 1 else None
