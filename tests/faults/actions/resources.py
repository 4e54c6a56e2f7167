"""Actions that take a resource from the process: threads, descriptors, memory, output, DNS, clocks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import select
import socket
import sys
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

import freezegun

import blogauto_otel
from blogauto_otel._clock import clock
from tests.faults.actions.registry import action


@action
def dns_hangs() -> None:
    """The resolver hangs for the Collector's name."""
    stock = socket.getaddrinfo

    def slow(host: Any, *args: Any, **kwargs: Any) -> Any:
        if str(host).endswith(".invalid"):
            time.sleep(600)
        return stock(host, *args, **kwargs)

    socket.getaddrinfo = slow


@action
def first_address_is_dead() -> None:
    """The Collector's name has two addresses; the first refuses connections."""
    stock = socket.getaddrinfo

    def two(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "collector.test":
            return [found for one in ("127.0.0.2", "127.0.0.1") for found in stock(one, *args, **kwargs)]
        return stock(host, *args, **kwargs)

    socket.getaddrinfo = two


@action
def no_threads() -> None:
    """No thread can be started from now on."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threading.Thread.start = refuse  # type: ignore[method-assign]


_held: list[int] = []
_undo: list[Callable[[], None]] = []


@action
def exhaust_descriptors() -> int:
    """Open files until no more can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    with contextlib.suppress(OSError):
        while True:
            _held.append(os.open(os.devnull, os.O_RDONLY))
    return len(_held)


@action
def exhaust_memory() -> None:
    """No memory for another socket or buffer."""
    stock, stock_compress = socket.socket.connect, zlib.compress

    def no_socket(self: socket.socket, address: Any) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    def no_buffer(*args: Any, **kwargs: Any) -> bytes:
        raise MemoryError

    socket.socket.connect, zlib.compress = no_socket, no_buffer  # type: ignore[method-assign,assignment]

    def undo() -> None:
        socket.socket.connect, zlib.compress = stock, stock_compress  # type: ignore[method-assign]

    _undo.append(undo)


@action
def release_resources() -> None:
    """Make the exhausted resources available again."""
    while _held:
        os.close(_held.pop())
    while _undo:
        _undo.pop()()


@action
def break_output_pipe() -> None:
    """The reader of the output has closed its pipe."""
    reading, writing = os.pipe()
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    os.close(reading)


@action
def close_output_files() -> None:
    """The application closes stdout and stderr."""
    sys.stdout.close()
    sys.stderr.close()


@action
def fill_output_disk() -> None:
    """Redirect the output to a full disk."""
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, 1)
    os.dup2(full, 2)


@action
def no_poll() -> None:
    """`select.poll` is missing, as after eventlet's monkey patching and on Windows."""
    del select.poll


@action
def no_file_locks() -> None:
    """The file system has no locks, as NFS without its lock daemon."""

    def refuse(descriptor: Any, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    fcntl.flock = refuse


@action
def freeze_clocks() -> None:
    """freezegun stops every clock that Python code reads; the event loop keeps its own."""
    freezegun.freeze_time("2020-01-01", real_asyncio=True).start()


@action
def change_user_id() -> None:
    """Existing files belong to another user."""
    stock = os.geteuid
    os.geteuid = lambda: stock() + 1


@action
def advance_clock_two_days() -> None:
    """As after a suspend: calendar and boot time have advanced."""
    seconds = 2 * 86_400
    stock_time, stock_clock = time.time_ns, time.clock_gettime
    clock.time_ns = lambda: stock_time() + seconds * 10**9
    time.time_ns = lambda: stock_time() + seconds * 10**9
    time.clock_gettime = lambda kind: stock_clock(kind) + (seconds if kind == time.CLOCK_BOOTTIME else 0)


@action
def configure_again() -> None:
    """A second call, as from another module."""
    blogauto_otel.configure(service_name="somebody-else")


@action
def advance_monotonic_clock(seconds: float) -> None:
    """Advance the monotonic clock for callers of `time.monotonic`, and for delivery, which reads it past patches."""
    time.monotonic = _later(time.monotonic, seconds)
    clock.monotonic = _later(clock.monotonic, seconds)


def _later(stock: Callable[[], float], seconds: float) -> Callable[[], float]:
    return lambda: stock() + seconds


_calendar = {"time": time.time, "time_ns": time.time_ns}


@action
def set_clock(seconds: float) -> None:
    """Shift the calendar clock in every module that imported it."""
    for name, stock in _calendar.items():
        unit = 1 if name == "time" else 1_000_000_000
        shifted = lambda stock=stock, unit=unit: stock() + type(stock())(seconds * unit)  # noqa: E731
        _replace_everywhere(name, shifted)
        setattr(clock, name, shifted)


def _replace_everywhere(name: str, new: Any) -> None:
    old = getattr(time, name)
    for module in list(sys.modules.values()):
        for attribute, value in list(vars(module).items()):
            if value is old:
                setattr(module, attribute, new)
