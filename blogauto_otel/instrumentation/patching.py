"""What patches of libraries need: methods that are replaced and restored, frames that stay unnoticed."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, Final, TypeVar, cast

from blogauto_otel._guard import guard
from blogauto_otel.instrumentation.import_hooks import when_imported

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)

_LOGGING_FILE: Final = logging.addLevelName.__code__.co_filename
_NO_SOURCE: Final = 1_000_000  # beyond the end of that file: a traceback shows no line of it for ours


def version_of(package: str) -> str | None:
    """The version of a package, from its module where that is imported: reading metadata takes a millisecond."""
    imported = getattr(sys.modules.get(package), "__version__", None)
    if imported is not None:
        return str(imported)
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


class MethodPatch:
    """A method of several classes, replaced now or when a class is imported, and restored by `reset`."""

    def __init__(self, wrap: Callable[[Function], Function]) -> None:
        self.is_on = False
        self._wrap = wrap
        self._patched: dict[type, tuple[str, Function | None, Function]] = {}  # the method's name, its own, ours

    def apply(self, module: str, class_name: str, method: str) -> None:
        """Replace the method in this class; call it once for each class."""
        self.is_on = True
        when_imported(module, functools.partial(self._replace, class_name, method))

    def reset(self) -> None:
        """Restore each method that is still ours."""
        self.is_on = False
        for patched, (method, before, ours) in tuple(self._patched.items()):
            if vars(patched).get(method) is not ours:
                continue
            if before is None:
                delattr(patched, method)
            else:
                setattr(patched, method, before)
            del self._patched[patched]

    def _replace(self, class_name: str, method: str, module: ModuleType) -> None:
        patched = getattr(module, class_name, None)
        if not self.is_on or patched is None or patched in self._patched:
            return
        with guard(f"patching {class_name}.{method}"):
            inherited = getattr(patched, method)
            ours = self._wrap(inherited)
            ours.__doc__ = inherited.__doc__
            self._patched[patched] = method, vars(patched).get(method), ours
            setattr(patched, method, ours)


# --- frames: `Logger.findCaller`, structlog's `CallsiteParameterAdder` and the `InterceptHandler` of loguru's pages
# walk up the stack until they leave logging, which they recognise by the file or the module of a frame


def count_as_logging(function: F) -> F:
    """Copy `function` so that its frames look like the standard library's logging, by file and by module.

    Its global names are those of `logging`: what it needs of ours has to be in its closure.
    """
    return _copy(function, vars(logging))


def hide_from_find_caller(function: F) -> F:
    """Copy `function` so that its frames look like the standard library's logging by file; its global names stay."""
    return _copy(function, cast("FunctionType", function).__globals__)


def _copy(function: F, names: dict[str, Any]) -> F:
    given = cast("FunctionType", function)
    code = given.__code__.replace(co_filename=_LOGGING_FILE, co_firstlineno=_NO_SOURCE)
    copy = FunctionType(code, names, given.__name__, given.__defaults__, given.__closure__)
    return cast("F", copy)
