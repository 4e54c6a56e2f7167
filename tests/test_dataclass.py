"""Our `dataclass` makes the classes that the standard library's makes."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from dataclasses import field
from typing import Any

import pytest

from blogauto_otel._dataclass import dataclass as ours

_STOCK: Any = dataclasses.dataclass


def _frozen(dataclass: Any) -> Any:
    @dataclass(frozen=True)
    class Point:
        """A point."""

        x: int
        y: int = 2
        tags: list[str] = field(default_factory=list, repr=False)

    return Point


def _mutable(dataclass: Any) -> Any:
    @dataclass
    class Count:
        number: int = 0
        seen: set[str] = field(default_factory=set)

    return Count


def _keyword_only(dataclass: Any) -> Any:
    @dataclass(frozen=True, kw_only=True)
    class Named:
        name: str = "x"
        size: int  # type: ignore[misc] # mypy sees no decorator

    return Named


def _with_methods(dataclass: Any) -> Any:
    @dataclass(frozen=True)
    class Secret:
        text: str

        def __repr__(self) -> str:
            return "Secret(***)"

    return Secret


def _by_identity(dataclass: Any) -> Any:
    @dataclass(eq=False)
    class Item:
        number: int

    return Item


CLASSES: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "frozen": (_frozen, {"x": 1}),
    "mutable": (_mutable, {"number": 1}),
    "keyword only": (_keyword_only, {"size": 1}),
    "with a method of its own": (_with_methods, {"text": "a"}),
    "compared by identity": (_by_identity, {"number": 1}),
}


def _outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return type(error)


@pytest.mark.parametrize(("build", "arguments"), CLASSES.values(), ids=CLASSES)
@pytest.mark.parametrize(
    "ask",
    [
        lambda cls, given: repr(cls(**given)).rpartition(".")[2],
        lambda cls, given: cls(**given) == cls(**given),
        lambda cls, given: cls(**given) == object(),
        lambda cls, given: len({cls(**given), cls(**given)}),
        lambda cls, given: dataclasses.asdict(cls(**given)),
        lambda cls, given: dataclasses.asdict(dataclasses.replace(cls(**given), **dict.fromkeys(given, 7))),
        lambda cls, given: dataclasses.asdict(copy.deepcopy(cls(**given))),
        lambda cls, given: dataclasses.asdict(cls(*given.values())),
        lambda cls, given: setattr(cls(**given), next(iter(given)), 5),
        lambda cls, given: delattr(cls(**given), next(iter(given))),
        lambda cls, _: repr(cls()),
        lambda cls, _: cls(unknown=1),
        lambda cls, _: str(inspect.signature(cls)),
        lambda cls, _: cls.__match_args__,
    ],
    ids=[
        "repr",
        "eq",
        "other",
        "hash",
        "asdict",
        "replace",
        "copy",
        "positional",
        "set",
        "delete",
        "missing",
        "unknown",
        "signature",
        "match",
    ],
)
def test_it_behaves_as_the_standard_librarys(
    build: Callable[[Any], Any], arguments: dict[str, Any], ask: Callable[[Any, dict[str, Any]], Any]
) -> None:
    assert _outcome(lambda: ask(build(ours), arguments)) == _outcome(lambda: ask(build(_STOCK), arguments))


def test_each_instance_has_a_default_of_its_own() -> None:
    count = _mutable(ours)

    count().seen.add("a")

    assert count().seen == set()


def test_an_application_may_inherit_from_a_frozen_class() -> None:
    parent: Any = _frozen(ours)

    @dataclasses.dataclass(frozen=True)
    class Child(parent):  # type: ignore[misc]
        z: int = 3

    assert Child(1).z == 3
    assert Child(1) != parent(1)


@ours(frozen=True)
class Pickled:
    """At the top of a module, where pickle finds it."""

    number: int


def test_an_instance_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(Pickled(1))) == Pickled(1)
