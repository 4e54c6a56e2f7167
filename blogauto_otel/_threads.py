"""Threads that block signals of the operating system, and a lock for work that must not run inside itself."""

from __future__ import annotations

import contextvars
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_CAN_BLOCK: Final = hasattr(signal, "pthread_sigmask")  # Windows has no signal masks

# Faults of the thread itself. If they are blocked, the kernel ends the process before `faulthandler` reports them.
_FAULT_SIGNALS: Final = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS")

_IMPORT_SECONDS: Final = 2.0  # that a fork waits for an import of our threads


class _ThreadState(threading.local):
    is_own = False
    blocks_signals = False


_thread: Final = _ThreadState()


def start_thread(target: Callable[..., object], name: str, *args: object) -> threading.Thread | None:
    """Start a daemon thread that receives no signals.

    The kernel delivers a signal to any thread that does not block it. A signal that the application blocks, for a
    critical section or for `sigwait`, would be delivered to a thread of ours.

    Returns:
        None when no thread can be started: a limit is reached, or the process is ending.
    """
    starter = threading.get_native_id()

    def run() -> None:
        _thread.is_own = True
        # With gevent this is a greenlet of the same thread, and the signals are blocked only while it is started.
        _thread.blocks_signals = threading.get_native_id() != starter
        target(*args)

    thread = threading.Thread(target=run, name=name, daemon=True)
    try:
        # In an empty context, because instrumentations of `threading` would keep the current request alive forever.
        with signals_blocked():
            contextvars.Context().run(thread.start)
    except RuntimeError:
        return None
    return thread


def is_own_thread() -> bool:
    """Whether `start_thread` has started the current thread."""
    return _thread.is_own


@contextmanager
def signals_blocked() -> Iterator[None]:
    """A block whose new threads, and the threads that these start, block every signal except those of faults."""
    if not _CAN_BLOCK:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:  # `pthread_sigmask` may set the mask and then raise an exception of the application's signal handler
        faults = {getattr(signal, name, None) for name in _FAULT_SIGNALS}
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - faults)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def without_signal(name: str) -> Iterator[None]:
    """A block whose system calls only fail with an error, and do not send the signal `name` to this thread.

    The application may have set SIGPIPE or SIGXFSZ to its default action, which ends the process. A flush may run in
    one of its threads, so the signal is blocked, discarded if the block caused it, and then unblocked.
    """
    number = getattr(signal, name, None)
    if number is None or not _CAN_BLOCK or _thread.blocks_signals:
        yield
        return
    pending_before = number in signal.sigpending()
    was_blocked = number in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {number})
        yield
    finally:
        if not pending_before:
            _discard(number)
        if not was_blocked:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})


def _discard(number: signal.Signals) -> None:
    if number not in signal.sigpending():
        return
    if hasattr(signal, "sigtimedwait"):
        signal.sigtimedwait({number}, 0)
    else:  # macOS; it is pending for this thread, so this does not wait
        signal.sigwait({number})


class ImportLock:
    """Held by our threads while they import, and by a thread that forks; `_process` registers it.

    If a thread is importing a module at the fork, the module stays locked in the child, and a thread there that imports
    it waits for ever.
    """

    def __init__(self) -> None:
        self.after_fork_in_child()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def before_fork(self) -> None:
        """Wait for imports of our threads; not for ever, because one may need what this thread has locked."""
        if self._lock.acquire(timeout=_IMPORT_SECONDS):
            self._forking.append(threading.get_ident())

    def after_fork_in_parent(self) -> None:
        """Let our threads import again."""
        if threading.get_ident() in self._forking:
            self._forking.remove(threading.get_ident())
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """A fresh lock: a thread that does not exist here may hold the old one."""
        self._lock = threading.RLock()
        self._forking: list[int] = []  # the threads that hold the lock to fork


importing: Final = ImportLock()


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
