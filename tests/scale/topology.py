"""The tiers as processes, from agents to backends; and what was sent and received."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

from stack.processes import (
    Collector,
    Kafka,
    Process,
    prometheus_config,
    start_collector,
    start_jaeger,
    start_kafka,
    start_prometheus,
)
from testkit import otlp

SERVICES = 6
SPANS = 4  # of a trace, in two requests: parts of it arrive at different times
SIGNALS = ("traces", "metrics", "logs")
SAMPLER = ("export-jaeger", "export-prometheus-otlp", "export-loki", "export-file")


@dataclass
class Items:
    """Identities by kind: span ids, (series, milliseconds) of points, bodies of log records."""

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
    """Agents, Kafka, gateways, samplers and their backends; started by entering, gone after the block.

    Two of each tier; Jaeger, Prometheus and a Collector in Loki's place behind the samplers.
    """

    def __init__(self, tmp: Path, *, brokers: int = 1, trace_keys: bool = True) -> None:
        self._tmp = tmp
        self._brokers = brokers
        self._trace_keys = trace_keys
        self._ending = ExitStack()
        self._spans: set[str] = set()  # that Jaeger is known to have
        self.brokers: list[Kafka] = []
        self.agents: list[Collector] = []
        self.samplers: list[Collector] = []
        self.gateways: list[Collector] = []

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            self.brokers = start_kafka(tmp=self._tmp, brokers=self._brokers)
            for broker in self.brokers:
                starting.callback(broker.kill)
            self._start_backends(starting)
            for broker in self.brokers:
                broker.wait_ready(120.0)
            self._start_collectors(starting)
            self._ending = starting.pop_all()
        return self

    def _start_backends(self, starting: ExitStack) -> None:
        self.jaeger = start_jaeger(tmp=self._tmp / "jaeger")
        config = prometheus_config(self._tmp / "prometheus", {}, rules=())
        self.prometheus = start_prometheus(config, tmp=self._tmp / "prometheus", push=True)
        self.log_store = self._collector("log-store", ("export-file",))
        backends = (self.jaeger, self.prometheus, self.log_store)
        for backend in backends:
            starting.callback(backend.kill)
        for backend in backends:
            backend.wait_ready(120.0)

    def _start_collectors(self, starting: ExitStack) -> None:
        self._kafka = {
            "KAFKA_BROKERS": ",".join(broker.address for broker in self.brokers),
            "KAFKA_CREATE_TOPICS": "true",
            "KAFKA_TRACE_KEYS": str(self._trace_keys).lower(),
        }
        backends = {
            "JAEGER_OTLP_ENDPOINT": self.jaeger.otlp_endpoint,
            "PROMETHEUS_OTLP_ENDPOINT": f"{self.prometheus.url}/api/v1/otlp",
            "LOKI_OTLP_ENDPOINT": self.log_store.endpoint,
        }
        for number in (1, 2):
            self.agents.append(
                self._collector(f"agent-{number}", ("process-redact", "tier-kafka-out"), env=self._kafka)
            )
            starting.callback(self.agents[-1].kill)
            self.samplers.append(self._collector(f"sampler-{number}", SAMPLER, env=backends))
            starting.callback(self.samplers[-1].kill)
        for number in (1, 2):
            self.gateways.append(self.start_gateway(f"gateway-{number}"))
            starting.callback(self.gateways[-1].kill)
        for collector in (*self.agents, *self.samplers, *self.gateways):
            collector.wait_ready(120.0)

    def start_gateway(self, name: str) -> Collector:
        """One more reader of Kafka, which the caller enters."""
        extra = [static_samplers(self.samplers)]
        return self._collector(name, ("tier-kafka-in", "tier-gateway"), env=self._kafka, extra=extra)

    def _collector(self, name: str, overlays: tuple[str, ...], **options: Any) -> Collector:
        return start_collector(overlays, tmp=self._tmp / name, **options)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()

    def processes(self) -> dict[str, Process]:
        """Every process that holds telemetry on its way, by name."""
        tiers: dict[str, Sequence[Process]] = {
            "agent": self.agents,
            "gateway": self.gateways,
            "sampler": self.samplers,
            "broker": self.brokers,
        }
        return {f"{tier} {n}": one for tier, members in tiers.items() for n, one in enumerate(members, start=1)}

    def received(self, sent: Items) -> Items:
        """What the backends have of the items that were sent."""
        return Items(self._traces(sent), self._points(), {str(record.body) for record in self.log_store.logs()})

    def _traces(self, sent: Items) -> set[str]:
        asked = {span.partition("/")[0] for span in sent.spans - self._spans}
        with ThreadPoolExecutor(4) as pool:
            for spans in pool.map(self.jaeger.trace, asked):
                self._spans.update(f"{span.trace_id}/{span.span_id}" for span in spans)
        return self._spans

    def _points(self) -> set[tuple[str, int]]:
        data = self.prometheus.answer("query", query="things_total[1h]")
        return {
            (f"{series['metric']['instance']} things", round(seconds * 1000))
            for series in data["result"]
            for seconds, _value in series["values"]
        }

    def missing(self, sent: Items) -> tuple[int, int, int]:
        """How many spans, points and log records have not arrived."""
        found = self.received(sent)
        return len(sent.spans - found.spans), len(sent.points - found.points), len(sent.records - found.records)

    def divided_traces(self) -> set[str]:
        """Traces of which more than one sampler has spans."""
        one, other = ({span.trace_id for span in sampler.spans()} for sampler in self.samplers)
        return one & other

    def series_with_two_writers(self) -> set[str]:
        """Series of which more than one sampler has points."""
        one, other = ({series for series, _time in _points(sampler)} for sampler in self.samplers)
        return one & other


def items_of(sampler: Collector) -> Items:
    """The distinct items in the files of a Collector."""
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
                        yield f"{instance} {metric['name']}", int(point["timeUnixNano"]) // 1_000_000


class Sender:
    """Sends all three signals to Collectors in turn, in a thread of its own until the end of the block; `sent` is what
    was acknowledged."""

    def __init__(self, *agents: Collector, pause: float = 0.02) -> None:
        self.sent = Items()
        self._agents = agents
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
        endpoint = self._agents[number % len(self._agents)].endpoint
        resource = {"service.name": "blog", "service.instance.id": f"worker-{number % SERVICES}"}
        trace_id = os.urandom(16)
        for _half in range(2):
            spans = [otlp.span(trace_id=trace_id) for _ in range(SPANS // 2)]
            if otlp.post(endpoint, otlp.traces(spans, resource)) == 200:
                self.sent.spans.update(f"{trace_id.hex()}/{span.span_id.hex()}" for span in spans)
        metric = otlp.counter("things", number, since=time.time_ns())
        if otlp.post(endpoint, otlp.metrics([metric], resource)) == 200:
            point = metric.sum.data_points[0]
            self.sent.points.add((f"{resource['service.instance.id']} things", point.time_unix_nano // 1_000_000))
        if otlp.post(endpoint, otlp.logs([otlp.record(f"record {number}")], resource)) == 200:
            self.sent.records.add(f"record {number}")
