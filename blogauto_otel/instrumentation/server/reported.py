"""Errors reported in an unsampled request: its server span is written after the fact, so that the report names a span.

A report is a log record of level ERROR or above with an exception, or a Sentry event.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from opentelemetry.trace import SpanContext, get_current_span

from blogauto_otel.instrumentation.server import middleware
from blogauto_otel.instrumentation.server.deferred import DeferredSpan


def server_span(span: SpanContext) -> SpanContext | None:
    """The server span that a report made in the unsampled `span` names; None when that span is never exported."""
    observer = middleware.observer
    request = observer.unsampled_request(span) if observer is not None else None
    return None if request is None else DeferredSpan(request.span.get_span_context()).get_span_context()


def keep(span: SpanContext, attributes: Mapping[str, str] | None = None) -> None:
    """Export the server span that `server_span` has returned, with these attributes."""
    observer = middleware.observer
    unsampled = SpanContext(span.trace_id, span.span_id, is_remote=False)
    request = observer.unsampled_request(unsampled) if observer is not None else None
    if observer is None or request is None or request.span.get_span_context().span_id != span.span_id:
        return
    if attributes:
        request.notes = {**(request.notes or {}), **attributes}
    observer.keep(request)


def on_log_record(record: logging.LogRecord) -> SpanContext | None:
    """Keep the server span of the request in which an exception is logged; returns the span that the record names."""
    if record.levelno < logging.ERROR or not isinstance(record.exc_info, tuple) or record.exc_info[1] is None:
        return None
    span = server_span(get_current_span().get_span_context())
    if span is not None:
        keep(span)
    return span
