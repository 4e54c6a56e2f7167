"""Agent, Kafka, two gateways, two samplers: sent equals received although agent, gateway and broker are killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.processes import eventually, start_collector
from testkit import sending
from tests.scale.proof import Result, run
from tests.scale.topology import Sender, Topology, items_of

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


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology(tmp_path_factory.mktemp("scale")) as topology:
        yield topology


@pytest.fixture(scope="module")
def result(topology: Topology) -> Result:
    return run(topology, seconds=2.0)


def test_everything_sent_is_received_although_agent_gateway_and_broker_are_killed(result: Result) -> None:
    assert min(result.sent.counts()) > 20
    assert result.received.contains(result.sent)


def test_all_spans_of_a_trace_are_at_one_sampler(result: Result) -> None:
    assert result.divided_traces == set()
    assert all(items.spans for items in result.samplers), "both have traces"


def test_a_series_has_one_writer(result: Result) -> None:
    assert result.series_with_two_writers == set()


def test_a_record_that_is_no_otlp_is_counted_and_delays_nothing(
    topology: Topology, result: Result, tmp_path: Path
) -> None:
    broker = {"KAFKA_BROKERS": topology.brokers[0].address}
    with start_collector((), tmp=tmp_path, env=broker, extra=[POISON]) as writer:
        for number in range(8):
            assert sending.post(writer.endpoint, sending.logs([sending.record(f"no OTLP {number}")])) == 200
        counted = "otelcol_kafka_receiver_unmarshal_failed_spans_total"
        eventually(lambda: sum(gateway.total(counted) for gateway in topology.gateways), lambda count: count == 8)
    with Sender(topology.agent.endpoint) as sender:
        eventually(lambda: len(sender.sent.spans) > 40)
    eventually(lambda: topology.missing(sender.sent), lambda missing: not any(missing), timeout=90.0)
    assert any("unmarshal" in gateway.output for gateway in topology.gateways), "and it is logged"


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
    spans = [sending.span(attributes=sending.SERVER_ATTRIBUTES) for _ in range(500)]
    assert sending.post(topology.agent.endpoint, sending.traces(spans)) == 200
    name = "otelcol_kafka_exporter_bytes_total"
    stored = eventually(lambda: topology.agent.total(name, topic="otlp_spans", compression_codec="zstd"))
    plain = topology.agent.total(
        "otelcol_kafka_exporter_bytes_uncompressed_bytes_total", topic="otlp_spans", compression_codec="zstd"
    )
    assert stored < plain / 2


def test_a_gateway_takes_over_the_partitions_of_one_that_is_gone(topology: Topology, result: Result) -> None:
    """The last test: the second gateway is not started again."""
    topology.gateways[1].kill()
    with Sender(topology.agent.endpoint) as sender:
        eventually(lambda: len(sender.sent.spans) > 200)
    eventually(lambda: topology.missing(sender.sent), lambda missing: not any(missing), timeout=120.0)
