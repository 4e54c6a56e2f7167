"""Suppression of instrumentation: the context that suppresses it, and whether one does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from opentelemetry.context import Context

from blogauto_otel._otel import SUPPRESS_HTTP_KEY, SUPPRESS_KEY

_BY_NAME: Final = "suppress_instrumentation"  # the older of the two keys, still in use

# What instrumentations of HTTP clients, sockets and logging look for.
SUPPRESSED: Final[Mapping[str, bool]] = MappingProxyType({SUPPRESS_KEY: True, _BY_NAME: True, SUPPRESS_HTTP_KEY: True})


# Whether a context has nothing that suppresses, which is nearly always so; in C, because each record asks.
has_no_suppression: Final[Callable[[Context], bool]] = frozenset((SUPPRESS_KEY, _BY_NAME)).isdisjoint


def is_suppressed(context: Context) -> bool:
    """True within `opentelemetry.instrumentation.utils.suppress_instrumentation()`."""
    return bool(context and (context.get(SUPPRESS_KEY) or context.get(_BY_NAME)))


def is_http_suppressed(context: Context) -> bool:
    """True within that and within `suppress_http_instrumentation()`."""
    return bool(context and (is_suppressed(context) or context.get(SUPPRESS_HTTP_KEY)))
