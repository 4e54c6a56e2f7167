"""Values of OTLP as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

_SAFE_INTEGER: Final = 2**53 - 1  # beyond it a browser rounds


def attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    """`KeyValue` messages as a dictionary of JSON scalars and lists."""
    return {pair.key: flat(value(pair.value)) for pair in pairs}


def value(any_value: Any) -> Any:
    """An `AnyValue` as plain data; bytes become hexadecimal text."""
    kind = any_value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [value(item) for item in any_value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: value(pair.value) for pair in any_value.kvlist_value.values}
    return json_scalar(getattr(any_value, kind))


def json_scalar(item: Any) -> Any:
    """A scalar that JSON and a browser can hold: infinities and large integers become text."""
    if isinstance(item, bytes):
        return item.hex()
    if isinstance(item, float) and not math.isfinite(item):
        return str(item)
    if isinstance(item, int) and abs(item) > _SAFE_INTEGER:
        return str(item)
    return item


def flat(item: Any) -> Any:
    """A map as JSON text, also inside a list; everything else as it is."""
    if isinstance(item, Mapping):
        return json.dumps(item, ensure_ascii=False)
    if isinstance(item, list):
        return [json.dumps(one, ensure_ascii=False) if isinstance(one, (Mapping, list)) else one for one in item]
    return item


def text(item: Any) -> str:
    """A body or an attribute as text."""
    return item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)


def milliseconds(nanoseconds: int) -> float:
    """Nanoseconds as the milliseconds of the API."""
    return round(nanoseconds / 1e6, 3)
