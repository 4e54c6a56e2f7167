"""Modules have 60 to 350 lines, except those that decision 0110 names."""

from __future__ import annotations

import re
from pathlib import Path

import blogauto_otel

PACKAGE = Path(blogauto_otel.__file__).parent
DECISION = Path(__file__).parents[2] / "docs" / "decisions" / "0110-names-and-sizes-of-modules.md"
SMALLEST, LARGEST, LARGEST_NAMED = 60, 350, 500


def sizes() -> dict[str, int]:
    """The lines of every module, by its path without the suffix; those of packages are not counted."""
    return {
        path.relative_to(PACKAGE).with_suffix("").as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }


def test_a_module_of_another_size_is_named_in_the_decision() -> None:
    named = set(re.findall(r"`([\w/]+)`", DECISION.read_text(encoding="utf-8")))
    others = {name: lines for name, lines in sizes().items() if not SMALLEST <= lines <= LARGEST}
    assert {name: lines for name, lines in others.items() if name not in named} == {}
    assert max(others.values()) <= LARGEST_NAMED
