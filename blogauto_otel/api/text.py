"""Text and plain data from objects of the application: bounded, and without raising whatever `__str__` does."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from blogauto_otel._guard import is_foreign

# Twice what leaves by default: a secret that is cut before it is redacted is not recognised.
MAX_TEXT: Final = 8_192
MAX_STACKTRACE: Final = 16_384
MAX_FRAMES: Final = 50
MAX_DESCRIPTION: Final = 1_024
MAX_ITEMS: Final = 1_000
MAX_DEPTH: Final = 4
MAX_CLASS_NAME: Final = 256
_INT64: Final = 2**63


def safe_text(value: object, limit: int = MAX_TEXT) -> str:
    """`str(value)`, cut to `limit` characters; where that raises, what it was."""
    try:
        text = value if type(value) is str else str(value)
    except BaseException as error:
        if not is_foreign(error):
            raise
        return f"<{class_name(type(value))} without text: {class_name(type(error))}>"
    return text if len(text) <= limit else text[:limit]


def plain(value: object) -> Any:
    """What OTLP and JSON represent: text, numbers, truth values, lists and dicts of them; all else becomes its text.

    Of a structure, at most 1000 items and four levels are kept.
    """
    return _plain(value, MAX_DEPTH, [MAX_ITEMS])


def _plain(value: object, depth: int, left: list[int]) -> Any:
    kind = type(value)
    if kind is str:
        return safe_text(value)
    if kind is bool or kind is float or value is None:
        return value
    if kind is int:
        return value if -_INT64 <= value < _INT64 else safe_text(value)  # type: ignore[operator]
    try:
        if not isinstance(value, (Mapping, Sequence)) or isinstance(value, (str, bytes, bytearray, memoryview)):
            return safe_text(value)
        if depth == 0:
            return f"<{class_name(kind)}>"
        if isinstance(value, tuple) and hasattr(value, "_asdict"):  # its names say what is secret
            return _plain(value._asdict(), depth, left)
        if isinstance(value, Mapping):
            return {safe_text(key): _plain(item, depth - 1, left) for key, item in _first(value.items(), left)}
        return [_plain(item, depth - 1, left) for item in _first(value, left)]
    except BaseException as error:  # a lazy sequence whose database is not available
        if not is_foreign(error):
            raise
        return f"<{class_name(kind)} unreadable: {class_name(type(error))}>"


def _first(items: Iterable[Any], left: list[int]) -> Iterator[Any]:
    for item in items:
        left[0] -= 1
        if left[0] < 0:
            return
        yield item


# Read past the metaclass, which may compute them in a way of its own.
_name_of: Final = type.__dict__["__name__"].__get__
_qualified_name_of: Final = type.__dict__["__qualname__"].__get__
_module_of: Final = type.__dict__["__module__"].__get__


def class_name(kind: type[object]) -> str:
    """`__name__` of any class, cut to length, because an application may generate classes."""
    name: str = _name_of(kind)
    return name[:MAX_CLASS_NAME]


def module_name(kind: type[object]) -> str:
    """`__module__`; empty when the class has put something else there."""
    module = _module_of(kind)
    return module if type(module) is str else ""


def type_name(kind: type[object]) -> str:
    """A class as `exception.type` and `error.type` have it: `json.decoder.JSONDecodeError`, but `ValueError`."""
    name: str = _qualified_name_of(kind)
    module = module_name(kind)
    return (name if module in ("builtins", "") else f"{module}.{name}")[:MAX_CLASS_NAME]


def description(error: BaseException) -> str:
    """The description of a span's status, as the SDK words it: `ValueError: no such post`."""
    return f"{class_name(type(error))}: {safe_text(error, MAX_DESCRIPTION)}"


def stacktrace(error: BaseException, trace: TracebackType | None) -> str:
    """The traceback as Python prints it; a long one keeps its beginning and, what matters more, its end."""
    try:
        text = "".join(traceback.format_exception(type(error), error, trace, limit=-MAX_FRAMES))
    except BaseException as broken:  # an exception with a hostile `__notes__` or `__cause__`
        if not is_foreign(broken):
            raise
        text = f"{_frames(trace)}{type_name(type(error))}: {safe_text(error)}"
    return bounded(text.rstrip("\n"), MAX_STACKTRACE)


def _frames(trace: TracebackType | None) -> str:
    """The frames alone."""
    try:
        return "Traceback (most recent call last):\n" + "".join(traceback.format_tb(trace, limit=-MAX_FRAMES))
    except BaseException as broken:  # a loader of the application without source text
        if not is_foreign(broken):
            raise
        return ""


def bounded(text: str, limit: int) -> str:
    """The text, or a quarter of `limit` from its beginning and the rest from its end."""
    if len(text) <= limit:
        return text
    return f"{text[: limit // 4]}\n...\n{text[limit // 4 + 5 - limit :]}"
