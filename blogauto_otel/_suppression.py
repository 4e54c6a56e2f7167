"""Suppression of instrumentation: the context that suppresses it, and whether one does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from opentelemetry.context import _SUPPRESS_HTTP_INSTRUMENTATION_KEY, _SUPPRESS_INSTRUMENTATION_KEY, Context

_BY_NAME: Final = "suppress_instrumentation"  # the older of the two keys, still in use

# What instrumentations of HTTP clients, sockets and logging look for.
SUPPRESSED: Final[Mapping[str, bool]] = MappingProxyType(
    {_SUPPRESS_INSTRUMENTATION_KEY: True, _BY_NAME: True, _SUPPRESS_HTTP_INSTRUMENTATION_KEY: True}
)


# Whether a context has nothing that suppresses, which is nearly always so; in C, because each record asks.
has_no_suppression: Final[Callable[[Context], bool]] = frozenset((_SUPPRESS_INSTRUMENTATION_KEY, _BY_NAME)).isdisjoint


def is_suppressed(context: Context) -> bool:
    """True within `opentelemetry.instrumentation.utils.suppress_instrumentation()`."""
    return bool(context and (context.get(_SUPPRESS_INSTRUMENTATION_KEY) or context.get(_BY_NAME)))


def is_http_suppressed(context: Context) -> bool:
    """True within that and within `suppress_http_instrumentation()`."""
    return bool(context and (is_suppressed(context) or context.get(_SUPPRESS_HTTP_INSTRUMENTATION_KEY)))
