"""How many attributes, events and links a span holds, and what it keeps of more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.trace import Link, SpanContext

from blogauto_otel._guard import is_foreign
from blogauto_otel.sdk.plain import are_plain, limit_nested, to_plain_attributes


class SpanLimits(NamedTuple):
    """How many a span holds; None: any number. The defaults are the SDK's."""

    attributes: int | None = 128
    events: int | None = 128
    links: int | None = 128
    event_attributes: int | None = 128
    link_attributes: int | None = 128


def limited(attributes: Any, limit: int | None) -> tuple[Mapping[str, Any], int]:
    """The attributes of an event within their limit, and how many were dropped."""
    if not attributes:
        return {}, 0
    try:
        if are_plain(attributes) and (limit is None or len(attributes) <= limit):
            return dict(attributes), 0
        limited = BoundedAttributes(limit, limit_nested(attributes))
    except BaseException as error:
        if not is_foreign(error):
            raise
        limited = BoundedAttributes(limit, to_plain_attributes(attributes))
    return limited.copy(), limited.dropped


def limited_link(context: SpanContext, attributes: Any, limit: int | None) -> Link:
    """A link with its attributes within their limit."""
    try:
        return Link(context, BoundedAttributes(limit, limit_nested(attributes)))
    except BaseException as error:
        if not is_foreign(error):
            raise
        return Link(context, BoundedAttributes(limit, to_plain_attributes(attributes)))


def is_valid_link(context: SpanContext, attributes: Any) -> bool:
    """Whether the SDK records such a link."""
    return bool(context and (context.is_valid or attributes or context.trace_state))


def append(items: list[Any], item: object, limit: int | None) -> int:
    """Append an event or a link; the oldest make room. Returns how many were dropped."""
    items.append(item)
    lost = 0 if limit is None else max(len(items) - limit, 0)
    del items[:lost]
    return lost
