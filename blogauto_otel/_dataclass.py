"""The standard library's `dataclass`, made in a fifth of the time: fifty of them would be an eighth of the start.

`dataclasses` compiles six methods for each class, one at a time before Python 3.13. Here `__init__` alone is compiled,
and the others are shared. It supports what the package uses: `frozen`, `eq`, `kw_only`, defaults and `field`.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: Any = None, /, **options: bool) -> Any:
        """See `dataclasses.dataclass`; `fields`, `replace` and `asdict` work on the class."""
        return functools.partial(_process, **options) if cls is None else _process(cls, **options)


__all__ = ["dataclass"]


class _Absent:
    """The default, in a signature, of a field whose value is made by a function."""

    def __repr__(self) -> str:
        return "<factory>"


_ABSENT: Final = _Absent()


def _process(cls: Any, *, frozen: bool = False, eq: bool = True, kw_only: bool = False) -> Any:
    cls.__doc__ = cls.__doc__ or cls.__name__  # otherwise `dataclasses` writes a signature, which takes as long again
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only)(cls)
    made.__init__ = _build_init(made, is_frozen=frozen)
    methods: dict[str, Any] = {"__repr__": _repr}
    if eq:
        methods |= {"__eq__": _eq, "__hash__": _hash if frozen else None}
    if frozen:
        methods |= {"__setattr__": _refuse_assignment, "__delattr__": _refuse_deletion}
    for name, method in methods.items():
        if name not in vars(cls):  # a method of the class itself stays
            setattr(made, name, method)
    made.__dataclass_params__.frozen = frozen  # so that a frozen class of the application may inherit
    return made


def _build_init(cls: Any, *, is_frozen: bool) -> Any:
    names: dict[str, Any] = {"__name__": cls.__module__, "_set": object.__setattr__, "_absent": _ABSENT}
    arguments: list[str] = []
    keyword_only: list[str] = []
    body: list[str] = []
    annotations: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        name = value = argument = field.name
        annotations[name] = field.type
        if field.default_factory is not dataclasses.MISSING:
            names[f"_make_{name}"] = field.default_factory
            argument = f"{name}=_absent"
            value = f"_make_{name}() if {name} is _absent else {name}"
        elif field.default is not dataclasses.MISSING:
            names[f"_default_{name}"] = field.default
            argument = f"{name}=_default_{name}"
        (keyword_only if field.kw_only else arguments).append(argument)
        body.append(f" _set(self, {name!r}, {value})" if is_frozen else f" self.{name} = {value}")
    listed = ", ".join(["self", *arguments, *(["*", *keyword_only] if keyword_only else [])])
    exec("\n".join([f"def __init__({listed}):", *body]), names)  # noqa: S102 - of the names of fields
    init = names.pop("__init__")
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__annotations__ = {**annotations, "return": None}
    return init


def _values(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, name) for name in type(self).__dataclass_fields__])


def _repr(self: Any) -> str:
    shown = ", ".join(
        [f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr]
    )
    return f"{type(self).__qualname__}({shown})"


def _eq(self: Any, other: object) -> Any:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _refuse_assignment(self: Any, name: str, value: object) -> None:  # noqa: ARG001 - the interface
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deletion(self: Any, name: str) -> None:  # noqa: ARG001 - the interface
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
