"""Process-wide state: a registry of the objects that hold it, renewed in a forked child and cleared at a reset.

A part that needs process-wide state keeps it in the attributes of one object, and registers that object here:

    _state: Final = register(_State())

No module assigns a global name. An object may have two methods: `after_fork_in_child()` gives it fresh locks and what
else a child must not share with its parent, and `reset()` returns it to what it was before `configure()`.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

T = TypeVar("T")

_registered: Final[list[Any]] = []


def register(state: T) -> T:
    """Add an object for the life of the process; returns it."""
    _registered.append(state)
    return state


def after_fork_in_child() -> None:
    """Call `after_fork_in_child` of every registered object that has it, in the order of registration."""
    for state in tuple(_registered):
        renew = getattr(state, "after_fork_in_child", None)
        if renew is not None:
            renew()


def reset() -> None:
    """Call `reset` of every registered object that has it, the last registered first."""
    for state in reversed(_registered):
        clear = getattr(state, "reset", None)
        if clear is not None:
            clear()
