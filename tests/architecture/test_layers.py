"""What import-linter cannot say: `api` stands on the OpenTelemetry API alone, and there are no circles of imports."""

from __future__ import annotations

import ast
from pathlib import Path

import grimp

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


def test_no_module_imports_itself_through_others() -> None:
    """Imports for types alone are not counted: they do not run."""
    graph = grimp.build_graph("blogauto_otel", exclude_type_checking_imports=True, cache_dir=None)
    above = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    while leaves := {name for name, imports in above.items() if not imports & above.keys()}:
        above = {name: imports for name, imports in above.items() if name not in leaves}

    assert above == {}
