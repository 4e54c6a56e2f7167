"""Process-wide state is registered in one place: no module assigns a global name."""

from __future__ import annotations

import ast
from pathlib import Path

import blogauto_otel

PACKAGE = Path(blogauto_otel.__file__).parent


def test_no_module_assigns_a_global_name() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Global)
    }
    assert not found
