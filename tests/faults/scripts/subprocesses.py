"""Start programs with each API, in several threads, during export; print the descriptors that they inherit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

from opentelemetry import trace

import blogauto_otel
from testkit.results import print_result

LOOK = ["/bin/ls", "-l", "/proc/self/fd"]  # prints its open descriptors

telemetry = blogauto_otel.configure(span_delay=0.01)
tracer = trace.get_tracer("faults")
stop = threading.Event()
found: set[str] = set()


def record() -> None:
    while not stop.is_set():
        with tracer.start_as_current_span("parent"):
            pass
        stop.wait(0.001)


def through_popen() -> str:
    return subprocess.run(LOOK, close_fds=False, capture_output=True, text=True, check=True).stdout


def through_posix_spawn() -> str:
    reading, writing = os.pipe()
    pid = os.posix_spawn(LOOK[0], LOOK, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)])
    os.close(writing)
    with os.fdopen(reading) as result:
        output = result.read()
    os.waitpid(pid, 0)
    return output


def through_fork() -> str:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(writing, 1)
        os.execv(LOOK[0], LOOK)
    os.close(writing)
    with os.fdopen(reading) as result:
        output = result.read()
    os.waitpid(pid, 0)
    return output


def start(times: int) -> None:
    for _ in range(times):
        for way in (through_popen, through_posix_spawn, through_fork):
            found.update(line.partition(" -> ")[2] for line in way().splitlines()[1:])


recording = threading.Thread(target=record)
recording.start()
starting = [threading.Thread(target=start, args=(int(sys.argv[1]),)) for _ in range(3)]
for thread in starting:
    thread.start()
for thread in starting:
    thread.join()
stop.set()
recording.join()
telemetry.shutdown()
own = {str(Path(f"/proc/self/fd/{number}").readlink()) for number in range(3)}
print_result(sorted(name for name in found - own if not re.match(r"pipe:|/proc/\d+/fd$", name)))
