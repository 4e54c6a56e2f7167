"""The run that kills each kind of process while telemetry flows, and what it shows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from stack.processes import eventually
from testkit.processes import Process
from tests.scale.topology import Items, Sender, Topology


@dataclass(frozen=True)
class Result:
    """What was sent and what each sampler has, after the last item arrived."""

    sent: Items
    samplers: tuple[Items, ...]
    seconds: float  # from the end of sending to the last arrival

    @property
    def received(self) -> Items:
        """The distinct items of all samplers together."""
        return self.samplers[0] | self.samplers[1]

    @property
    def divided_traces(self) -> set[str]:
        """Traces of which more than one sampler has spans."""
        one, other = ({span.partition("/")[0] for span in items.spans} for items in self.samplers)
        return one & other

    @property
    def series_with_two_writers(self) -> set[str]:
        """Series of which more than one sampler has points."""
        one, other = ({series for series, _time in items.points} for items in self.samplers)
        return one & other


def kill(process: Process, *, away: float) -> None:
    """SIGKILL, `away` seconds without it, and its return with the same data."""
    process.kill()
    time.sleep(away)
    process.start()
    process.wait_ready(120.0)


def run(
    topology: Topology, *, seconds: float = 3.0, away: float = 1.0, report: Callable[[str], None] = lambda _line: None
) -> Result:
    """Send all the time; kill the agent, a gateway, then each broker once, one after the other."""
    victims: dict[str, Process] = {"agent": topology.agent, "gateway": topology.gateways[0]}
    victims |= {f"broker {number}": broker for number, broker in enumerate(topology.brokers, start=1)}
    with Sender(topology.agent.endpoint) as sender:
        eventually(lambda: any(sampler.spans() for sampler in topology.samplers), timeout=120.0, what="a first span")
        for name, process in victims.items():
            time.sleep(seconds)
            report(f"SIGKILL to {name}, {away:g} s without it")
            kill(process, away=away)
        time.sleep(seconds)
    began = time.monotonic()
    spans, points, records = sender.sent.counts()
    report(f"sent {spans} spans, {points} points, {records} log records; waiting for them")
    eventually(lambda: topology.missing(sender.sent), lambda missing: not any(missing), timeout=180.0, every=0.5)
    return Result(sender.sent, tuple(topology.received()), time.monotonic() - began)
