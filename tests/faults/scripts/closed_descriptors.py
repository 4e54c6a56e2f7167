"""All descriptors closed, as a daemon does, and their numbers reused by the application."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time

from opentelemetry import trace

import blogauto_otel
from testkit.results import print_result

FIRST, LAST = 3, 64  # the range of descriptors that a script opens

telemetry = blogauto_otel.configure(span_delay=0.05, shutdown_timeout=4.0)


def record(name: str, spans: int = 10) -> None:
    for _ in range(spans):
        with trace.get_tracer("faults").start_as_current_span(name):
            pass


def become_a_daemon() -> None:
    """Fork twice and close all, as `daemon(7)` and PEP 3143 say. The first process waits for the daemon to end."""
    ended, held = os.pipe()
    if os.fork():
        os.close(held)
        os.read(ended, 1)
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.dup2(held, LAST)  # outside the closed range; closed when the daemon ends
    signal.alarm(30)  # ends a daemon that hangs
    os.chdir("/")
    os.closerange(FIRST, LAST)


def take_all_numbers() -> dict[int, socket.socket]:
    """Socket pairs of the application under every number in the range; the other end by number."""
    pairs: dict[int, socket.socket] = {}
    while not pairs or max(pairs) < LAST:
        one, other = socket.socketpair()
        pairs[one.fileno()], pairs[other.fileno()] = other, one
    return pairs


def heard(pairs: dict[int, socket.socket]) -> dict[int, str]:
    """What was written to them, or closed, without the application's knowledge."""
    found = {}
    for number, other in pairs.items():
        try:
            other.setblocking(False)
            found[number] = other.recv(100).decode("latin-1") or "closed"
        except BlockingIOError:
            continue
        except OSError as error:
            found[number] = str(error)
    return found


record("before")
telemetry.force_flush()
if sys.argv[1] == "daemon":
    become_a_daemon()
else:
    os.closerange(FIRST, LAST)
pairs = take_all_numbers()
record("after")
time.sleep(1.0)  # the worker exports
record("after")
complete = telemetry.shutdown()
print_result({"complete": complete, "heard": heard(pairs)})
