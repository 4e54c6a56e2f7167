"""Alerts about Collectors in tiers: Kafka between them, and the instances among which a gateway divides its load."""

from __future__ import annotations

from typing import Final

from monitoring.alerts.definition import AlertDefinition, Case, ExpectedAlert, Trigger
from monitoring.alerts.samples import telemetry_tests
from monitoring.metrics import COLLECTOR_SIGNALS
from monitoring.parameters import Service, promql_number
from monitoring.rules.conditions import And, Comparison
from monitoring.rules.model import Alert
from monitoring.rules.recorded import KAFKA_LAG, KAFKA_READ, KAFKA_SKIPPED, KAFKA_WRITTEN, SHARD_LOAD

_JOB: Final = 'job="otel-collector"'


def tier_alerts(service: Service) -> tuple[AlertDefinition, ...]:
    """The alerts of this group, in the order of the rule file."""
    return (
        _kafka_consumer_lag(service),
        _kafka_topic_not_read(),
        _kafka_records_skipped(),
        _otel_collector_shard_failing(service),
        _otel_collector_shard_skew(service),
    )


def _kafka_consumer_lag(service: Service) -> AlertDefinition:
    limit = promql_number(service.thresholds.kafka_lag_seconds)
    return AlertDefinition(
        Alert(
            name="KafkaConsumerLag",
            severity="warning",
            category="telemetry",
            condition=Comparison(
                f"{KAFKA_LAG} / sum by (job, topic) ({KAFKA_READ})", ">", service.thresholds.kafka_lag_seconds
            ),
            pending_for="5m",
            keep_firing_for="5m",
            summary="Collectors are behind in the topic {{ $labels.topic }}.",
            description=(
                "What waits in {{ $labels.topic }} takes {{ $value | humanizeDuration }} to read at the present rate;"
                f" the limit is {limit} s. Telemetry arrives late; it is lost when the topic's retention is over."
            ),
            board="telemetry",
            comment="Records that wait, divided by records read each second. A reader that is stuck keeps its last lag: KafkaTopicNotRead.",
        ),
        Trigger(
            "limit the only gateway's CPU while an agent sends much",
            command="docker update --cpus 0.05 otel-gateway",
            drill=True,
            in_tiers=True,
            threshold=("kafka_lag_seconds", -1, 1e9),
        ),
        _KAFKA_CONSUMER_LAG_TESTS,
    )


def _read(topic: str, records: str, offset: str, lag: str, *, instance: str = "gateway-1:8888") -> dict[str, str]:
    """What a gateway exports about one partition."""
    where = f'{_JOB},instance="{instance}",topic="{topic}",partition="0"'
    return {
        f'otelcol_kafka_receiver_records_total{{{where},node_id="1",outcome="success"}}': records,
        f"otelcol_kafka_receiver_current_offset_ratio{{{where}}}": offset,
        f"otelcol_kafka_receiver_offset_lag_ratio{{{where}}}": lag,
    }


def _behind(duration: str) -> ExpectedAlert:
    return ExpectedAlert(
        {"job": "otel-collector", "topic": "otlp_spans"},
        "Collectors are behind in the topic otlp_spans.",
        (
            f"What waits in otlp_spans takes {duration} to read at the present rate; the limit is 300 s."
            " Telemetry arrives late; it is lost when the topic's retention is over."
        ),
    )


_KAFKA_CONSUMER_LAG_TESTS: Final = telemetry_tests(
    "warning",
    Case("400 s", _read("otlp_spans", "0+150x400", "0+150x400", "4000x400"), "20m", (_behind("6m 40s"),)),
    Case("just below", _read("otlp_spans", "0+150x400", "0+150x400", "2900x400"), "20m"),
    Case(
        "it reads nothing any more", _read("otlp_spans", "0+150x20 3000x400", "0+150x20 3000x400", "70x400"), "30m",
        (_behind("+Inf"),),
    ),
    Case(
        "another Collector has taken the partition over, and the first still exports its last lag",
        {
            **_read("otlp_spans", "0+150x20 3000x400", "0+150x20 3000x400", "4000x400"),
            **_read("otlp_spans", "_x20 0+150x400", "_x20 3000+150x400", "_x20 10x400", instance="gateway-2:8888"),
        },
        "30m",
    ),
    Case("nothing waits", _read("otlp_spans", "0+150x400", "0+150x400", "0x400"), "20m"),
    Case("nothing is sent", _read("otlp_spans", "3000x400", "3000x400", "0x400"), "20m"),
    Case(
        "pending before five minutes", _read("otlp_spans", "0+150x400", "0+150x400", "0x40 4000x400"), "13m",
        pending=True,
    ),
    Case("no data", {}, "20m"),
)  # fmt: skip


def _kafka_topic_not_read() -> AlertDefinition:
    return AlertDefinition(
        Alert(
            name="KafkaTopicNotRead",
            severity="critical",
            category="telemetry",
            condition=Comparison(
                f"count by (job, topic) ({KAFKA_WRITTEN} > 0 unless on (topic, partition) {KAFKA_READ} > 0)", ">", 0
            ),
            pending_for="5m",
            summary="Partitions of the topic {{ $labels.topic }} are not read.",
            description=(
                "Collectors write into {{ $value }} partitions of {{ $labels.topic }} that no Collector has read for 5"
                " minutes. What they hold is lost when the topic's retention is over."
            ),
            board="telemetry",
            comment="A reader that is down exports no lag, and one that is stuck its last: only what is written shows the loss.",
        ),
        Trigger("stop every gateway", command="docker compose stop otel-gateway", drill=True, in_tiers=True),
        _KAFKA_TOPIC_NOT_READ_TESTS,
    )


def _written(topic: str, records: str, *, partition: int = 0, outcome: str = "success") -> dict[str, str]:
    where = f'{_JOB},instance="agent-1:8888",topic="{topic}",partition="{partition}",node_id="1",server_address="kafka"'
    return {f'otelcol_kafka_exporter_records_total{{{where},outcome="{outcome}"}}': records}


def _unread(topic: str, *, partitions: int = 1) -> tuple[ExpectedAlert, ...]:
    return (
        ExpectedAlert(
            {"job": "otel-collector", "topic": topic},
            f"Partitions of the topic {topic} are not read.",
            (
                f"Collectors write into {partitions} partitions of {topic} that no Collector has read for 5 minutes."
                " What they hold is lost when the topic's retention is over."
            ),
        ),
    )


_STOPPED: Final = "0+30x40 1200x400"

_KAFKA_TOPIC_NOT_READ_TESTS: Final = telemetry_tests(
    "critical",
    Case(
        "the reader is stuck since a quarter of an hour, and its last lag was 0",
        {**_written("otlp_logs", "0+30x400"), **_read("otlp_logs", _STOPPED, _STOPPED, "0x400")},
        "25m",
        _unread("otlp_logs"),
    ),
    Case("nobody has ever read", _written("otlp_logs", "0+30x400"), "15m", _unread("otlp_logs")),
    Case(
        "two of three partitions are not read",
        {
            **_written("otlp_logs", "0+30x400"),
            **_written("otlp_logs", "0+30x400", partition=1),
            **_written("otlp_logs", "0+30x400", partition=2),
            **_read("otlp_logs", "0+30x400", "0+30x400", "0x400"),
        },
        "15m",
        _unread("otlp_logs", partitions=2),
    ),
    Case(
        "one of two topics is read",
        {
            **_written("otlp_spans", "0+30x400"),
            **_written("otlp_logs", "0+30x400"),
            **_read("otlp_spans", "0+30x400", "0+30x400", "0x400"),
        },
        "15m",
        _unread("otlp_logs"),
    ),
    Case("it is read", {**_written("a", "0+30x400"), **_read("a", "0+30x400", "0+30x400", "0x400")}, "15m"),
    Case("Kafka takes nothing", _written("otlp_logs", "0+30x400", outcome="failure"), "15m"),
    Case("nothing is written", {**_written("a", "30x400"), **_read("a", "30x400", "30x400", "0x400")}, "15m"),
    Case("pending before five minutes", _written("otlp_logs", "_x20 0+30x400"), "9m", pending=True),
    Case("no data", {}, "15m"),
)


def _kafka_records_skipped() -> AlertDefinition:
    return AlertDefinition(
        Alert(
            name="KafkaRecordsSkipped",
            severity="warning",
            category="telemetry",
            condition=Comparison(f"round({KAFKA_SKIPPED})", ">", 0),
            keep_firing_for="15m",
            summary="Collectors skip records of the topic {{ $labels.topic }}.",
            description=(
                "{{ $value }} records of {{ $labels.topic }} in 5 minutes are no OTLP and were skipped."
                " They stay in the topic until its retention is over; the Collector's log has their offsets."
            ),
            board="telemetry",
            comment="These counters do not exist before the first failure, which increase() alone would miss.",
        ),
        Trigger(
            "write a text into the topic",
            command="echo 'no OTLP' | kafka-console-producer.sh --bootstrap-server kafka:9092 --topic otlp_spans",
            drill=True,
            in_tiers=True,
        ),
        _KAFKA_RECORDS_SKIPPED_TESTS,
    )


_TOPICS: Final = dict(zip(COLLECTOR_SIGNALS, ("otlp_spans", "otlp_metrics", "otlp_logs"), strict=True))


def _skipped_series(values: str, *, uptime: str = "0+15x400") -> dict[str, str]:
    where = f'{_JOB},instance="gateway-1:8888"'
    series = {f"otelcol_process_uptime_seconds_total{{{where}}}": uptime}
    for signal, topic in _TOPICS.items():
        name = f"otelcol_kafka_receiver_unmarshal_failed_{signal}_total"
        series[f'{name}{{{where},topic="{topic}",partition="0"}}'] = values
    return series


_KAFKA_RECORDS_SKIPPED_TESTS: Final = telemetry_tests(
    "warning",
    Case(
        "the first, of counters that did not exist",
        _skipped_series("_x40 7x400"),
        "12m",
        tuple(
            ExpectedAlert(
                {"job": "otel-collector", "topic": topic, "signal": signal},
                f"Collectors skip records of the topic {topic}.",
                (
                    f"7 records of {topic} in 5 minutes are no OTLP and were skipped."
                    " They stay in the topic until its retention is over; the Collector's log has their offsets."
                ),
            )
            for signal, topic in _TOPICS.items()
        ),
    ),
    Case("an old Collector that Prometheus sees for the first time", _skipped_series("_x40 7x400", uptime="_x40 9000+15x400"), "12m"),
    Case("none lately", _skipped_series("7x400"), "12m"),
    Case("no data", {}, "12m"),
)  # fmt: skip


def _otel_collector_shard_failing(service: Service) -> AlertDefinition:
    outcomes = 'sum by (job, endpoint) (rate(otelcol_loadbalancer_backend_outcome_total{success=~"%s"}[5m]))'
    return AlertDefinition(
        Alert(
            name="OtelCollectorShardFailing",
            severity="warning",
            category="telemetry",
            condition=Comparison(
                f"{outcomes % 'false'} / {outcomes % 'true|false'}", ">", service.thresholds.shard_failure_ratio
            ),
            pending_for="5m",
            summary="The Collector {{ $labels.endpoint }} takes nothing from the gateways.",
            description=(
                "{{ $value | humanizePercentage }} of the requests to {{ $labels.endpoint }} fail. Its share waits in"
                " the gateways' queues until it answers, or until DNS has dropped it."
            ),
            board="telemetry",
            comment="The exporter as a whole still sends to the others, so its queue and its rate look healthy.",
        ),
        Trigger("stop one of several samplers", command="docker stop otel-sampler-2", drill=True, in_tiers=True),
        _OTEL_COLLECTOR_SHARD_FAILING_TESTS,
    )


def _outcomes(endpoint: str, good: str, bad: str = "") -> dict[str, str]:
    name = "otelcol_loadbalancer_backend_outcome_total"
    where = f'{_JOB},instance="gateway-1:8888",endpoint="{endpoint}"'
    series = {f'{name}{{{where},success="true"}}': good}
    return {**series, f'{name}{{{where},success="false"}}': bad} if bad else series


_OTEL_COLLECTOR_SHARD_FAILING_TESTS: Final = telemetry_tests(
    "warning",
    Case(
        "one of two fails three of four times",
        {**_outcomes("a:4317", "0+60x400"), **_outcomes("b:4317", "0+10x400", "0+30x400")},
        "15m",
        (
            ExpectedAlert(
                {"job": "otel-collector", "endpoint": "b:4317"},
                "The Collector b:4317 takes nothing from the gateways.",
                "75% of the requests to b:4317 fail. Its share waits in the gateways' queues until it answers, or until DNS has dropped it.",
            ),
        ),
    ),
    Case("four of ten fail", _outcomes("b:4317", "0+60x400", "0+40x400"), "15m"),
    Case("three of ten fail", _outcomes("b:4317", "0+70x400", "0+30x400"), "15m"),
    Case("pending before five minutes", _outcomes("b:4317", "0x400", "_x20 0+40x400"), "8m", pending=True),
    Case("none fails", _outcomes("a:4317", "0+60x400"), "15m"),
    Case("no data", {}, "15m"),
)


def _otel_collector_shard_skew(service: Service) -> AlertDefinition:
    limits = service.thresholds
    largest, mean = f"max by (job, tier, signal) ({SHARD_LOAD})", f"avg by (job, tier, signal) ({SHARD_LOAD})"
    return AlertDefinition(
        Alert(
            name="OtelCollectorShardSkew",
            severity="warning",
            category="telemetry",
            condition=And(
                (
                    Comparison(f"{largest} / {mean}", ">", limits.shard_skew),
                    Comparison(mean, ">", limits.minimum_shard_items),
                )
            ),
            pending_for="30m",
            summary="One {{ $labels.tier }} receives most of the {{ $labels.signal }}.",
            description=(
                "The busiest {{ $labels.tier }} receives {{ $value | humanize }} times as many {{ $labels.signal }} as"
                f" the mean of its tier; the limit is {promql_number(limits.shard_skew)}. More instances would not help."
            ),
            board="telemetry",
            comment="The label `tier` comes from the scrape configuration. With two instances, 2 is the most.",
        ),
        Trigger("stop and start one of two gateways: agents keep their connections to the other", command="docker restart otel-gateway-1", drill=True, in_tiers=True),
        _OTEL_COLLECTOR_SHARD_SKEW_TESTS,
    )  # fmt: skip


def _accepted(instance: str, values: str, *, tier: str = "sampler", signal: str = "spans") -> dict[str, str]:
    where = f'{_JOB},instance="{instance}",tier="{tier}",receiver="otlp",transport="grpc"'
    return {f"otelcol_receiver_accepted_{signal}_total{{{where}}}": values}


def _uptime(instance: str, *, tier: str) -> str:
    return f'otelcol_process_uptime_seconds_total{{{_JOB},instance="{instance}",tier="{tier}"}}'


def _three(first: int, others: int, **options: str) -> dict[str, str]:
    """Three instances of a tier, and what they accept in each quarter of a minute."""
    given = {"a:8888": first, "b:8888": others, "c:8888": others}
    return {
        key: text for name, rate in given.items() for key, text in _accepted(name, f"0+{rate}x600", **options).items()
    }


_OTEL_COLLECTOR_SHARD_SKEW_TESTS: Final = telemetry_tests(
    "warning",
    Case(
        "one of three samplers has ten times as many spans as the others",
        _three(600, 60),
        "50m",
        (
            ExpectedAlert(
                {"job": "otel-collector", "tier": "sampler", "signal": "spans"},
                "One sampler receives most of the spans.",
                "The busiest sampler receives 2.5 times as many spans as the mean of its tier; the limit is 1.8. More instances would not help.",
            ),
        ),
    ),
    Case(
        "one of three gateways has most of the log records",
        _three(3000, 300, tier="gateway", signal="log_records"),
        "50m",
        (
            ExpectedAlert(
                {"job": "otel-collector", "tier": "gateway", "signal": "log_records"},
                "One gateway receives most of the log_records.",
                "The busiest gateway receives 2.5 times as many log_records as the mean of its tier; the limit is 1.8. More instances would not help.",
            ),
        ),
    ),
    Case(
        "one of two gateways has all of the log records, and the other has not counted any",
        {
            **_accepted("a:8888", "0+3000x600", tier="gateway", signal="log_records"),
            **{_uptime(instance, tier="gateway"): "0+15x600" for instance in ("a:8888", "b:8888")},
        },
        "50m",
        (
            ExpectedAlert(
                {"job": "otel-collector", "tier": "gateway", "signal": "log_records"},
                "One gateway receives most of the log_records.",
                "The busiest gateway receives 2 times as many log_records as the mean of its tier; the limit is 1.8. More instances would not help.",
            ),
        ),
    ),
    Case(
        "the only gateway has all of the log records",
        {
            **_accepted("a:8888", "0+3000x600", tier="gateway", signal="log_records"),
            _uptime("a:8888", tier="gateway"): "0+15x600",
        },
        "50m",
    ),
    Case("one has 1.7 times the mean", _three(2615, 1000), "50m"),
    Case(
        "agents differ as their hosts do",
        {
            key: values
            for signal in COLLECTOR_SIGNALS
            for key, values in _three(3000, 300, tier="agent", signal=signal).items()
        },
        "50m",
    ),
    Case("too few items to say", _three(300, 30), "50m"),
    Case("pending before half an hour", _three(3000, 300), "20m", pending=True),
    Case("as many everywhere", _three(3000, 3000), "50m"),
    Case("no data", {}, "50m"),
)  # fmt: skip
