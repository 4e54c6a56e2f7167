"""The exceptions: one tree, each also the built-in exception that fits, each with what to do."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import blogauto_otel
from blogauto_otel import errors
from blogauto_otel.errors import BlogautoOtelError, ConfigurationError, MissingDependencyError


def test_all_have_one_root_and_a_builtin_kind() -> None:
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), BlogautoOtelError)
    assert issubclass(errors.UnsafeError, OSError)
    assert issubclass(errors.DeadlineError, TimeoutError)
    assert issubclass(ConfigurationError, BlogautoOtelError)
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(MissingDependencyError, ConfigurationError)
    assert issubclass(MissingDependencyError, ImportError)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MissingDependencyError("X=grpc", "grpcio"), "X=grpc needs the package grpcio: pip install grpcio"),
        (
            MissingDependencyError("X=grpc", "grpcio", extra="grpc"),
            'X=grpc needs the package grpcio: pip install "blogauto_otel[grpc]"',
        ),
    ],
)
def test_a_missing_package_is_named_with_the_setting_and_the_command(
    error: MissingDependencyError, message: str
) -> None:
    assert str(error) == message


def test_the_list_is_complete() -> None:
    public = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert public == set(errors.__all__)


def test_the_tree_is_drawn_whole() -> None:
    for name in errors.__all__:
        assert f"{name} (" in (errors.__doc__ or "") or name == "BlogautoOtelError"


def test_no_other_module_defines_an_exception() -> None:
    package = Path(blogauto_otel.__file__).parent
    defined = {
        f"{path.relative_to(package)}: {node.name}"
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Error", "Exception")) and path.name != "errors.py"
    }
    assert defined == set()
