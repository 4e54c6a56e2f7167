"""A thread that logs the lines of our other threads: a handler of the application may block (docs/decisions/0183).

It starts with a line and ends when none is left.
"""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from blogauto_otel import _threads

_NAME: Final = "blogauto-otel-log"
_MAX_LINES: Final = 256  # that wait for a handler that blocks; older ones are dropped


class LogThread:
    """Runs functions that log, in their order and in the context of their callers."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all lines, with a fresh lock."""
        self._lock = threading.RLock()  # reentrant: a finalizer may log while its thread holds the lock
        self._lines: deque[Callable[[], bool]] = deque(maxlen=_MAX_LINES)
        self._thread: threading.Thread | None = None

    def run(self, log: Callable[[], bool]) -> bool:
        """Call `log`: here in a thread of the application, and soon in the log thread otherwise.

        Returns:
            What it returns; True when it is called later.
        """
        if not _threads.is_own_thread():
            return log()
        context = contextvars.copy_context()
        with self._lock:
            self._lines.append(lambda: context.run(log))
            if self._thread is None or not self._thread.is_alive():
                self._thread = _threads.start_thread(self._run, _NAME)
            if self._thread is not None:
                return True
            self._lines.pop()
        return log()  # no thread can be started

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._lines:
                    self._thread = None
                    return
                log = self._lines.popleft()
            log()

    def wait(self, seconds: float) -> None:
        """Wait until the lines are logged, at most so long: the process may be about to end."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)
