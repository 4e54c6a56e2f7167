"""From requests a second to cores, disk and partitions: what the measured costs say, and how far they carry.

    python -m tools.scale sizing 10 1000 100000

Costs are read from measured.json, which `python -m benchmarks scale --write` replaces. A figure counts as measured
where the load of its tier was run on the test machine, and as extrapolated where it is more than that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MEASURED: Final = Path(__file__).with_name("measured.json")
SIGNALS: Final = ("spans", "points", "records")
ASSUMED, MEASURED_HERE, EXTRAPOLATED = "assumed", "measured", "extrapolated"


@dataclass(frozen=True)
class Assumptions:
    """What no benchmark says. Change them to those of your application."""

    spans: float = 3.0  # for a request: its own, a SQL statement, a call
    records: float = 1.0  # for a request
    requests_per_process: float = 100.0
    processes_per_host: int = 8
    series: float = 400.0  # of a process
    interval: float = 15.0  # seconds between two points of a series
    utilization: float = 0.5  # of a core; the rest is for the failure of another process and for catching up
    cores_per_process: float = 2.0
    outage: float = 600.0  # seconds that a queue on disk bears
    retention: float = 86_400.0  # seconds that Kafka keeps
    copies: int = 3  # of a partition
    compression: float = 6.0  # of OTLP by zstd; generated data compresses by twenty


@dataclass(frozen=True)
class Figure:
    """One number of the plan."""

    what: str
    value: float
    unit: str
    basis: str  # `assumed`, `measured` or `extrapolated`


@dataclass(frozen=True)
class Plan:
    """What one load needs."""

    requests: float
    layout: str
    figures: tuple[Figure, ...]

    def value(self, what: str) -> float:
        """The number with that name."""
        (found,) = (figure.value for figure in self.figures if figure.what == what)
        return found


def load_measured(path: Path = MEASURED) -> dict[str, Any]:
    """The last results that were written."""
    return dict(json.loads(path.read_text()))


def items(requests: float, assumed: Assumptions) -> dict[str, float]:
    """Items a second, by signal."""
    return {
        "spans": requests * assumed.spans,
        "points": processes(requests, assumed) * assumed.series / assumed.interval,
        "records": requests * assumed.records,
    }


def processes(requests: float, assumed: Assumptions) -> int:
    """Processes of the application; two at least, so that one can fail."""
    return max(2, math.ceil(requests / assumed.requests_per_process))


# Tiers, and the names of their costs.
ONE: Final = {"Collector": "one Collector"}
TWO: Final = {"agents": "agent", "gateways": "one Collector"}
KAFKA: Final = {
    "agents": "agent, into Kafka",
    "Kafka": "Kafka broker",
    "gateways": "gateway, out of Kafka",
    "samplers": "sampler",
}
MOST_WITHOUT_KAFKA: Final = 8.0  # cores that the gateways would need


def layout(hosts: int, cores: float) -> tuple[str, Mapping[str, str]]:
    """The tiers for applications on that many hosts, whose telemetry would take one Collector that many cores."""
    if hosts == 1:
        return "one Collector", ONE
    if cores <= MOST_WITHOUT_KAFKA:
        return "agents, gateways", TWO
    return "agents, Kafka, gateways, samplers", KAFKA


def plan(requests: float, *, measured: Mapping[str, Any] | None = None, assumed: Assumptions | None = None) -> Plan:
    """Cores, processes, disk and partitions for that many requests a second."""
    known, assumed = measured or load_measured(), assumed or Assumptions()
    rates = items(requests, assumed)
    hosts = math.ceil(processes(requests, assumed) / assumed.processes_per_host)
    name, tiers = layout(hosts, _cores(rates, known, "one Collector").value)
    figures = [Figure(f"{signal} a second", rate, "", ASSUMED) for signal, rate in rates.items()]
    for tier, costs in tiers.items():
        figures += _tier(tier, _cores(rates, known, costs), rates, known, assumed, hosts)
    if "Kafka" in tiers:
        figures += _kafka(rates, known, assumed, figures)
    return Plan(requests, name, tuple(figures))


@dataclass(frozen=True)
class _Cores:
    value: float
    measured: bool


def _cores(rates: Mapping[str, float], known: Mapping[str, Any], tier: str) -> _Cores:
    """CPU seconds a second, at the cost with the most processes that were run."""
    most = max(known["cost"][tier], key=int)
    cost, ran = known["cost"][tier][most], known["rate"][tier][most]
    return _Cores(
        sum(rates[signal] * cost[signal] for signal in SIGNALS) / 1e6,
        all(rates[signal] <= ran[signal] for signal in SIGNALS),
    )


def _tier(
    tier: str, cores: _Cores, rates: Mapping[str, float], known: Mapping[str, Any], assumed: Assumptions, hosts: int
) -> list[Figure]:
    per_host = tier == "agents"
    least = {"agents": hosts, "Collector": 1, "Kafka": 3}.get(tier, 2)
    count = hosts if per_host else max(least, math.ceil(cores.value / assumed.utilization / assumed.cores_per_process))
    basis = MEASURED_HERE if cores.measured and count <= 4 else EXTRAPOLATED
    found = [
        Figure(f"{tier}: CPU, all together", cores.value, "cores", basis),
        Figure(f"{tier}: processes", count, "", basis),
    ]
    if tier != "Kafka":
        sizes = known["size"]["queue on disk"]
        disk = sum(rates[signal] * sizes[signal] for signal in SIGNALS) * assumed.outage / count / 1e9
        found.append(Figure(f"{tier}: queue on disk, each", disk, "GB", basis))
    return found


def _kafka(
    rates: Mapping[str, float], known: Mapping[str, Any], assumed: Assumptions, figures: list[Figure]
) -> list[Figure]:
    written = sum(rates[signal] * known["size"]["OTLP"][signal] for signal in SIGNALS) / assumed.compression
    (readers,) = (figure.value for figure in figures if figure.what == "gateways: processes")
    return [
        Figure("Kafka: written", written / 1e6, "MB/s", EXTRAPOLATED),
        Figure("Kafka: disk, all together", written * assumed.retention * assumed.copies / 1e9, "GB", EXTRAPOLATED),
        # Twice the readers, so that their number can double: a partition has one reader, and more partitions move keys.
        Figure("Kafka: partitions of each topic", max(12, 2 * readers), "", EXTRAPOLATED),
    ]
