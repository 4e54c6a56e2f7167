"""CPU time for an item in each tier of Collectors, with 1, 2 and 4 processes of it.

CPU seconds of the processes, from /proc, do not depend on what else the machine does; a rate would. Items a second and
core is their inverse. What a tier sends to is a Collector that only receives, and is not counted.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.scale import load
from stack.processes import Collector, Kafka, Process, eventually, start_collector, start_kafka

COUNTS: Final = (1, 2, 4)  # processes of a tier
ITEMS: Final = 24_000  # of each signal in a run
FIRST: Final = 2_000  # before it: connections, assignments of partitions, buffers
ACCEPTED: Final = {
    "spans": "otelcol_receiver_accepted_spans_total",
    "points": "otelcol_receiver_accepted_metric_points_total",
    "records": "otelcol_receiver_accepted_log_records_total",
}
BACKENDS: Final = ("export-jaeger", "export-prometheus-otlp", "export-loki")


@dataclass(frozen=True)
class Tier:
    """What its Collectors load, and what they are sent."""

    overlays: tuple[str, ...]
    resource: Mapping[str, str] = field(default_factory=lambda: load.OURS)
    counts: tuple[int, ...] = COUNTS


TIERS: Final = {
    "one Collector": Tier(("process-redact", *BACKENDS), counts=(1,)),
    "one Collector, data that it redacts": Tier(("process-redact", *BACKENDS), load.OTHERS, counts=(1,)),
    "agent": Tier(("process-redact", "tier-agent")),
    "gateway": Tier(("tier-gateway",)),
    "sampler": Tier(("process-sampling", *BACKENDS)),
}
OUT, IN, BROKER = "agent, into Kafka", "gateway, out of Kafka", "Kafka broker"
KEYS: Final = {"false": "", "true": " (a record for each trace)"}  # KAFKA_TRACE_KEYS
KAFKA_OUT: Final = ("process-redact", "tier-kafka-out")
KAFKA_IN: Final = ("tier-kafka-in", "tier-gateway")


@dataclass
class Measured:
    """Microseconds of CPU by tier, processes and signal; items a second of those runs; bytes by place and signal."""

    cost: dict[str, dict[int, dict[str, float]]] = field(default_factory=dict)
    rate: dict[str, dict[int, dict[str, float]]] = field(default_factory=dict)
    size: dict[str, dict[str, float]] = field(default_factory=dict)

    def keep(self, tier: str, count: int, signal: str, cost: float, rate: float) -> None:
        """Note one run."""
        self.cost.setdefault(tier, {}).setdefault(count, {})[signal] = round(cost, 2)
        self.rate.setdefault(tier, {}).setdefault(count, {})[signal] = round(rate)


def cpu_seconds(processes: Sequence[Process]) -> float:
    """Of all threads of these processes since their start."""
    total = 0
    for process in processes:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def run(report: Callable[[str], None], *, items: int = ITEMS, counts: Sequence[int] = COUNTS) -> Measured:
    """Measure every tier; three to six minutes."""
    measured = Measured()
    with tempfile.TemporaryDirectory() as folder:
        for name, tier in TIERS.items():
            for count in sorted({*tier.counts} & {*counts}):
                report(f"{name}, {count}")
                _tier(Path(folder) / f"{name}-{count}", name, tier, count, items, measured)
        report("sizes")
        _sizes(Path(folder) / "sizes", measured)
        report("Kafka")
        _kafka(Path(folder), items, counts, measured, report)
    return measured


@contextmanager
def _started(processes: Sequence[Process]) -> Iterator[None]:
    with ExitStack() as ending:
        for process in processes:
            ending.callback(process.kill)
        for process in processes:
            process.wait_ready(120.0)
        yield


def _next(sink: Collector) -> dict[str, str]:
    """Addresses of everything that a tier may send to."""
    return {
        "OTELCOL_NEXT_ENDPOINT": f"127.0.0.1:{sink.ports['GRPC']}",
        "JAEGER_OTLP_ENDPOINT": f"127.0.0.1:{sink.ports['GRPC']}",
        "PROMETHEUS_OTLP_ENDPOINT": sink.endpoint,
        "LOKI_OTLP_ENDPOINT": sink.endpoint,
        "SAMPLER_PORT": str(sink.ports["GRPC"]),
        "OTELCOL_SAMPLING_PERCENT": "100",
    }


def _tier(folder: Path, name: str, tier: Tier, count: int, items: int, measured: Measured) -> None:
    sink = start_collector((), tmp=folder / "sink")
    collectors = [start_collector(tier.overlays, tmp=folder / str(number), env=_next(sink)) for number in range(count)]
    with _started([sink, *collectors]):
        prepared = [(one.endpoint, load.requests(f"{number}", tier.resource)) for number, one in enumerate(collectors)]
        for signal in load.SIGNALS:
            _measure(sink, prepared, signal, FIRST)
            seconds, used = _measure(sink, prepared, signal, items, collectors)
            measured.keep(name, count, signal, used[0] / items * 1e6, items / seconds)


def _measure(
    sink: Collector,
    prepared: Sequence[tuple[str, Mapping[str, load.Request]]],
    signal: str,
    items: int,
    *groups: Sequence[Process],
) -> tuple[float, list[float]]:
    """Seconds until the sink has all items, and CPU seconds of each group of processes."""
    before = sink.total(ACCEPTED[signal])
    began, used = time.monotonic(), [cpu_seconds(group) for group in groups]
    load.send(prepared, signal, items)
    eventually(
        lambda: sink.total(ACCEPTED[signal]) - before,
        lambda found: found >= items,
        timeout=120.0,
        every=0.05,
        what=signal,
    )
    return time.monotonic() - began, [cpu_seconds(group) - first for group, first in zip(groups, used, strict=True)]


def _sizes(folder: Path, measured: Measured) -> None:
    """Bytes of an item in OTLP, and in a queue on disk while the next tier is away."""
    prepared = load.requests("0", load.OURS)
    measured.size["OTLP"] = {name: round(len(request.body) / load.ITEMS) for name, request in prepared.items()}
    measured.size["queue on disk"] = {}
    for signal in load.SIGNALS:
        with start_collector(("tier-agent",), tmp=folder / signal) as agent:
            empty = _files(folder / signal / "queue")
            load.send([(agent.endpoint, prepared)], signal, ITEMS)
            eventually(lambda agent=agent: agent.total("otelcol_exporter_queue_size") > 0)  # type: ignore[misc]
            grown = _files(folder / signal / "queue") - empty
        measured.size["queue on disk"][signal] = round(grown / ITEMS)


def _files(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def _kafka(folder: Path, items: int, counts: Sequence[int], measured: Measured, report: Callable[[str], None]) -> None:
    (broker,) = start_kafka(tmp=folder)
    with _started([broker]):
        for count in counts:
            for keys in KEYS if count == 1 else ("false",):
                report(f"Kafka, {count}{KEYS[keys]}")
                _through_kafka(folder / f"kafka-{count}-{keys}", broker, count, keys, items, measured)


def _through_kafka(folder: Path, broker: Kafka, count: int, keys: str, items: int, measured: Measured) -> None:
    sink = start_collector((), tmp=folder / "sink")
    env = {
        **_next(sink),
        "KAFKA_BROKERS": broker.address,
        "KAFKA_CREATE_TOPICS": "true",
        "KAFKA_TOPIC_PREFIX": folder.name,
        "KAFKA_TRACE_KEYS": keys,
    }
    writers = [start_collector(KAFKA_OUT, tmp=folder / f"out{number}", env=env) for number in range(count)]
    with _started([sink, *writers]):
        prepared = [(one.endpoint, load.requests(f"{number}", load.OURS)) for number, one in enumerate(writers)]
        for signal in load.SIGNALS:
            load.send(prepared, signal, FIRST)  # creates the topics
        readers = [start_collector(KAFKA_IN, tmp=folder / f"in{number}", env=env) for number in range(count)]
        with _started(readers):
            for signal in load.SIGNALS:
                eventually(lambda signal=signal: sink.total(ACCEPTED[signal]) >= FIRST, timeout=60.0)  # type: ignore[misc]
                seconds, used = _measure(sink, prepared, signal, items, writers, readers, [broker])
                for tier, one in zip((OUT, IN, BROKER), used, strict=True):
                    if signal == "spans" or keys == "false":
                        measured.keep(tier + KEYS[keys], count, signal, one / items * 1e6, items / seconds)
            if keys == "false":
                measured.size["Kafka, compressed"] = _stored(writers, items + FIRST)


def _stored(writers: Sequence[Collector], items: int) -> dict[str, float]:
    name, topics = "otelcol_kafka_exporter_bytes_total", {"spans": "spans", "points": "metrics", "records": "logs"}
    found: dict[str, float] = {}
    for signal, topic in topics.items():
        samples = [one for writer in writers for one in writer.figures() if one.labels["__name__"] == name]
        found[signal] = round(sum(one.value for one in samples if one.labels["topic"].endswith(f"_{topic}")) / items)
    return found
