"""A lock for work that must not run inside itself."""

from __future__ import annotations

import threading


class ExclusiveLock:
    """Held by one thread, and by that thread once: a second `acquire` in it fails at once.

    The garbage collector may run a finalizer, and the interpreter a signal handler, in the thread that holds the lock.
    With `threading.Lock` they would wait for their own thread for ever; with `threading.RLock` they would run the
    protected work inside itself.
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
        """Release the lock; only the thread that holds it may call this."""
        self._held = False
        self._lock.release()
