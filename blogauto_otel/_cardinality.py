"""The cardinality limit of a metric: how many series it may have, and the series that stands for all further ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Protocol

# https://opentelemetry.io/docs/specs/otel/metrics/sdk/#overflow-attribute
OVERFLOW_ATTRIBUTES: Final = MappingProxyType({"otel.metric.overflow": True})


def is_full(series: Collection[object], limit: int, *, overflow: object) -> bool:
    """Whether a new series must be counted under `overflow`; that one does not count towards the limit."""
    return len(series) - (overflow in series) >= limit


class SeriesRules(Protocol):
    """What limits the series of a provider."""

    limit: int
    is_idle: bool

    def redact(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes of a new series, without secrets."""

    def overflowed(self, metric: str) -> None:
        """Called for each new series beyond the limit."""

    def first_measurement(self) -> None:
        """Called at the first measurement that is not zero, while `is_idle`."""

    def reservoir(self, reservoir: Any, boundaries: Sequence[float]) -> Any:
        """What stores the exemplars of a series, in the place of the SDK's reservoir."""
