"""Spans that take anything: what an application hands over is told as far as it can be read, and raises nothing.

The SDK converts values as they come in, so that a `__str__` that raises, or a list within itself, would raise out of
`set_attribute` and, worse, in the place of the exception that `record_exception` was to report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.sdk.trace import Tracer, _Span

from blogauto_otel._guard import swallow
from blogauto_otel.delivery.values import NOTHING_SECRET, Plain, key_text

_LONGEST: Final = 65_536  # characters; the encoder cuts to the limits of the settings


def readable(value: object) -> Any:
    """Text, numbers, bytes, lists and maps in the place of whatever it is."""
    return Plain(NOTHING_SECRET, _LONGEST).convert(value)


def readable_attributes(attributes: Any) -> Mapping[str, Any] | None:
    """The attributes, readable; none when they are no map."""
    converted = readable(attributes)
    return converted if isinstance(converted, dict) else None


class TolerantSpan(_Span):
    """The SDK's span, given this class; a call that it cannot take is repeated with readable values."""

    def set_attribute(self, key: str, value: Any) -> None:
        """See `Span`."""
        try:
            super().set_attribute(key, value)
        except Exception:  # noqa: BLE001 - anybody's `__str__`
            _try("setting an attribute", super().set_attribute, key_text(key), readable(value))

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """See `Span`."""
        try:
            super().set_attributes(attributes)
        except Exception:  # noqa: BLE001
            _try("setting attributes", super().set_attributes, readable_attributes(attributes) or {})

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """See `Span`."""
        try:
            super().add_event(name, attributes, timestamp)
        except Exception:  # noqa: BLE001
            _try("adding an event", super().add_event, name, readable_attributes(attributes), timestamp)

    def add_link(self, context: trace.SpanContext, attributes: Any = None) -> None:
        """See `Span`."""
        try:
            super().add_link(context, attributes)
        except Exception:  # noqa: BLE001
            _try("adding a link", super().add_link, context, readable_attributes(attributes))

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        """See `Span`."""
        try:
            super().record_exception(exception, attributes, timestamp, escaped)
        except Exception:  # noqa: BLE001
            told = {"exception.type": type(exception).__qualname__, "exception.message": readable(exception)}
            self.add_event("exception", {**told, **(readable_attributes(attributes) or {})}, timestamp)


def _try(what: str, work: Callable[..., None], *arguments: object) -> None:
    try:
        work(*arguments)
    except Exception as error:
        if not swallow(what, error):
            raise


class TolerantTracer(Tracer):
    """The SDK's tracer, given this class; what it starts is tolerant."""

    def start_span(
        self,
        name: str,
        context: Any = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        attributes: Any = None,
        links: Sequence[trace.Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace.Span:
        """See `Tracer`."""
        rest = (start_time, record_exception, set_status_on_exception)
        try:
            span = super().start_span(name, context, kind, attributes, links, *rest)
        except Exception:  # noqa: BLE001
            readable_links = [trace.Link(link.context, readable_attributes(link.attributes)) for link in links or ()]
            span = super().start_span(name, context, kind, readable_attributes(attributes), readable_links, *rest)
        if type(span) is _Span:
            span.__class__ = TolerantSpan
        return span
