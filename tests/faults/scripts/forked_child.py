"""Run a function in a forked child that may hang."""

from __future__ import annotations

import faulthandler
import os
import signal
import time
import traceback
from collections.abc import Callable

TIMEOUT = 10.0  # seconds for a child to flush and end


def run_in_fork(work: Callable[[], bool]) -> str:
    """How the child ended; empty when `work` returned True.

    A child that hangs prints its stacks and is killed.
    """
    pid = os.fork()
    if pid == 0:
        faulthandler.dump_traceback_later(TIMEOUT - 1.0)
        try:
            os._exit(0 if work() else 1)
        except BaseException:
            traceback.print_exc()
            os._exit(2)
    began = time.monotonic()
    while time.monotonic() - began < TIMEOUT:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            seconds = time.monotonic() - began
            return f"ended with {os.waitstatus_to_exitcode(status)} after {seconds:.1f} s" if status else ""
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hung"
