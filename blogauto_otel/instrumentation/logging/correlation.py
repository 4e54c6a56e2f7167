"""`OTEL_PYTHON_LOG_CORRELATION`: trace ids on each log record, for format strings of the application."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from opentelemetry import trace

from blogauto_otel._guard import guard
from blogauto_otel._process import register
from blogauto_otel.config import Settings

RecordFactory = Callable[..., logging.LogRecord]

# The names and values of OpenTelemetry's own logging instrumentation, for records outside of a span.
_OUTSIDE: Final = {"otelTraceID": "0", "otelSpanID": "0", "otelTraceSampled": False}


class _State:
    """The factory that is installed, and the one before it."""

    installed: RecordFactory | None = None
    before: RecordFactory | None = None


_state: Final = register(_State())


def instrument(settings: Settings) -> None:
    """Set the attributes on each new record, where the settings ask for it."""
    uninstrument()
    if not settings.log_correlation:
        return
    before, service = logging.getLogRecordFactory(), settings.service_name

    def with_trace(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        record.__dict__.update(_OUTSIDE, otelServiceName=service)
        with guard("setting trace ids on a log record"):
            record.__dict__.update(_ids())
        return record

    _state.before, _state.installed = before, with_trace
    logging.setLogRecordFactory(with_trace)


def _ids() -> dict[str, object]:
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {
        "otelTraceID": trace.format_trace_id(context.trace_id),
        "otelSpanID": trace.format_span_id(context.span_id),
        "otelTraceSampled": context.trace_flags.sampled,
    }


def uninstrument() -> None:
    """Restore the factory of before, unless another one has been installed since."""
    if _state.before is not None and logging.getLogRecordFactory() is _state.installed:
        logging.setLogRecordFactory(_state.before)
    _state.before = _state.installed = None
