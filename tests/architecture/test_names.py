"""One name, one class: a class name stands for one class in the whole package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import blogauto_otel

PACKAGE = Path(blogauto_otel.__file__).parent

# The same in every module: its process-wide state, which `_process` knows, and its state of each thread.
STATE, THREAD_STATE = "_State", "_ThreadState"


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    """Every class with its file, those inside of functions and classes as well."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield path.relative_to(PACKAGE).as_posix(), node


def test_a_class_name_is_used_once() -> None:
    found: dict[str, list[str]] = {}
    for file, node in classes():
        if node.name not in (STATE, THREAD_STATE):
            found.setdefault(node.name.lstrip("_"), []).append(file)
    assert {name: files for name, files in found.items() if len(files) > 1} == {}


def test_a_state_is_registered() -> None:
    for file in {file for file, node in classes() if node.name == STATE}:
        text = (PACKAGE / file).read_text(encoding="utf-8")
        module = file.removesuffix(".py").replace("/", ".")
        by_process = f"register({module}.state)" in (PACKAGE / "_process.py").read_text(encoding="utf-8")
        assert "register(_State()" in text or by_process, file


def test_the_state_of_a_thread_is_local_to_it() -> None:
    for file, node in classes():
        if node.name == THREAD_STATE:
            assert [ast.unparse(base) for base in node.bases] == ["threading.local"], file
