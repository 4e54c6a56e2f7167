"""The cardinality limit of a metric: how many series it may have, and the series that stands for all further ones."""

from __future__ import annotations

from collections.abc import Collection
from types import MappingProxyType
from typing import Final

# https://opentelemetry.io/docs/specs/otel/metrics/sdk/#overflow-attribute
OVERFLOW_ATTRIBUTES: Final = MappingProxyType({"otel.metric.overflow": True})


def is_full(series: Collection[object], limit: int, *, overflow: object) -> bool:
    """Whether a new series must be counted under `overflow`; that one does not count towards the limit."""
    return len(series) - (overflow in series) >= limit
