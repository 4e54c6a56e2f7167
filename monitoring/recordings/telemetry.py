"""What is recorded about the Collector and about what the SDK drops."""

from __future__ import annotations

from typing import Final

from monitoring.metrics import COLLECTOR_SIGNALS, sdk_metric
from monitoring.promql import increase_from_zero
from monitoring.rules.model import RecordingRule
from monitoring.rules.recorded import (
    DROPPED,
    KAFKA_LAG,
    KAFKA_READ,
    KAFKA_SKIPPED,
    KAFKA_WRITTEN,
    LOST,
    QUEUED,
    REFUSED,
    SENT,
    SHARD_LOAD,
)

# Always exported while a Collector runs: distinguishes a new counter from a new Collector.
COLLECTOR_ALIVE: Final = "otelcol_process_uptime_seconds_total"

# The counter of each cause of loss, and the text of its label `cause`.
CAUSES: Final = {"send_failed": "refused by the backend", "enqueue_failed": "queue full"}


def telemetry_recordings() -> tuple[RecordingRule, ...]:
    """The Collector has one counter for each signal; one rule for each signal writes them to one series name."""
    return (
        *(
            _lost(REFUSED, "job", f"otelcol_receiver_refused_{signal}_total", signal=signal)
            for signal in COLLECTOR_SIGNALS
        ),
        *(
            _lost(LOST, "job, exporter", f"otelcol_exporter_{counter}_{signal}_total", signal=signal, cause=cause)
            for counter, cause in CAUSES.items()
            for signal in COLLECTOR_SIGNALS
        ),
        *(
            RecordingRule(
                SENT, f"sum by (job, exporter) (rate(otelcol_exporter_sent_{signal}_total[5m]))", {"signal": signal}
            )
            for signal in COLLECTOR_SIGNALS
        ),
        *tier_recordings(),
        RecordingRule(QUEUED, "sum by (job, exporter) (otelcol_exporter_queue_size)"),
        RecordingRule(
            DROPPED,
            f"sum by (job, signal, reason) {increase_from_zero(sdk_metric('items.dropped'), '5m', always_present='target_info')}",
        ),
    )


# Tiers whose instances should receive equally much; an agent receives what its host sends.
SHARED_TIERS: Final = "gateway|sampler"


def tier_recordings() -> tuple[RecordingRule, ...]:
    """About Kafka, and about the Collectors among which load is divided."""
    partition = "job, topic, partition"
    offset = "otelcol_kafka_receiver_current_offset_ratio"
    # A Collector that has given a partition away still exports the last lag: the reader is the one that is furthest.
    reader = f"{offset} == on ({partition}) group_left () max by ({partition}) ({offset})"
    lag = f"max by ({partition}) (otelcol_kafka_receiver_offset_lag_ratio and on (instance, {partition}) ({reader}))"
    written = 'otelcol_kafka_exporter_records_total{outcome="success"}'
    return (
        RecordingRule(KAFKA_LAG, f"sum by (job, topic) ({lag})"),
        RecordingRule(KAFKA_READ, f"sum by ({partition}) (rate(otelcol_kafka_receiver_records_total[5m]))"),
        RecordingRule(KAFKA_WRITTEN, f"sum by ({partition}) (rate({written}[5m]))"),
        *(
            _lost(KAFKA_SKIPPED, "job, topic", f"otelcol_kafka_receiver_unmarshal_failed_{signal}_total", signal=signal)
            for signal in COLLECTOR_SIGNALS
        ),
        *(_shard_load(f"otelcol_receiver_accepted_{signal}_total", signal=signal) for signal in COLLECTOR_SIGNALS),
    )


def _shard_load(counter: str, **labels: str) -> RecordingRule:
    # The counter does not exist before the first item: a Collector that receives nothing counts as zero.
    by, tiers = "sum by (job, tier, instance)", f'{{tier=~"{SHARED_TIERS}"}}'
    return RecordingRule(
        SHARD_LOAD, f"{by} (rate({counter}{tiers}[5m])) or {by} (rate({COLLECTOR_ALIVE}{tiers}[5m])) * 0", labels
    )


def _lost(name: str, by: str, counter: str, **labels: str) -> RecordingRule:
    # None of these counters exists before its first failure.
    return RecordingRule(
        name, f"sum by ({by}) {increase_from_zero(counter, '5m', always_present=COLLECTOR_ALIVE)}", labels
    )
