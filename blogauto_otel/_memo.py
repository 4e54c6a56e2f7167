"""A bounded memo: remembers up to a number of values, then starts again from empty."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedMemo(dict[K, V], Generic[K, V]):
    """A dict for values that can be computed again; read it as a dict, add with `remember`.

    Reading costs what a dict costs. When it is full, everything is forgotten: the values in use come back at once,
    and no order has to be kept.
    """

    __slots__ = ("limit",)

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def remember(self, key: K, value: V) -> V:
        """Add a value; returns it."""
        if len(self) >= self.limit:
            self.clear()
        self[key] = value
        return value
