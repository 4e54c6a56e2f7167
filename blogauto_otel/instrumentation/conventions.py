"""The stable semantic conventions for the contrib instrumentations that we switch on, and for no others.

They ask OpenTelemetry which conventions to emit, and it reads the environment. A variable set there would change what
the application's own instrumentations emit, and those of every child process. So the answer depends on the caller.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, Final

from blogauto_otel._guard import guard
from blogauto_otel._process import register
from blogauto_otel.sdk import private

ROOT: Final = "opentelemetry.instrumentation."
_SEMCONV: Final = private.CONVENTION_MODULE
_METHOD: Final = private.CONVENTION_METHOD
_STABLE: Final = ("http", "database")


class _State:
    """The modules that emit stable conventions, and the method that is patched while there are any."""

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.original: Any = None

    def reset(self) -> None:
        """Leave the choice to the environment again."""
        self.modules.clear()
        _unpatch()


_state: Final = register(_State())


def prefer_stable(*packages: str) -> None:
    """Have these packages below `opentelemetry.instrumentation` emit stable conventions; the user's choice stays."""
    _state.modules.update(ROOT + package for package in packages)
    with guard("choosing stable semantic conventions"):
        _patch()


def forget(*packages: str) -> None:
    """Leave these packages to the environment again; without any package left the method is restored."""
    _state.modules.difference_update(ROOT + package for package in packages)
    if not _state.modules:
        _unpatch()


def _patch() -> None:
    holder = private.convention_chooser()
    if _state.original is not None or holder is None:
        return
    _state.original = vars(holder)[_METHOD]
    get_mode = getattr(holder, _METHOD)

    def answer(signal: Any) -> Any:
        mode = get_mode(signal)
        if mode.value == "default" and signal.value in _STABLE and _is_called_by_ours(sys._getframe(1)):
            return type(mode)(signal.value)
        return mode

    setattr(holder, _METHOD, staticmethod(answer))


def _unpatch() -> None:
    if _state.original is not None:
        setattr(private.convention_chooser(), _METHOD, _state.original)
        _state.original = None


def _is_called_by_ours(frame: FrameType | None) -> bool:
    """Whether the next frame outside the module that answers belongs to one of our packages."""
    while frame is not None and frame.f_globals.get("__name__") == _SEMCONV:
        frame = frame.f_back
    name = str(frame.f_globals.get("__name__")) if frame is not None else ""
    return any(name == ours or name.startswith(f"{ours}.") for ours in _state.modules)
