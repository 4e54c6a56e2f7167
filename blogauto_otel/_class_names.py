"""Names of classes: of any class, cut to length, because an application may generate classes."""

from __future__ import annotations

from typing import Final

MAX_CLASS_NAME: Final = 256

# Read past the metaclass, which may compute them in a way of its own.
_name_of: Final = type.__dict__["__name__"].__get__
_qualified_name_of: Final = type.__dict__["__qualname__"].__get__
_module_of: Final = type.__dict__["__module__"].__get__


def class_name(kind: type[object]) -> str:
    """`__name__`."""
    name: str = _name_of(kind)
    return name[:MAX_CLASS_NAME]


def module_name(kind: type[object]) -> str:
    """`__module__`; empty when the class has put something else there."""
    module = _module_of(kind)
    return module if type(module) is str else ""


def type_name(kind: type[object]) -> str:
    """A class as `exception.type` and `error.type` have it: `json.decoder.JSONDecodeError`, but `ValueError`."""
    name: str = _qualified_name_of(kind)
    module = module_name(kind)
    return (name if module in ("builtins", "") else f"{module}.{name}")[:MAX_CLASS_NAME]
