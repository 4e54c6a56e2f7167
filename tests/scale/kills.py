"""The run that kills each kind of process while telemetry flows, and what it shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stack.processes import Collector, eventually
from testkit.processes import Process
from tests.scale.topology import Items, Sender, Topology

# One of each kind, and all of them with a broker twice.
SHORT = ("agent 1", "gateway 1", "sampler 1", "broker 1")
LONG = (
    *(f"{tier} {number}" for tier in ("agent", "gateway", "sampler") for number in (1, 2)),
    *(f"broker {number}" for number in (1, 2, 3, 1)),
)


@dataclass(frozen=True)
class Result:
    """What was sent, and what the backends and samplers have after the last item arrived."""

    sent: Items
    received: Items
    divided_traces: set[str]
    series_with_two_writers: set[str]
    memory: dict[str, tuple[int, int]]  # of each Collector: after the first kill and at the end, in MiB
    seconds: float  # from the end of sending to the last arrival

    @property
    def growth(self) -> int:
        """The most that the memory of a Collector grew, in MiB."""
        return max(last - first for first, last in self.memory.values())


def resident(process: Process) -> int:
    """Memory of a process, in MiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def kill(process: Process, *, away: float, end: Callable[[Process], object] = Process.kill) -> None:
    """SIGKILL (or another end), `away` seconds without it, and its return with the same data."""
    end(process)
    time.sleep(away)
    process.start()
    process.wait_ready(120.0)


def run(
    topology: Topology,
    victims: Sequence[str] = SHORT,
    *,
    seconds: float = 3.0,
    away: float = 1.0,
    outage: float = 5.0,
    report: Callable[[str], None] = lambda _line: None,
) -> Result:
    """Send all the time; kill the victims one after the other, then stop Jaeger, then let a reader come and go.

    Args:
        topology: All processes.
        victims: Their names, in the order of their kills; others than those of `topology` are left out.
        seconds: Of load before each event.
        away: Seconds that a killed process is away.
        outage: Seconds that Jaeger is away.
        report: Gets a line for each event.
    """
    processes = topology.processes()
    collectors = {name: one for name, one in processes.items() if isinstance(one, Collector)}
    began = time.monotonic()
    memory: dict[str, int] = {}
    with Sender(*topology.agents) as sender:
        eventually(lambda: topology.received(sender.sent).spans, timeout=120.0, what="a first span")
        for name in (name for name in victims if name in processes):
            time.sleep(seconds)
            report(f"{time.monotonic() - began:4.0f} s: SIGKILL to {name}, {away:g} s without it")
            kill(processes[name], away=away)
            memory = memory or {name: resident(one) for name, one in collectors.items()}
        report(f"{time.monotonic() - began:4.0f} s: Jaeger stops for {outage:g} s")
        kill(topology.jaeger, away=outage, end=Process.stop)
        report(f"{time.monotonic() - began:4.0f} s: a third gateway comes and goes: Kafka's partitions move twice")
        with topology.start_gateway("gateway-3"):
            time.sleep(seconds)
        time.sleep(seconds)
    ended = time.monotonic()
    spans, points, records = sender.sent.counts()
    report(f"{ended - began:4.0f} s: sent {spans} spans, {points} points, {records} log records; waiting for them")
    eventually(lambda: topology.missing(sender.sent), lambda missing: not any(missing), timeout=180.0, every=0.5)
    took = time.monotonic() - ended
    return Result(
        sender.sent,
        topology.received(sender.sent),
        topology.divided_traces(),
        topology.series_with_two_writers(),
        {name: (memory[name], resident(one)) for name, one in collectors.items()},
        took,
    )
