"""Regular expressions that are compiled when they are first used: hundreds of them would be a third of the start."""

from __future__ import annotations

import re
from typing import Any, Final, cast

_METHODS: Final = ("search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer")


class _LazyPattern:
    """Stands in for a compiled expression; after the first use its methods are the bound ones of the real one."""

    __slots__ = ("_flags", "pattern", *_METHODS)

    def __init__(self, pattern: str, flags: int) -> None:
        self.pattern = pattern
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        """Called while the slot is empty, and for the attributes that are none of the methods above."""
        if name.startswith("__"):
            raise AttributeError(name)
        compiled = re.compile(self.pattern, self._flags)
        for method in _METHODS:
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)

    def __repr__(self) -> str:
        return f"lazy_pattern({self.pattern!r}, {self._flags})"


def lazy_pattern(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """The same as `re.compile`, later; a mistake in the expression shows at its first use.

    For constants of a module. It is no `re.Pattern` to `isinstance`, nor to the functions of `re`.
    """
    return cast("re.Pattern[str]", _LazyPattern(pattern, int(flags)))
