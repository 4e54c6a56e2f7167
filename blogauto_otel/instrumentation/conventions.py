"""The stable semantic conventions for the contrib instrumentations that we switch on, and for no others.

They ask OpenTelemetry which conventions to emit, and it asks the environment. A variable set
there would change what the application's own instrumentations emit, and those of every child process. So the question
is answered by who asks it.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, Final

from blogauto_otel._guard import guard
from blogauto_otel.sdk import private

ROOT: Final = "opentelemetry.instrumentation."
_ASKED: Final = private.CONVENTION_MODULE
_METHOD: Final = private.CONVENTION_METHOD
_STABLE: Final = ("http", "database")

_ours: Final[set[str]] = set()  # modules of the instrumentations that are ours
_original: Any = None


def prefer_stable(*packages: str) -> None:
    """Have these packages below `opentelemetry.instrumentation` emit stable conventions; what the user chose stays."""
    _ours.update(ROOT + package for package in packages)
    with guard("choosing stable semantic conventions"):
        _patch()


def leave(*packages: str) -> None:
    """Leave these packages to the environment again; `prefer_stable` for none of them leaves the library as it was."""
    _ours.difference_update(ROOT + package for package in packages)
    if not _ours:
        _unpatch()


def _patch() -> None:
    global _original
    holder = private.convention_chooser()
    if _original is not None or holder is None:
        return
    _original = vars(holder)[_METHOD]
    ask = getattr(holder, _METHOD)

    def answer(signal: Any) -> Any:
        mode = ask(signal)
        if mode.value == "default" and signal.value in _STABLE and _is_asked_by_ours(sys._getframe(1)):
            return type(mode)(signal.value)
        return mode

    setattr(holder, _METHOD, staticmethod(answer))


def _unpatch() -> None:
    global _original
    if _original is not None:
        setattr(private.convention_chooser(), _METHOD, _original)
        _original = None


def _is_asked_by_ours(frame: FrameType | None) -> bool:
    """Whether the next frame outside of the module that is asked belongs to a package of ours."""
    while frame is not None and frame.f_globals.get("__name__") == _ASKED:
        frame = frame.f_back
    name = str(frame.f_globals.get("__name__")) if frame is not None else ""
    return any(name == ours or name.startswith(f"{ours}.") for ours in _ours)
