"""What import-linter cannot say: application code emits through the OpenTelemetry API, never its SDK."""

from __future__ import annotations

import ast
from pathlib import Path

import blogauto_otel

API = Path(blogauto_otel.__file__).parent / "api"


def imported(module: Path) -> set[str]:
    """Every module that a file imports, at the top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_api_imports_the_api_only() -> None:
    modules = list(API.rglob("*.py"))
    assert modules
    for module in modules:
        forbidden = [name for name in imported(module) if name.startswith("opentelemetry.sdk")]
        assert not forbidden, f"{module.name} imports {forbidden}"
