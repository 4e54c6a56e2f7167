"""The tiers as processes: agent, Kafka, two gateways, two samplers that write files; and what was sent and received."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

from stack.processes import Collector, Kafka, start_collector, start_kafka
from testkit import sending

SERVICES = 6
SPANS = 4  # of a trace, in two requests: parts of it arrive at different times
SIGNALS = ("traces", "metrics", "logs")


@dataclass
class Items:
    """Identities by kind: span ids, (series, time) of points, bodies of log records."""

    spans: set[str] = field(default_factory=set)
    points: set[tuple[str, int]] = field(default_factory=set)
    records: set[str] = field(default_factory=set)

    def counts(self) -> tuple[int, int, int]:
        """Spans, points, log records."""
        return len(self.spans), len(self.points), len(self.records)

    def contains(self, other: Items) -> bool:
        """Whether nothing of `other` is missing here."""
        return self.spans >= other.spans and self.points >= other.points and self.records >= other.records

    def __or__(self, other: Items) -> Items:
        return Items(self.spans | other.spans, self.points | other.points, self.records | other.records)


def static_samplers(samplers: list[Collector]) -> str:
    """A configuration URI that lists the samplers by port: on one machine DNS has no name for several of them."""
    hostnames = ", ".join(f'"127.0.0.1:{sampler.ports["GRPC"]}"' for sampler in samplers)
    resolver = f"{{resolver: {{dns: null, static: {{hostnames: [{hostnames}]}}}}}}"
    return f"yaml:{{exporters: {{{', '.join(f'load_balancing/{signal}: {resolver}' for signal in SIGNALS)}}}}}"


class Topology:
    """Started by entering; every process is gone after the block."""

    def __init__(self, tmp: Path, *, brokers: int = 1) -> None:
        self._tmp = tmp
        self._brokers = brokers
        self._ending = ExitStack()
        self.brokers: list[Kafka] = []
        self.samplers: list[Collector] = []
        self.gateways: list[Collector] = []

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            self.brokers = start_kafka(tmp=self._tmp, brokers=self._brokers)
            for broker in self.brokers:
                starting.callback(broker.kill)
            for broker in self.brokers:
                broker.wait_ready(120.0)
            self._start_collectors(starting)
            self._ending = starting.pop_all()
        return self

    def _start_collectors(self, starting: ExitStack) -> None:
        kafka = {"KAFKA_BROKERS": ",".join(broker.address for broker in self.brokers), "KAFKA_CREATE_TOPICS": "true"}
        self.agent = self._collector("agent", ("process-redact", "tier-kafka-out"), env=kafka)
        starting.callback(self.agent.kill)
        for number in (1, 2):
            self.samplers.append(self._collector(f"sampler-{number}", ("export-file",)))
            starting.callback(self.samplers[-1].kill)
        for number in (1, 2):
            overlays = ("tier-kafka-in", "tier-gateway")
            gateway = self._collector(f"gateway-{number}", overlays, env=kafka, extra=[static_samplers(self.samplers)])
            self.gateways.append(gateway)
            starting.callback(gateway.kill)
        for collector in (self.agent, *self.samplers, *self.gateways):
            collector.wait_ready(120.0)

    def _collector(self, name: str, overlays: tuple[str, ...], **options: Any) -> Collector:
        return start_collector(overlays, tmp=self._tmp / name, **options)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()

    def received(self) -> list[Items]:
        """What is in the files of each sampler."""
        return [items_of(sampler) for sampler in self.samplers]

    def missing(self, sent: Items) -> tuple[int, int, int]:
        """How many spans, points and log records have not arrived."""
        found = self.received()[0] | self.received()[1]
        return len(sent.spans - found.spans), len(sent.points - found.points), len(sent.records - found.records)


def items_of(sampler: Collector) -> Items:
    """The distinct items in a sampler's files."""
    return Items(
        spans={f"{span.trace_id}/{span.span_id}" for span in sampler.spans()},
        points=set(_points(sampler)),
        records={str(record.body) for record in sampler.logs()},
    )


def _points(sampler: Collector) -> Iterator[tuple[str, int]]:
    for document in sampler.documents("metrics"):
        for resource in document["resourceMetrics"]:
            attributes = resource["resource"]["attributes"]
            (instance,) = (one["value"]["stringValue"] for one in attributes if one["key"] == "service.instance.id")
            for scope in resource["scopeMetrics"]:
                for metric in scope["metrics"]:
                    for point in metric["sum"]["dataPoints"]:
                        yield f"{instance} {metric['name']}", int(point["timeUnixNano"])


class Sender:
    """Sends all three signals to a Collector in a thread of its own until the end of the block; `sent` is what was
    acknowledged."""

    def __init__(self, endpoint: str, *, pause: float = 0.02) -> None:
        self.sent = Items()
        self._endpoint = endpoint
        self._pause = pause
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sender")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._end.wait(self._pause):
            number += 1
            self._round(number)

    def _round(self, number: int) -> None:
        resource = {"service.name": "blog", "service.instance.id": f"worker-{number % SERVICES}"}
        trace_id = os.urandom(16)
        for _half in range(2):
            spans = [sending.span(trace_id=trace_id) for _ in range(SPANS // 2)]
            if sending.post(self._endpoint, sending.traces(spans, resource)) == 200:
                self.sent.spans.update(f"{trace_id.hex()}/{span.span_id.hex()}" for span in spans)
        metric = sending.counter("things", number, since=time.time_ns())
        if sending.post(self._endpoint, sending.metrics([metric], resource)) == 200:
            point = metric.sum.data_points[0]
            self.sent.points.add((f"{resource['service.instance.id']} things", point.time_unix_nano))
        if sending.post(self._endpoint, sending.logs([sending.record(f"record {number}")], resource)) == 200:
            self.sent.records.add(f"record {number}")
