"""A lock for work that must not be nested."""

from __future__ import annotations

import threading


class ExclusiveLock:
    """Held by one thread at a time, and by that one once: a second `acquire` in it fails at once.

    The garbage collector may run a finalizer, and the interpreter a signal handler, in a thread that holds a lock.
    With `threading.Lock` they would wait for their own thread; with `threading.RLock` they would begin the same work
    in the middle of itself.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._held = False

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As `threading.Lock.acquire`; False without waiting when this thread holds the lock."""
        if not self._lock.acquire(blocking, timeout):
            return False
        if self._held:
            self._lock.release()
            return False
        self._held = True
        return True

    def release(self) -> None:
        """Let another thread have it. Called by the thread that holds it."""
        self._held = False
        self._lock.release()
