"""Wrappers that code which looks for its caller takes for a part of the standard library's logging.

`Logger.findCaller`, structlog's `CallsiteParameterAdder` and the `InterceptHandler` of loguru's documentation walk up
the stack until they leave logging. They recognise it by the file name of a frame's code or by the name of its module.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

_FILE: Final = logging.addLevelName.__code__.co_filename
_NO_SOURCE: Final = 1_000_000  # beyond the end of that file: a traceback shows no line of it for ours


def count_as_logging(function: F) -> F:
    """A copy of `function` whose frames look like the standard library's, by file and by module.

    Its global names are those of `logging`: what it needs of ours has to be in its closure.
    """
    return _copy(function, vars(logging))


def hide_from_find_caller(function: F) -> F:
    """A copy of `function` whose frames look like the standard library's by file; its global names are its own."""
    return _copy(function, cast("FunctionType", function).__globals__)


def _copy(function: F, names: dict[str, Any]) -> F:
    given = cast("FunctionType", function)
    code = given.__code__.replace(co_filename=_FILE, co_firstlineno=_NO_SOURCE)
    copy = FunctionType(code, names, given.__name__, given.__defaults__, given.__closure__)
    return cast("F", copy)
