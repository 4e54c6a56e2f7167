"""Calls that wait for a library: they come once, after the module ran, and the import is what it is without them."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import wrapt

from blogauto_otel.instrumentation.import_hooks import when_imported

MODULE = "waited_for"


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A library of two modules that nobody has imported."""
    folder = tmp_path / MODULE
    folder.mkdir()
    (folder / "__init__.py").write_text("answer = 42\n")
    (folder / "inner.py").write_text("answer = 43\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == MODULE]:
        del sys.modules[name]


def _import(name: str = MODULE) -> ModuleType:
    importlib.invalidate_caches()
    return importlib.import_module(name)


def test_a_call_comes_once_when_the_module_has_run() -> None:
    seen: list[int] = []
    when_imported(MODULE, lambda module: seen.append(module.answer))
    assert seen == []

    _import()
    _import()

    assert seen == [42]


def test_it_comes_at_once_for_a_module_that_is_imported() -> None:
    module = _import()
    seen: list[ModuleType] = []

    when_imported(MODULE, seen.append)

    assert seen == [module]


def test_a_module_within_a_package_is_waited_for() -> None:
    seen: list[str] = []
    when_imported(f"{MODULE}.inner", lambda module: seen.append(module.__name__))

    _import()
    assert seen == []
    _import(f"{MODULE}.inner")

    assert seen == [f"{MODULE}.inner"]


def test_the_same_call_waits_once() -> None:
    seen: list[str] = []

    def call(module: ModuleType) -> None:
        seen.append(module.__name__)

    when_imported(MODULE, call)
    when_imported(MODULE, call)
    _import()

    assert seen == [MODULE]


def test_the_module_keeps_its_own_loader_also_while_it_runs(library: Path) -> None:
    (library / "__init__.py").write_text("kinds = type(__loader__), type(__spec__.loader)\n")
    when_imported(MODULE, lambda _: None)

    module = _import()

    assert module.kinds == (SourceFileLoader, SourceFileLoader)
    assert isinstance(module.__loader__, SourceFileLoader)
    assert "kinds" in inspect.getsource(module)


@pytest.mark.quiet_guard
def test_a_call_that_raises_costs_no_import_and_no_other_call() -> None:
    def fail(_: ModuleType) -> None:
        raise ValueError("not this one")

    seen: list[ModuleType] = []
    when_imported(MODULE, fail)
    when_imported(MODULE, seen.append)

    assert _import().answer == 42
    assert len(seen) == 1


def test_what_the_module_raises_passes_and_the_next_attempt_is_waited_for(library: Path) -> None:
    (library / "__init__.py").write_text("raise RuntimeError('half installed')\n")
    seen: list[ModuleType] = []
    when_imported(MODULE, seen.append)

    with pytest.raises(RuntimeError, match="half installed"):
        _import()
    (library / "__init__.py").write_text("answer = 42  # repaired\n")
    _import()

    assert len(seen) == 1


def test_a_module_that_is_not_there_stays_missing() -> None:
    when_imported("waited_for_in_vain", lambda _: None)

    assert importlib.util.find_spec("waited_for_in_vain") is None
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("waited_for_in_vain")


@pytest.mark.parametrize("is_first", [True, False])
def test_the_hooks_of_another_library_are_called_too(is_first: bool) -> None:
    seen: list[str] = []

    def ours(_: ModuleType) -> None:
        seen.append("ours")

    def theirs(_: ModuleType) -> None:
        seen.append("theirs")

    orders: list[tuple[Callable[..., Any], ...]] = [
        (lambda: when_imported(MODULE, ours),),
        (lambda: wrapt.register_post_import_hook(theirs, MODULE),),
    ]
    for (register,) in orders if is_first else orders[::-1]:
        register()

    assert _import().answer == 42
    assert sorted(seen) == ["ours", "theirs"]
