"""Private members of OpenTelemetry are used in two modules: the SDK's in `sdk/private.py`, the API's in `_otel.py`."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib.metadata import files
from pathlib import Path

import blogauto_otel

PACKAGE = Path(blogauto_otel.__file__).parent
ALLOWED = ("sdk/private.py", "_otel.py")
UNSTABLE = {"_logs"}  # modules that have an underscore until their signal is stable, and are documented all the same
HOOKS = {"_configure"}  # of distros and configurators; OpenTelemetry documents them with their underscore
DISTRIBUTIONS = ("opentelemetry-api", "opentelemetry-sdk", "opentelemetry-instrumentation")


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in UNSTABLE


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    """The private names in the imports of OpenTelemetry, and in the paths of the modules that they name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("opentelemetry"):
            yield from filter(is_private, (*(node.module or "").split("."), *(alias.name for alias in node.names)))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("opentelemetry"):
                    yield from filter(is_private, alias.name.split("."))


def defined(tree: ast.Module) -> Iterator[str]:
    """The private attributes, methods and slots that a module gives to its own objects."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Attribute, ast.Name)) and isinstance(node.ctx, ast.Store):
            yield node.attr if isinstance(node, ast.Attribute) else node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):  # `__slots__`
            yield node.value


def used(tree: ast.Module) -> Iterator[str]:
    """The private attributes that a module reads of any object, by their names or by `getattr` and the like."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            yield node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"getattr", "hasattr", "setattr", "delattr"}:
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(str(name.value)):
                yield str(name.value)


@cache
def of_opentelemetry() -> frozenset[str]:
    """Every private name that the installed OpenTelemetry defines."""
    paths = [path.locate() for name in DISTRIBUTIONS for path in files(name) or () if path.suffix == ".py"]
    assert len(paths) > 100
    trees = [ast.parse(Path(str(path)).read_text(encoding="utf-8")) for path in paths]
    return frozenset(name for tree in trees for name in defined(tree) if is_private(name))


def test_private_names_are_imported_in_two_modules() -> None:
    found = {file: set(imported(tree)) for file, tree in modules()}
    assert {file: names for file, names in found.items() if names and file not in ALLOWED} == {}
    assert found["_otel.py"]


def test_private_attributes_are_read_in_two_modules() -> None:
    """An attribute that the package defines as well is taken for its own, unless it is only read through `getattr`."""
    ours = frozenset(name for file, tree in modules() if file not in ALLOWED for name in defined(tree))
    found = {file: of_opentelemetry() & set(used(tree)) - ours for file, tree in modules() if file not in ALLOWED}
    assert {file: names for file, names in found.items() if names} == {}


def test_private_methods_are_overridden_in_one_module() -> None:
    """A class of ours that has a private method of its base in OpenTelemetry relies on being called through it."""
    found = []
    for info in pkgutil.walk_packages([str(PACKAGE)], "blogauto_otel."):
        if info.name.endswith(("__main__", ".sitecustomize", ".private")):
            continue
        module = importlib.import_module(info.name)
        for kind in vars(module).values():
            if not isinstance(kind, type) or kind.__module__ != info.name:
                continue
            bases = [base for base in kind.__mro__ if base.__module__.startswith("opentelemetry.")]
            names = {name for base in bases for name in vars(base) if is_private(name)} - HOOKS - {"_abc_impl"}
            found += [f"{info.name}:{kind.__name__}.{name}" for name in sorted(names & set(vars(kind)))]
    assert found == []
