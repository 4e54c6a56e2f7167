"""Process-wide state: a registry of the objects that hold it, called when the process serves, forks and ends.

A part that needs process-wide state keeps it in the attributes of one object, and registers that object here:

    _state: Final = register(_State())

No module assigns a global name. An object may have these methods, which must not wait for a lock of another part:

| method | called |
|---|---|
| `on_lifespan_startup()` | when an ASGI application has started |
| `on_lifespan_shutdown()` | in a thread, when an ASGI application ends; the server waits for it |
| `after_fork_in_child()` | in a forked child: fresh locks, and nothing that a child must not share with its parent |
| `at_exit()` | when the process ends |
| `reset()` | to return to the state before `configure()`; only tests do it |
"""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from collections.abc import Iterable
from enum import IntEnum
from typing import Any, Final, TypeVar

from blogauto_otel import _guard, _messages
from blogauto_otel._guard import guard
from blogauto_otel._threads import importing

T = TypeVar("T")


class Phase(IntEnum):
    """Which states are called before which; a reset goes backwards. Within a phase, in the order of registration."""

    STATE = 0  # needs no other
    PROVIDERS = 1  # the delivery and the three providers, which get the child's resource
    INSTRUMENTATIONS = 2
    INTEGRATIONS = 3


class _Process:
    """What is registered, and what is hooked into the interpreter."""

    def __init__(self) -> None:
        self.registered: list[tuple[Phase, Any]] = []
        self.is_hooked = False
        self.is_ending = False
        # `multiprocessing` drops callbacks whose object is gone; the process stays.
        self.known_to_multiprocessing: weakref.WeakSet[_Process] = weakref.WeakSet()


_process: Final = _Process()


def register(state: T, phase: Phase = Phase.STATE) -> T:
    """Add an object for the life of the process; returns it."""
    _process.registered.append((phase, state))
    return state


register(_guard.state)  # the first of all: the calls below are guarded
register(_messages.state)
register(importing)


def is_ending() -> bool:
    """True once the process is ending: what is configured now is not flushed any more."""
    return _process.is_ending


def reset() -> None:
    """Call `reset` of every registered object that has it, the last first."""
    _call("reset", reversed(_in_order()))


def on_lifespan_startup() -> None:
    """Call `on_lifespan_startup` of every registered object that has it."""
    _call("on_lifespan_startup", _in_order())


def on_lifespan_shutdown() -> None:
    """Call `on_lifespan_shutdown` of every registered object that has it."""
    _call("on_lifespan_shutdown", _in_order())


def after_fork_in_child() -> None:
    """Call `after_fork_in_child` of every registered object that has it."""
    _call("after_fork_in_child", _in_order())


def at_exit() -> None:
    """Call `at_exit` of every registered object that has it; the process is ending."""
    _process.is_ending = True
    _call("at_exit", _in_order())


def _in_order() -> list[Any]:
    return [state for _, state in sorted(_process.registered, key=lambda entry: entry[0])]


def _call(method: str, states: Iterable[Any]) -> None:
    for state in states:
        call = getattr(state, method, None)
        if call is not None:
            with guard(f"{method} of {type(state).__module__}"):
                call()


# --- hooks in the interpreter ----------------------------------------------------------------------------------------


def hook() -> None:
    """Call the registered objects wherever this process ends or forks; again does nothing."""
    if _process.is_hooked:
        return
    _process.is_hooked = True
    atexit.register(at_exit)
    with guard("hooking into multiprocessing"):
        _hook_into_multiprocessing()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_before_fork,
            after_in_parent=importing.after_fork_in_parent,
            after_in_child=after_fork_in_child,
        )


def _hook_into_multiprocessing() -> None:
    """For a child that configures telemetry itself: under `forkserver` too it ends with `os._exit`."""
    module = sys.modules.get("multiprocessing.process")
    if module is not None and module.parent_process() is not None:
        _finalize_with_multiprocessing()


def _finalize_with_multiprocessing() -> None:
    from multiprocessing import util

    util.Finalize(None, at_exit, exitpriority=0)


def _before_fork() -> None:
    """Prepare what a child cannot do for itself.

    If a thread is importing the codec of host names at the fork, it stays half imported in the child, which then cannot
    resolve a name. A child of `multiprocessing` ends with `os._exit`, which runs its own finalizers but not `atexit`.
    """
    with guard("importing the codec of host names"):
        "localhost".encode("idna")
    util = sys.modules.get("multiprocessing.util")
    if util is not None and _process not in _process.known_to_multiprocessing:
        with guard("hooking into multiprocessing"):
            util.register_after_fork(_process, lambda _: _finalize_with_multiprocessing())
            _process.known_to_multiprocessing.add(_process)
    importing.before_fork()
