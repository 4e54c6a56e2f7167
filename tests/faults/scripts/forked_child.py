"""Waiting for a forked child, which may hang."""

from __future__ import annotations

import faulthandler
import os
import signal
import time
import traceback
from collections.abc import Callable

PATIENCE = 10.0  # seconds for a child to flush and end


def run_in_fork(work: Callable[[], bool]) -> str:
    """How a forked child ended that does this and should say True; nothing when it did.

    One that hangs tells where, and is killed.
    """
    pid = os.fork()
    if pid == 0:
        faulthandler.dump_traceback_later(PATIENCE - 1.0)
        try:
            os._exit(0 if work() else 1)
        except BaseException:
            traceback.print_exc()
            os._exit(2)
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            seconds = time.monotonic() - began
            return f"ended with {os.waitstatus_to_exitcode(status)} after {seconds:.1f} s" if status else ""
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hung"
