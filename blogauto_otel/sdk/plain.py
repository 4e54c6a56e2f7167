"""Plain values: what the application puts on a span or a log record, as text, numbers, bytes, lists and maps."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.attributes import BoundedAttributes

from blogauto_otel._class_names import class_name, type_name
from blogauto_otel._guard import is_foreign
from blogauto_otel.otlp.plain_values import NO_REDACTION, Plain

_LONGEST: Final = 65_536  # characters; the encoder cuts to the limits of the settings
MAX_FRAMES: Final = 50

PLAIN: Final = frozenset({str, bool, int, float})
_FLAT: Final = frozenset({str, bool, int, float, bytes})
_TAKES_MAPS: Final = BoundedAttributes(attributes={"a": b""})["a"] == b""  # as bytes, since 1.45


def to_plain(value: object) -> Any:
    """The value as text, number, bytes, or a list or map of them."""
    return Plain(NO_REDACTION, _LONGEST).convert(value)


def to_plain_attributes(attributes: Any) -> Mapping[str, Any] | None:
    """The attributes as plain values; None when they are no map."""
    converted = to_plain(attributes)
    return converted if isinstance(converted, dict) else None


def _is_nested(value: object) -> bool:
    """Whether the value may contain itself, which the SDK notices at the end of the stack, a millisecond later."""
    if not _TAKES_MAPS:
        return not _is_flat(value)
    if isinstance(value, (list, tuple)):
        return any(isinstance(item, (list, tuple, Mapping)) for item in value)
    return isinstance(value, Mapping) and any(isinstance(item, (list, tuple, Mapping)) for item in value.values())


def _is_flat(value: object) -> bool:
    """Whether an SDK before 1.45 keeps the value: it drops objects, maps and mixed lists."""
    kinds = {type(item) for item in value} if isinstance(value, (list, tuple)) else {type(value)}
    return len(kinds) <= 1 and kinds <= _FLAT


def bounded(value: object) -> Any:
    """A value whose nesting is cut to the depth that is exported; as JSON for an SDK that takes no maps."""
    if type(value) in PLAIN or not _is_nested(value):
        return value
    plain = to_plain(value)
    return plain if _TAKES_MAPS or _is_flat(plain) else json.dumps(plain, ensure_ascii=False, default=str)


def limit_nested(attributes: Any) -> Any:
    """The attributes, with their nested values bounded."""
    for value in attributes.values() if attributes else ():
        if type(value) not in PLAIN and _is_nested(value):
            return {name: bounded(given) for name, given in attributes.items()}
    return attributes


def are_plain(attributes: Mapping[str, Any]) -> bool:
    """Whether the SDK keeps these attributes unchanged: text, numbers and truth values, under names."""
    return (
        type(attributes) is dict
        and PLAIN.issuperset(map(type, attributes.values()))
        and _NAMES.issuperset(map(type, attributes))
        and "" not in attributes
    )


_NAMES: Final = frozenset({str})


def exception_attributes(error: BaseException) -> dict[str, Any]:
    """The attributes that the SDK gives an exception, for one that it cannot read."""
    return {
        "exception.type": type_name(type(error)),
        "exception.message": to_plain(error),
        "exception.stacktrace": _stacktrace(error),
    }


def description(error: BaseException | None) -> str:
    """The description that the SDK gives the status of a span that ended in the exception."""
    return f"{class_name(type(error))}: {to_plain(error)}"


def _stacktrace(error: BaseException) -> str:
    """The frames and the exception's own line, without asking the exception for more than its text."""
    try:
        frames = "".join(traceback.format_tb(error.__traceback__, limit=-MAX_FRAMES))
    except BaseException as broken:
        if not is_foreign(broken):
            raise
        frames = ""
    return f"Traceback (most recent call last):\n{frames}{description(error)}"
