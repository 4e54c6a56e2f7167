"""Views of a declarative configuration file: selector and stream of each, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any, Final

from blogauto_otel._dataclass import dataclass

INSTRUMENT_TYPES: Final = (
    "counter",
    "gauge",
    "histogram",
    "observable_counter",
    "observable_gauge",
    "observable_up_down_counter",
    "up_down_counter",
)
# Each aggregation with its options.
AGGREGATIONS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "default": frozenset(),
        "drop": frozenset(),
        "explicit_bucket_histogram": frozenset({"boundaries", "record_min_max"}),
        "base2_exponential_bucket_histogram": frozenset({"max_scale", "max_size", "record_min_max"}),
        "last_value": frozenset(),
        "sum": frozenset(),
    }
)
_SELECTOR: Final = frozenset(
    {"instrument_name", "instrument_type", "unit", "meter_name", "meter_version", "meter_schema_url"}
)
_STREAM: Final = frozenset({"name", "description", "attribute_keys", "aggregation"})


@dataclass(frozen=True)
class ViewConfig:
    """One view.

    Attributes:
        node_path: The node in the file.
        selector: Criteria by name; empty selects every instrument.
        name: The metric's name instead of the instrument's.
        description: The metric's description instead of the instrument's.
        included: Patterns (`*`, `?`) of the attributes that stay; None: all.
        excluded: Patterns of attributes that are removed.
        aggregation: One of `AGGREGATIONS`, or None.
        options: The options of the aggregation.
    """

    node_path: str
    selector: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    description: str | None = None
    included: tuple[str, ...] | None = None
    excluded: tuple[str, ...] = ()
    aggregation: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def view_of(node: Mapping[str, Any], node_path: str, unsupported: Callable[[str], object]) -> ViewConfig:
    """Translate one view; `unsupported` is called for each node without effect.

    Raises:
        ValueError: A value cannot be used.
    """
    selector, stream = (_known(node, part, known, node_path, unsupported) for part, known in _PARTS)
    kind = selector.get("instrument_type")
    if kind not in (None, *INSTRUMENT_TYPES):
        raise ValueError(f"selector.instrument_type={kind!r}: expected one of {', '.join(INSTRUMENT_TYPES)}")
    keys = stream.get("attribute_keys") or {}
    aggregation, options = _aggregation(stream.get("aggregation"))
    return ViewConfig(
        node_path,
        MappingProxyType({name: str(value) for name, value in selector.items()}),
        stream.get("name"),
        stream.get("description"),
        None if keys.get("included") is None else tuple(map(str, keys["included"])),
        tuple(map(str, keys.get("excluded") or ())),
        aggregation,
        MappingProxyType(options),
    )


_PARTS: Final = (("selector", _SELECTOR), ("stream", _STREAM))


def _known(
    node: Mapping[str, Any], part: str, known: frozenset[str], node_path: str, unsupported: Callable[[str], object]
) -> dict[str, Any]:
    values = {name: value for name, value in (node.get(part) or {}).items() if value is not None}
    for name in values.keys() - known:
        unsupported(f"{node_path}.{part}.{name}")
    return {name: value for name, value in values.items() if name in known}


def _aggregation(node: Any) -> tuple[str | None, dict[str, Any]]:
    if node is None:
        return None, {}
    [(name, options)] = node.items()
    if name not in AGGREGATIONS:
        raise ValueError(f"stream.aggregation={name!r}: expected one of {', '.join(AGGREGATIONS)}")
    given = {option: value for option, value in (options or {}).items() if value is not None}
    if given.keys() - AGGREGATIONS[name]:
        raise ValueError(f"stream.aggregation.{name}: it has no {', '.join(sorted(given.keys() - AGGREGATIONS[name]))}")
    return name, given
