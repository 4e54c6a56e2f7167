"""`gc.freeze()` once the application has started: full collections then skip what start-up left (decision 0028)."""

from __future__ import annotations

import gc
import os
from typing import Final

from blogauto_otel import _process


class _State:
    """Where this module was imported, and which process was frozen; a forked worker has a start-up of its own."""

    def __init__(self) -> None:
        self.importing_pid = os.getpid()
        self.frozen_pid: int | None = None

    def at_exit(self) -> None:
        """The interpreter's last collection finds them, and runs their finalizers."""
        self.reset()

    def reset(self) -> None:
        """Give the frozen objects back to the collector."""
        if self.frozen_pid is not None:
            self.frozen_pid = None
            gc.unfreeze()


_state: Final = _process.register(_State())


def freeze_once() -> bool:
    """Freeze what is alive, at the first call of a process; True when this call did it.

    Garbage is collected first, because frozen garbage stays for ever. Not in a process that was forked from one with
    the application in it, as under gunicorn's `--preload`: a collection writes to every object and so copies every page
    that the workers share; to freeze writes to none.

    An application that has switched the collector off has decided for itself.
    """
    pid = os.getpid()
    if _state.frozen_pid == pid or not gc.isenabled() or not hasattr(gc, "freeze"):
        return False
    _state.frozen_pid = pid
    if pid == _state.importing_pid:
        gc.collect()
    gc.freeze()
    return True
