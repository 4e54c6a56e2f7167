"""Agents, Kafka, gateways, samplers, backends: sent equals received although a process of each kind is killed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stack.processes import COLLECTOR, eventually, start_collector
from testkit import otlp
from testkit.environments import environment
from testkit.processes import Process
from tests.scale.kills import Result, run
from tests.scale.topology import Sender, Topology, items_of
from tools.scale.agents import connections

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.xdist_group("scale")]  # one topology for all

# Writes text where the readers expect OTLP.
POISON = """yaml:
exporters:
  kafka/poison:
    brokers: ${env:KAFKA_BROKERS}
    logs: {topic: otlp_spans, encoding: raw}
service:
  pipelines:
    logs/poison: {receivers: [forward/logs_all], exporters: [kafka/poison]}
"""
# Reads the dead letters of spans as they are.
DEAD_LETTERS = """yaml:
receivers:
  kafka/dead:
    brokers: ${env:KAFKA_BROKERS}
    group_id: dead-letters
    initial_offset: earliest
    logs: {topics: [otlp_spans_dead], encoding: text}
exporters:
  file/dead: {path: "${env:OTELCOL_FILE_DIR}/logs.jsonl", create_directory: true, flush_interval: 200ms}
service:
  pipelines:
    logs/dead: {receivers: [kafka/dead], exporters: [file/dead]}
"""


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology(tmp_path_factory.mktemp("scale")) as topology:
        yield topology


@pytest.fixture(scope="module")
def result(topology: Topology) -> Result:
    return run(topology, seconds=2.0)


def test_everything_acknowledged_is_in_the_backends_although_a_process_of_each_kind_is_killed(result: Result) -> None:
    assert min(result.sent.counts()) > 20
    assert result.received.contains(result.sent)


def test_all_spans_of_a_trace_are_at_one_sampler(topology: Topology, result: Result) -> None:
    assert result.divided_traces == set()
    assert all(sampler.spans() for sampler in topology.samplers), "both have traces"


def test_a_series_has_one_writer(result: Result) -> None:
    assert result.series_with_two_writers == set()


def test_the_memory_of_a_collector_does_not_grow_with_what_passes(result: Result) -> None:
    assert result.growth < 64, result.memory


def test_each_process_has_the_connections_that_the_simulation_assumes(topology: Topology, result: Result) -> None:
    assumed = connections(agents=1, gateways=1, samplers=len(topology.samplers), brokers=len(topology.brokers))
    broker = {one.port for one in topology.brokers}
    sampler = {one.ports["GRPC"] for one in topology.samplers}
    assert open_connections(topology.agents[0], broker) <= assumed["agents to brokers"]
    assert open_connections(topology.gateways[0], broker) <= assumed["brokers to gateways"]
    assert open_connections(topology.gateways[0], sampler) == assumed["gateways to samplers"]


def open_connections(process: Process, ports: set[int]) -> int:
    """How many connections a process has to these ports of this machine."""
    return sum(
        one.status == "ESTABLISHED" and one.raddr.port in ports
        for one in psutil.Process(process.pid).net_connections("tcp")
    )


def test_a_record_that_is_no_otlp_is_counted_and_delays_nothing(
    topology: Topology, result: Result, tmp_path: Path
) -> None:
    broker = {"KAFKA_BROKERS": topology.brokers[0].address}
    with start_collector((), tmp=tmp_path, env=broker, extra=[POISON]) as writer:
        for number in range(8):
            assert otlp.post(writer.endpoint, otlp.logs([otlp.record(f"no OTLP {number}")])) == 200
        counted = "otelcol_kafka_receiver_unmarshal_failed_spans_total"
        eventually(lambda: sum(gateway.total(counted) for gateway in topology.gateways), lambda count: count == 8)
    with Sender(*topology.agents) as sender:
        eventually(lambda: len(sender.sent.spans) > 40)
    eventually(lambda: topology.missing(sender.sent), lambda missing: not any(missing), timeout=90.0)
    assert any("unmarshal" in gateway.output for gateway in topology.gateways), "and it is logged"


def test_a_record_that_is_no_otlp_is_copied_to_a_dead_letter_topic(
    topology: Topology, result: Result, tmp_path: Path
) -> None:
    """collector/dead_letters.py, fed with the log of a Collector that reads what the last test has written."""
    servers = topology.brokers[0].address
    python = str(environment("dead-letters", "kafka-python==3.0.12"))
    with start_collector(
        ("tier-kafka-in", "export-file"), tmp=tmp_path, env={"KAFKA_BROKERS": servers, "KAFKA_GROUP": "dead"}
    ) as reader:
        skipped = eventually(
            lambda: [line for line in reader.output.splitlines() if "failed to consume message, skipping" in line],
            lambda lines: len(lines) == 8,
        )
    script = [python, str(COLLECTOR / "dead_letters.py"), "--brokers", servers]
    log = "\n".join([*skipped, "a line of another kind", skipped[0].replace('"offset":', '"offset":99')]) + "\n"
    done = subprocess.run(script, input=log, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == log, "the log passes unchanged"
    assert "dead letters: 8 copied, 1 not copied" in done.stderr
    with start_collector((), tmp=tmp_path / "dead", env={"KAFKA_BROKERS": servers}, extra=[DEAD_LETTERS]) as dead:
        found = eventually(dead.logs, lambda records: len(records) == 8, timeout=60.0)
    assert {record.body for record in found} == {f'"no OTLP {number}"' for number in range(8)}, (
        "as they are in the topic"
    )


def test_the_lag_of_each_partition_is_a_metric(topology: Topology, result: Result) -> None:
    lags = [
        sample
        for gateway in topology.gateways
        for sample in gateway.figures()
        if sample.labels["__name__"] == "otelcol_kafka_receiver_offset_lag_ratio"
    ]
    assert {sample.labels["topic"] for sample in lags} == {"otlp_spans", "otlp_metrics", "otlp_logs"}
    assert all(sample.value <= 1 for sample in lags), "everything has been read"


def test_a_collector_that_reads_with_a_new_group_gets_all_that_is_stored(
    topology: Topology, result: Result, tmp_path: Path
) -> None:
    env = {"KAFKA_BROKERS": topology.brokers[0].address, "KAFKA_GROUP": "second"}
    with start_collector(("tier-kafka-in", "export-file"), tmp=tmp_path, env=env) as second:
        eventually(lambda: items_of(second).contains(result.sent), timeout=90.0, what="all items in a second group")


def test_what_is_stored_in_kafka_is_compressed(topology: Topology, result: Result) -> None:
    spans = [otlp.span(attributes=otlp.SERVER_ATTRIBUTES) for _ in range(500)]
    assert otlp.post(topology.agents[0].endpoint, otlp.traces(spans)) == 200
    name = "otelcol_kafka_exporter_bytes_total"
    stored = eventually(lambda: topology.agents[0].total(name, topic="otlp_spans", compression_codec="zstd"))
    plain = topology.agents[0].total(
        "otelcol_kafka_exporter_bytes_uncompressed_bytes_total", topic="otlp_spans", compression_codec="zstd"
    )
    assert stored < plain / 2


def test_a_gateway_takes_over_the_partitions_of_one_that_is_gone(topology: Topology, result: Result) -> None:
    """The last test: the second gateway is not started again."""
    topology.gateways[1].kill()
    with Sender(*topology.agents) as sender:
        eventually(lambda: len(sender.sent.spans) > 200)
    eventually(lambda: topology.missing(sender.sent), lambda missing: not any(missing), timeout=120.0)
