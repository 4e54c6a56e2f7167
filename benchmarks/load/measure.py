"""The measurement: all servers run, and each round loads one after the other, in random order."""

from __future__ import annotations

import contextlib
import json
import os
import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.load.client import ROUTES, send_load
from benchmarks.load.setups import Setup
from testkit.environments import environment as environment_with
from testkit.ports import free_port
from testkit.processes import Process, running

WARM_UP = 1  # seconds for each route of a server
TICK = os.sysconf("SC_CLK_TCK")


class Case(NamedTuple):
    """What is varied beside the variant."""

    loop: str
    route: str
    connections: int


@dataclass(frozen=True)
class Sample:
    """One run of load on one server; latencies in milliseconds, collections in seconds."""

    rate: float
    p50: float
    p99: float
    cpu_us: float  # of all threads of the server, per request
    collections: Sequence[float]


Samples = dict[str, list[Sample]]  # by variant, one for each round


@contextlib.contextmanager
def servers(
    setups: Mapping[str, Setup],
    loops: Sequence[str],
    python: str,
    sink: str,
    folder: Path,
    variables: Mapping[str, str],
) -> Iterator[dict[tuple[str, str], Process]]:
    """One server for each loop and variant, ready and warm."""
    started: dict[tuple[str, str], Process] = {}
    with contextlib.ExitStack() as stack:
        for loop in loops:
            for name, setup in setups.items():
                its_python = _python_of(name, setup, python)
                server = stack.enter_context(_server(name, setup, loop, its_python, sink, folder, variables))
                server.wait_until_it_answers("/plain")
                for route in ROUTES:
                    send_load(server.url, route, connections=8, seconds=WARM_UP, folder=folder)
                started[loop, name] = server
        yield started


def _python_of(name: str, setup: Setup, python: str) -> str:
    return str(environment_with(f"load-{name}", *setup.environment)) if setup.environment else python


def _server(
    name: str, setup: Setup, loop: str, python: str, sink: str, folder: Path, variables: Mapping[str, str]
) -> contextlib.AbstractContextManager[Process]:
    port = free_port()
    command = [python, "-m", "uvicorn", "benchmarks.load.application:app", "--port", str(port), "--loop", loop]
    command += ["--log-level", "warning", "--no-access-log"]
    common = {
        "LOAD_SETUP": name,
        "LOAD_SINK": sink,
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "BLOGAUTO_OTEL_CONSOLE": "off",
    }
    log = folder / f"{name}-{loop}" / "server.log"
    log.parent.mkdir()
    return running(command, log, port=port, **common, **setup.variables, **variables)


def measure(
    started: Mapping[tuple[str, str], Process], cases: Sequence[Case], *, rounds: int, seconds: int, folder: Path
) -> dict[Case, Samples]:
    """The samples of every case."""
    found: dict[Case, Samples] = {case: {} for case in cases}
    for _ in range(rounds):
        for case in random.sample(cases, len(cases)):
            names = [name for loop, name in started if loop == case.loop]
            for name in random.sample(names, len(names)):
                sample = run_load(started[case.loop, name], case, seconds, folder)
                found[case].setdefault(name, []).append(sample)
    return found


def run_load(server: Process, case: Case, seconds: int, folder: Path) -> Sample:
    """Load one server for some seconds."""
    server.get("/collections")
    before = _cpu_seconds(server.pid)
    answered = send_load(server.url, case.route, connections=case.connections, seconds=seconds, folder=folder)
    cpu_us = (_cpu_seconds(server.pid) - before) / max(1, answered.requests) * 1e6
    collections = json.loads(server.get("/collections")[1])
    return Sample(answered.rate, answered.p50, answered.p99, cpu_us, collections)


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process and all its threads (proc(5): the fields 14 and 15 of `stat`)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


# --- what is made of it -----------------------------------------------------------------------------------------------


def compared(samples: Samples, name: str, rival: str, field: str) -> float:
    """The median over the rounds of a variant's value divided by another's of the same round."""
    pairs = zip(samples[name], samples[rival], strict=True)
    return float(statistics.median(getattr(ours, field) / (getattr(theirs, field) or 1e-9) for ours, theirs in pairs))


def added_cpu(samples: Samples, name: str) -> float:
    """The median over the rounds of the microseconds per request beyond the bare application's."""
    pairs = zip(samples[name], samples["bare"], strict=True)
    return statistics.median(ours.cpu_us - bare.cpu_us for ours, bare in pairs)


def median(samples: Samples, name: str, field: str) -> float:
    """The median over the rounds."""
    return float(statistics.median(getattr(sample, field) for sample in samples[name]))
