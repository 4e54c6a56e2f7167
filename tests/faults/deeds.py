"""What the application is made to do, by name: harm to itself and the hostile values that it hands to telemetry."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import socket
import sys
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

from opentelemetry import trace

import blogauto_otel

Deed = Callable[..., Any]

DEEDS: dict[str, Deed] = {}


def deed(function: Deed) -> Deed:
    """Make a function known under its name."""
    DEEDS[function.__name__] = function
    return function


def arguments() -> dict[str, Any]:
    """The arguments of `configure` that a row wants: text, and objects that a deed makes."""
    given = json.loads(os.environ.get("CONFIGURE", "{}"))
    makers = json.loads(os.environ.get("CONFIGURE_WITH", "{}"))
    return {**given, **{name: DEEDS[maker]() for name, maker in makers.items()}}


# --- harm --------------------------------------------------------------------------------------------------------------


@deed
def resolving_takes_for_ever() -> None:
    """A resolver that does not answer, for the Collector's name alone."""
    stock = socket.getaddrinfo

    def slow(host: Any, *args: Any, **kwargs: Any) -> Any:
        if str(host).endswith(".invalid"):
            time.sleep(600)
        return stock(host, *args, **kwargs)

    socket.getaddrinfo = slow


@deed
def no_threads() -> None:
    """A limit is reached: no thread can be started from here on."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threading.Thread.start = refuse  # type: ignore[method-assign]


_held: list[int] = []
_undo: list[Deed] = []


@deed
def use_up_descriptors() -> int:
    """Open files until no more can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    with contextlib.suppress(OSError):
        while True:
            _held.append(os.open(os.devnull, os.O_RDONLY))
    return len(_held)


@deed
def refuse_memory() -> None:
    """The system has no memory for another socket, nor for another buffer."""
    stock, stock_compress = socket.socket.connect, zlib.compress

    def no_socket(self: socket.socket, address: Any) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    def no_buffer(*args: Any, **kwargs: Any) -> bytes:
        raise MemoryError

    socket.socket.connect, zlib.compress = no_socket, no_buffer  # type: ignore[method-assign,assignment]

    def undo() -> None:
        socket.socket.connect, zlib.compress = stock, stock_compress  # type: ignore[method-assign]

    _undo.append(undo)


@deed
def give_back() -> None:
    """What was used up is there again."""
    while _held:
        os.close(_held.pop())
    while _undo:
        _undo.pop()()


@deed
def break_output_pipe() -> None:
    """Whoever read our output is gone."""
    reading, writing = os.pipe()
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    os.close(reading)


@deed
def close_output_files() -> None:
    """The application has closed them."""
    sys.stdout.close()
    sys.stderr.close()


@deed
def fill_output() -> None:
    """The disk that the output goes to is full."""
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, 1)
    os.dup2(full, 2)


@deed
def configure_again() -> None:
    """As a second module may do."""
    blogauto_otel.configure(service_name="somebody-else")


# --- values ------------------------------------------------------------------------------------------------------------


@deed
def many_large_spans(count: int, size: int) -> int:
    """Spans with one attribute of that size."""
    tracer = trace.get_tracer("deeds")
    for _ in range(count):
        with tracer.start_as_current_span("large", attributes={"pad": "x" * size}):
            pass
    return count
