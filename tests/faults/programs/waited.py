"""Waiting for a forked child, which may hang."""

from __future__ import annotations

import os
import signal
import time

PATIENCE = 10.0  # seconds for a child to flush and end


def ended_well(pid: int) -> bool:
    """Whether it ended in time and with success; one that hangs is killed."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status == 0
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False
