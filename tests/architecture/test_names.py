"""Names: a class name stands for one class in the whole package, and no name has a word that was replaced."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import blogauto_otel

PACKAGE = Path(blogauto_otel.__file__).parent

ROOT = Path(__file__).parents[2]
FOLDERS = ("benchmarks", "blogauto_otel", "collector", "examples", "monitoring", "stack", "testkit", "tests", "tools")
# Words that a reader who knows OpenTelemetry could not guess; OpenTelemetry, ASGI and queues have others for each.
REPLACED = re.compile(
    r"breath|complain|deeds?|fate|gist|judged?|keeper|lanes?|ledger|pace|planted|provocations?|selfmetrics|shelf"
    r"|spoolplace|spoolview|trail|unobserved|unrest|weathers?"
)

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


def words(name: str) -> set[str]:
    return set(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_"))


def names(path: Path) -> Iterator[str]:
    """The name of a file and its folders, and every name that it defines."""
    yield from path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.arg):
            yield node.arg


def test_no_name_has_a_word_that_was_replaced() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts
        for name in names(path)
        if any(map(REPLACED.fullmatch, words(name)))
    }
    assert found == set()
