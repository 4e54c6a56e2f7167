"""Structures: the limits of what is read of one, and names that another part of it gives to a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from blogauto_otel._lazy_pattern import lazy_pattern

MAX_DEPTH: Final = 8
MAX_ITEMS: Final = 10_000
MAX_TEXTS: Final = 4  # texts of full length in one structure
MAX_HEADERS: Final = 200

# The keys of `{"key": "password", "value": "x"}` in its usual spellings.
_VALUES: Final = frozenset(("value", "Value", "val", "v"))
_NAMES: Final = ("name", "key", "Name", "Key", "field", "header", "parameter", "param", "k")
_HEADER: Final = lazy_pattern(r"(?:[A-Za-z]+-)+[A-Za-z]+|[Aa]uthorization|[Cc]ookie")
_CONTENT: Final = lazy_pattern(r"[A-Za-z][\w-]{1,60}")


class StructureLimits:
    """The depth, items and characters that a structure may still have."""

    __slots__ = ("_longest", "characters", "depth", "items")

    def __init__(self, longest: int) -> None:
        self.depth, self.items = MAX_DEPTH, MAX_ITEMS
        self._longest = longest
        self.characters = MAX_TEXTS * longest

    def read(self, text: str) -> bool:
        """Count the characters of one text; False above the limit."""
        self.characters -= min(len(text), self._longest)
        return self.characters >= 0

    def enter(self, items: int) -> bool:
        """Count one structure; False above a limit. Call `leave` afterwards only where it returned True."""
        if self.depth <= 0 or self.items < items:
            return False
        self.depth -= 1
        self.items -= items
        return True

    def leave(self) -> None:
        """Undo one `enter`."""
        self.depth += 1


def name_beside(holder: Mapping[Any, Any], name: object) -> str:
    """The name that another entry of the map gives this value; empty without one.

    The `loc` of an `input` in an error of pydantic, and the `name` or `key` of a `value`.
    """
    if name == "input":
        where = holder.get("loc")
        return ".".join(part for part in where if isinstance(part, str)) if isinstance(where, (list, tuple)) else ""
    if name in _VALUES:
        for other in _NAMES:
            if other in holder:
                return as_key(holder[other])
    return ""


def are_flat_headers(items: list[Any]) -> bool:
    """Whether names and values of headers alternate, as Node and some proxies print them."""
    if len(items) % 2 or len(items) > MAX_HEADERS:
        return False
    names = [as_key(item) for item in items[::2]]
    return all(map(_CONTENT.fullmatch, names)) and any(map(_HEADER.fullmatch, names))


def as_key(name: object) -> str:
    """A name as text; empty if it is neither text nor bytes."""
    if isinstance(name, str):
        return name
    return name.decode("latin-1") if isinstance(name, bytes) else ""
