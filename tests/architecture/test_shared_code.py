"""Tests, benchmarks and the rest share code through `testkit/`, and import nothing of each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OTHERS = ("benchmarks", "testkit", "examples", "stack", "monitoring", "tools", "blogauto_otel")


def imported(path: Path) -> Iterator[str]:
    """The top-level packages that a file imports, and those of modules that it runs with `-m`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("tests."):
            yield "tests"


def importers(package: str, of: str) -> list[str]:
    """The files of a package that import another one."""
    files = sorted((ROOT / package).rglob("*.py"))
    assert files, package
    return [str(path.relative_to(ROOT)) for path in files if of in imported(path)]


@pytest.mark.parametrize("package", OTHERS)
def test_nothing_outside_the_tests_imports_them(package: str) -> None:
    assert importers(package, "tests") == []


def test_tests_do_not_import_benchmarks() -> None:
    assert importers("tests", "benchmarks") == []


def test_testkit_does_not_import_benchmarks() -> None:
    assert importers("testkit", "benchmarks") == []
