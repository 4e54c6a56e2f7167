"""Regular expressions that are compiled at their first use."""

from __future__ import annotations

import re
from typing import Any

import pytest

from blogauto_otel._lazy_pattern import lazy_pattern


@pytest.mark.parametrize("method", ["search", "match", "fullmatch", "findall", "finditer", "split"])
def test_it_finds_what_the_compiled_expression_finds(method: str) -> None:
    lazy, compiled = lazy_pattern("B(a)", re.IGNORECASE), re.compile("B(a)", re.IGNORECASE)
    for _ in range(2):  # the first use, and those after it
        assert shown(getattr(lazy, method)("xbax")) == shown(getattr(compiled, method)("xbax"))
    assert (lazy.pattern, lazy.flags, lazy.groups) == (compiled.pattern, compiled.flags, compiled.groups)


def shown(result: Any) -> object:
    """Matches as text: two of them are never equal."""
    if isinstance(result, list | None):
        return result
    return [match[0] for match in result] if hasattr(result, "__next__") else str(result)


def test_it_replaces() -> None:
    assert lazy_pattern("a+").sub("-", "xaax") == "x-x"


def test_it_is_compiled_at_its_first_use() -> None:
    wrong = lazy_pattern("(")
    with pytest.raises(re.error):
        wrong.search("x")
