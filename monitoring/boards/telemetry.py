"""The board "Telemetry health": SDK, Collector, Prometheus and Alertmanager."""

from __future__ import annotations

from monitoring.boards.context import JOB, BoardContext
from monitoring.boards.layout import (
    INTERVAL,
    Column,
    PlacedPanel,
    Query,
    Row,
    bar_gauge_panel,
    logs_panel,
    stat_panel,
    table_panel,
    timeseries_panel,
)
from monitoring.metrics import COLLECTOR_SIGNALS, sdk_metric
from monitoring.parameters import ALERTMANAGER_JOB, COLLECTOR_JOB, PROMETHEUS_JOB
from monitoring.rules.recorded import (
    KAFKA_LAG,
    KAFKA_READ,
    KAFKA_SKIPPED,
    KAFKA_WRITTEN,
    LOST,
    REFUSED,
    SENT,
    SHARD_LOAD,
)


def telemetry(context: BoardContext) -> dict[str, object]:
    """The board about the monitoring itself."""
    return context.board(
        "telemetry",
        "Telemetry health",
        "The path of telemetry: from the application through the Collector to the backends, and alerts to people."
        " When all is green here, the other boards are reliable.",
        (
            Row("", _answers(context)),
            Row("SDK in the application", _sdk(context)),
            Row("Spool on disk", _spool(), collapsed=True),
            Row("Collector", _collector(context)),
            Row("Collectors in tiers, and Kafka between them", _tiers(context), collapsed=True),
            Row("Prometheus and Alertmanager", _backends(context), collapsed=True),
            Row("Logs", (_logs(),)),
        ),
        (context.job_variable,),
    )


def sdk_selector(name: str, *matchers: str) -> str:
    """A selector for one of the SDK's metrics about itself, of the chosen job."""
    return f"{sdk_metric(name)}{{{','.join((JOB, *matchers))}}}"


def _answers(context: BoardContext) -> tuple[PlacedPanel, ...]:
    collector, prometheus = f'{{job="{COLLECTOR_JOB}"}}', f'{{job="{PROMETHEUS_JOB}"}}'
    up_down = {"0": ("DOWN", "red"), "1": ("UP", "green")}
    return (
        stat_panel(
            "Telemetry arrives",
            "Processes of the service whose metrics arrive through the Collector. None: all other boards are empty.",
            "count",
            f"count(target_info{{{JOB}}})",
            alert=context.presence_threshold("BackendTelemetryAbsent"),
            no_value="NONE",
            decimals=0,
        ),
        stat_panel(
            "Collector",
            "DOWN: no telemetry arrives; applications store what they can.",
            "number",
            f"min(up{collector})",
            alert=context.threshold("OtelCollectorDown", bad="below"),
            thresholds=[(None, "red"), (1, "green")],
            value_texts=up_down,
            no_value="no target",
        ),
        stat_panel(
            "SDK dropped, 1 h",
            'Items that the SDK dropped in an hour. Above 0: the panel "Dropped" shows the reason.',
            "count",
            f"round(sum(increase({sdk_selector('items.dropped')}[1h])))",
            alert=context.threshold("TelemetryItemsDropped"),
            thresholds=[(None, "green"), (1, "orange")],
            decimals=0,
            no_value="none",
        ),
        stat_panel(
            "Refused, 5 min",
            "Items that the Collector refused. Senders retry as long as their queues have room.",
            "count",
            f"round(sum({REFUSED}) or 0 * max(up{collector}))",
            alert=context.threshold("OtelCollectorRefusing"),
            thresholds=[(None, "green"), (1, "orange")],
            decimals=0,
            no_value="none",
        ),
        stat_panel(
            "Lost, 5 min",
            "Items that the Collector lost for a backend: refused permanently, or dropped by a full queue.",
            "count",
            f"round(sum({LOST}) or 0 * max(up{collector}))",
            alert=context.threshold("OtelCollectorExportFailing"),
            thresholds=[(None, "green"), (1, "orange")],
            decimals=0,
            no_value="none",
        ),
        stat_panel(
            "Fullest queue",
            "The fill level of the Collector's fullest queue. Rising: its backend is down. At 100 %, telemetry is lost.",
            "ratio",
            f"max(otelcol_exporter_queue_size{collector} / otelcol_exporter_queue_capacity{collector})",
            alert=context.threshold("OtelCollectorQueueNearlyFull"),
            decimals=0,
            no_value="no data",
        ),
        stat_panel(
            "Rules failing, 1 h",
            "Failed evaluations of alerting and recording rules. Above 0: alerts may be missing.",
            "count",
            f"round(sum(increase(prometheus_rule_evaluation_failures_total{prometheus}[1h])))",
            alert=context.threshold("PrometheusRuleEvaluationFailures"),
            thresholds=[(None, "green"), (1, "orange")],
            decimals=0,
            no_value="no data",
        ),
        stat_panel(
            "Alert evaluation",
            "OK: the alert Watchdog, which always fires, is firing. BROKEN: Prometheus evaluates no alerts.",
            "number",
            'max(ALERTS{alertname="Watchdog",alertstate="firing"})',
            thresholds=[(None, "red"), (1, "green")],
            value_texts={"1": ("OK", "green")},
            no_value="BROKEN",
        ),
    )


def _sdk(context: BoardContext) -> tuple[PlacedPanel | tuple[PlacedPanel, ...], ...]:
    def by_signal(name: str, of: str = "rate") -> str:
        return f"sum by (signal) ({of}({sdk_selector(name)}[{INTERVAL}]))"

    return (
        timeseries_panel(
            "Accepted and sent",
            "Items per second that the SDK queued and that the Collector accepted. They differ when the Collector is down or refuses a signal.",
            "per second",
            [
                Query(by_signal("items.accepted"), "{{signal}} accepted"),
                Query(by_signal("items.sent"), "{{signal}} sent"),
            ],
            calcs=(),
        ),
        timeseries_panel(
            "Waiting in memory",
            "Bytes in the queues of all processes. When a queue is full, items go to disk or are dropped.",
            "bytes",
            [Query(f"sum by (signal) ({sdk_selector('queue.bytes')})", "{{signal}}")],
            stacked=True,
            calcs=("lastNotNull", "max"),
        ),
        timeseries_panel(
            "Dropped",
            "Dropped items in each interval by signal and reason. Normally 0.",
            "count",
            [
                Query(
                    f"sum by (signal, reason) (increase({sdk_selector('items.dropped')}[{INTERVAL}])) > 0",
                    "{{signal}}: {{reason}}",
                )
            ],
            no_value="none",
            bars=True,
            decimals=0,
            interval="1m",
            calcs=("sum",),
        ),
        timeseries_panel(
            "Age of the oldest item",
            "Age of the oldest item in memory (by signal) and on disk. Rising steadily: nothing is sent.",
            "seconds",
            [
                Query(f"max by (signal) ({sdk_selector('queue.oldest_item_age')})", "{{signal}}"),
                Query(f"max by (job) ({sdk_selector('spool.oldest_file_age')})", "on disk"),
            ],
            alert=context.threshold("TelemetrySpoolFilling"),
            calcs=(),
        ),
        timeseries_panel(
            "Export time",
            "Mean duration of an export request. Slow: the network or the Collector is overloaded.",
            "seconds",
            [Query(f"{by_signal('export.duration')} / ({by_signal('export.requests')} > 0)", "{{signal}}")],
            calcs=("mean", "max"),
        ),
        (
            bar_gauge_panel(
                "Export retries, 1 h",
                "Export requests that were retried in an hour. A few are normal during a restart of the Collector.",
                "count",
                Query(
                    f"sort_desc(sum by (signal) (round(increase({sdk_selector('export.retries')}[1h]))))", "{{signal}}"
                ),
                decimals=0,
                no_value="none",
                height=4,
            ),
            table_panel(
                "Internal errors of the SDK, 24 h",
                "Internal errors caught before they reached the application, by location. Report each as a defect.",
                {"where": "Where"},
                [
                    Column(
                        "Count",
                        "count",
                        f"sum by (where) (round(increase({sdk_selector('errors.swallowed')}[24h]))) > 0",
                        decimals=0,
                    )
                ],
                no_value="none",
                sort="Count",
                width=8,
                height=5,
            ),
        ),
    )


def _spool() -> tuple[PlacedPanel, ...]:
    return (
        timeseries_panel(
            "Waiting on disk",
            "Bytes that the SDK stores on disk until the Collector accepts them. They fall to 0 after an outage.",
            "bytes",
            [
                Query(f"max by (job) ({sdk_selector('spool.bytes')})", "on disk"),
                Query(f"max by (job) ({sdk_selector('spool.capacity')})", "capacity"),
            ],
            dashed=("capacity",),
            calcs=("lastNotNull", "max"),
            width=6,
            height=7,
        ),
        timeseries_panel(
            "Files on disk",
            "One file for each export request that failed. Many small files: the service restarted often while the Collector was down.",
            "count",
            [Query(f"max by (job) ({sdk_selector('spool.files')})", "files")],
            decimals=0,
            calcs=("lastNotNull", "max"),
            width=6,
            height=7,
        ),
        timeseries_panel(
            "Written to and sent from disk",
            "Items per second written to disk, and items sent from disk later.",
            "per second",
            [
                Query(f"sum(rate({sdk_selector('items.spooled')}[{INTERVAL}]))", "to disk"),
                Query(f"sum(rate({sdk_selector('items.redelivered')}[{INTERVAL}]))", "from disk"),
            ],
            calcs=("mean", "max"),
            width=6,
            height=7,
        ),
        timeseries_panel(
            "Disk errors",
            "Damaged files and failed disk operations in each interval. Without the disk, only memory holds queued items.",
            "count",
            [
                Query(f"sum(increase({sdk_selector('spool.damaged')}[{INTERVAL}]))", "damaged files"),
                Query(f"sum(increase({sdk_selector('spool.errors')}[{INTERVAL}]))", "errors"),
            ],
            decimals=0,
            interval="1m",
            calcs=("sum",),
            width=6,
            height=7,
        ),
    )


def _collector(context: BoardContext) -> tuple[PlacedPanel, ...]:
    job = f'{{job="{COLLECTOR_JOB}"}}'
    return (
        timeseries_panel(
            "Received",
            "Items received per second. If one signal stops, its sender changed.",
            "per second",
            [
                Query(f"sum(rate(otelcol_receiver_accepted_{signal}_total{job}[{INTERVAL}]))", signal.replace("_", " "))
                for signal in COLLECTOR_SIGNALS
            ],
            calcs=("mean", "lastNotNull"),
        ),
        timeseries_panel(
            "Sent, by backend",
            "Items per second that a backend accepted. Zero while its queue grows: the backend is down; no other panel shows it.",
            "per second",
            [Query(f"sum by (exporter) ({SENT})", "{{exporter}}")],
            calcs=("mean", "lastNotNull"),
        ),
        timeseries_panel(
            "Lost or refused",
            "Items in five minutes: refused by a receiver, refused by a backend, dropped by a full queue, or skipped in Kafka.",
            "count",
            [
                Query(f"sum by (exporter, cause) ({LOST}) > 0", "{{exporter}}: {{cause}}"),
                Query(f"sum by (signal) ({REFUSED}) > 0", "refused by the receiver: {{signal}}"),
                Query(f"sum by (topic) ({KAFKA_SKIPPED}) > 0", "skipped in {{topic}}"),
            ],
            no_value="none",
            decimals=0,
            calcs=("max",),
        ),
        timeseries_panel(
            "Queues",
            "Fill level of each backend's queue. Above the dashed line, the alert pages; at 100 %, telemetry is lost.",
            "ratio",
            [
                Query(
                    f"max by (exporter) (otelcol_exporter_queue_size{job} / otelcol_exporter_queue_capacity{job})",
                    "{{exporter}}",
                )
            ],
            alert=context.threshold("OtelCollectorQueueNearlyFull"),
            maximum=1,
            calcs=("lastNotNull", "max"),
            width=12,
        ),
        timeseries_panel(
            "Memory of the Collector",
            "Resident memory. At 80 % of its container's limit, the Collector refuses data.",
            "bytes",
            [Query(f"max by (instance) (otelcol_process_memory_rss_bytes{job})", "{{instance}}")],
            calcs=("lastNotNull", "max"),
            width=12,
        ),
    )


def _tiers(context: BoardContext) -> tuple[PlacedPanel, ...]:
    job = f'{{job="{COLLECTOR_JOB}"}}'
    outcomes = 'sum by (endpoint) (rate(otelcol_loadbalancer_backend_outcome_total{job="%s",success=~"%s"}[%s]))'
    failed, asked = (outcomes % (COLLECTOR_JOB, success, INTERVAL) for success in ("false", "true|false"))
    by_tier = "by (tier, signal)"
    return (
        timeseries_panel(
            "Waiting in Kafka",
            "Records that are written and not read yet, by topic, as the readers knew when they last read. Rising: they are too slow.",
            "count",
            [Query(f"sum by (topic) ({KAFKA_LAG}{job})", "{{topic}}")],
            decimals=0,
            calcs=("lastNotNull", "max"),
        ),
        timeseries_panel(
            "Written to and read from Kafka",
            "Records per second by topic. Only written: KafkaTopicNotRead pages.",
            "per second",
            [
                Query(f"sum by (topic) ({KAFKA_WRITTEN}{job})", "{{topic}} written"),
                Query(f"sum by (topic) ({KAFKA_READ}{job})", "{{topic}} read"),
            ],
            calcs=("mean", "lastNotNull"),
        ),
        timeseries_panel(
            "Time to read what waits",
            "What waits in a topic, divided by what is read each second. A gap: nothing is read.",
            "seconds",
            [Query(f"sum by (topic) ({KAFKA_LAG}{job}) / (sum by (topic) ({KAFKA_READ}{job}) > 0)", "{{topic}}")],
            alert=context.threshold("KafkaConsumerLag"),
            calcs=("lastNotNull", "max"),
        ),
        bar_gauge_panel(
            "Busiest partitions, 1 h",
            "Records read in an hour from the busiest partitions. One far above the others: a key has too many records.",
            "count",
            Query(
                f"sort_desc(topk(10, round(sum by (topic, partition) (increase(otelcol_kafka_receiver_records_total{job}[1h])))))",
                "{{topic}} {{partition}}",
            ),
            decimals=0,
        ),
        timeseries_panel(
            "Busiest instance of each tier",
            "Items that the busiest gateway or sampler receives, divided by the mean of its tier. 1: all receive equally much.",
            "number",
            [
                Query(
                    f"max {by_tier} ({SHARD_LOAD}{job}) / (avg {by_tier} ({SHARD_LOAD}{job}) > 0)",
                    "{{tier}}: {{signal}}",
                )
            ],
            alert=context.threshold("OtelCollectorShardSkew"),
            decimals=1,
            calcs=("lastNotNull", "max"),
        ),
        timeseries_panel(
            "Failing requests to Collectors behind gateways",
            "Ratio of failed requests of all gateways by the Collector that they are for. 100 %: it is down.",
            "ratio",
            [Query(f"{failed} / ({asked} > 0)", "{{endpoint}}")],
            no_value="none",
            alert=context.threshold("OtelCollectorShardFailing"),
            maximum=1,
            calcs=("lastNotNull", "max"),
        ),
    )


def _backends(context: BoardContext) -> tuple[PlacedPanel, ...]:
    prometheus, alertmanager = f'{{job="{PROMETHEUS_JOB}"}}', f'{{job="{ALERTMANAGER_JOB}"}}'
    return (
        table_panel(
            "Scrape targets",
            "All targets of Prometheus. 0: the target does not respond. Slow scrapes delay metrics.",
            {"job": "Job", "instance": "Instance"},
            [
                Column(
                    "Up",
                    "number",
                    "max by (job, instance) (up)",
                    alert=context.threshold("OtelCollectorDown", bad="below"),
                    decimals=0,
                ),
                Column("Scrape", "seconds", "max by (job, instance) (scrape_duration_seconds)"),
            ],
            alert=context.threshold("OtelCollectorDown", bad="below"),
            no_value="no targets",
            height=9,
        ),
        timeseries_panel(
            "Time series",
            "Series in the memory of Prometheus. A steep rise: a label with unbounded values.",
            "count",
            [Query(f"max(prometheus_tsdb_head_series{prometheus})", "series")],
            calcs=("lastNotNull", "max"),
            height=9,
        ),
        timeseries_panel(
            "Rule evaluation",
            "Duration of the slowest rule groups. Longer than their interval (30 s or more): alerts are late.",
            "seconds",
            [
                Query(
                    "topk(5, max by (rule_group) (label_replace(prometheus_rule_group_last_duration_seconds"
                    f'{prometheus}, "rule_group", "$1", "rule_group", ".*;(.+)")))',
                    "{{rule_group}}",
                )
            ],
            calcs=("lastNotNull", "max"),
            width=12,
        ),
        timeseries_panel(
            "Notifications",
            "Notifications in each interval: sent by Alertmanager, failed, or dropped by Prometheus. Red: alerts do not reach people.",
            "count",
            [
                Query(f"sum(increase(alertmanager_notifications_total{alertmanager}[{INTERVAL}]))", "sent"),
                Query(f"sum(increase(alertmanager_notifications_failed_total{alertmanager}[{INTERVAL}]))", "failed"),
                Query(f"sum(increase(prometheus_notifications_dropped_total{prometheus}[{INTERVAL}]))", "dropped"),
            ],
            colours={"sent": "green", "failed": "red", "dropped": "orange"},
            decimals=0,
            interval="1m",
            calcs=("sum",),
            width=12,
        ),
    )


def _logs() -> PlacedPanel:
    return logs_panel(
        "Log records of the SDK",
        "Warnings of the SDK: a loss is logged once when it starts and once when it ends.",
        '{service_name=~"$job"} | scope_name=~"blogauto_otel.*" | detected_level=~"warn|error|critical"',
        height=7,
    )
