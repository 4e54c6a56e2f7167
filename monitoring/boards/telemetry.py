"""Whether it is the application that is ill, or the monitoring."""

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
from monitoring.rules.recorded import LOST, REFUSED, SENT


def telemetry(context: BoardContext) -> dict[str, object]:
    """The board that watches the watchers."""
    return context.board(
        "telemetry",
        "Telemetry health",
        "The way of a measurement: out of the application, through the Collector, into the backends, and an alert to you."
        " All green here: believe the other boards.",
        (
            Row("", _answers(context)),
            Row("In the application: the SDK", _sdk(context)),
            Row("In the Collector", _collector(context)),
            Row("In Prometheus and Alertmanager", _backends(context)),
            Row("Logs", (_logs(),)),
        ),
        (context.job_variable,),
    )


def sdk_selector(name: str, *matchers: str) -> str:
    """One of the SDK's metrics about itself, of the chosen job."""
    return f"{sdk_metric(name)}{{{','.join((JOB, *matchers))}}}"


def _answers(context: BoardContext) -> tuple[PlacedPanel, ...]:
    collector, prometheus = f'{{job="{COLLECTOR_JOB}"}}', f'{{job="{PROMETHEUS_JOB}"}}'
    up_down = {"0": ("DOWN", "red"), "1": ("UP", "green")}
    return (
        stat_panel(
            "Telemetry arrives",
            "Processes of the chosen service whose metrics come through the Collector. None: every other board is blind.",
            "count",
            f"count(target_info{{{JOB}}})",
            alert=context.presence_threshold("BackendTelemetryAbsent"),
            no_value="NONE",
            decimals=0,
        ),
        stat_panel(
            "Collector",
            "DOWN: applications keep what they can; nothing arrives.",
            "number",
            f"min(up{collector})",
            alert=context.threshold("OtelCollectorDown", bad="below"),
            thresholds=[(None, "red"), (1, "green")],
            value_texts=up_down,
            no_value="not watched",
            sparkline=False,
        ),
        stat_panel(
            "Lost in the SDK, 1 h",
            "Items that the application's SDK had to drop. Not 0: the panel below says why.",
            "count",
            f"round(sum(increase({sdk_selector('items.dropped')}[1h])))",
            alert=context.threshold("TelemetryItemsDropped"),
            thresholds=[(None, "green"), (1, "orange")],
            decimals=0,
            no_value="none",
        ),
        stat_panel(
            "Refused, 5 min",
            "Items that the Collector did not take. Senders repeat them as long as they have room.",
            "count",
            f"round(sum({REFUSED}) or 0 * max(up{collector}))",
            alert=context.threshold("OtelCollectorRefusing"),
            thresholds=[(None, "green"), (1, "orange")],
            decimals=0,
            no_value="none",
        ),
        stat_panel(
            "Lost, 5 min",
            "Items that the Collector lost on the way to a backend: refused for good, or a queue was full.",
            "count",
            f"round(sum({LOST}) or 0 * max(up{collector}))",
            alert=context.threshold("OtelCollectorExportFailing"),
            thresholds=[(None, "green"), (1, "orange")],
            decimals=0,
            no_value="none",
        ),
        stat_panel(
            "Fullest queue",
            "How full the Collector's fullest queue is. Climbing: its backend is away. At 100 % telemetry is lost.",
            "ratio",
            f"max(otelcol_exporter_queue_size{collector} / otelcol_exporter_queue_capacity{collector})",
            alert=context.threshold("OtelCollectorQueueNearlyFull"),
            decimals=0,
            no_value="no data",
        ),
        stat_panel(
            "Rules failing, 1 h",
            "Evaluations of alerting and recording rules that failed. Not 0: alerts may be silent.",
            "count",
            f"round(sum(increase(prometheus_rule_evaluation_failures_total{prometheus}[1h])))",
            alert=context.threshold("PrometheusRuleEvaluationFailures"),
            thresholds=[(None, "green"), (1, "orange")],
            decimals=0,
            no_value="no data",
        ),
        stat_panel(
            "Watchdog",
            "An alert that always fires. SILENT: Prometheus evaluates no alerts at all.",
            "number",
            'max(ALERTS{alertname="Watchdog",alertstate="firing"})',
            thresholds=[(None, "red"), (1, "green")],
            value_texts={"1": ("FIRES", "green")},
            no_value="SILENT",
            sparkline=False,
        ),
    )


def _sdk(context: BoardContext) -> tuple[PlacedPanel | tuple[PlacedPanel, ...], ...]:
    def by_signal(name: str, of: str = "rate") -> str:
        return f"sum by (signal) ({of}({sdk_selector(name)}[{INTERVAL}]))"

    return (
        timeseries_panel(
            "Accepted and sent",
            "Items per second that the SDK queued and that the receiver took. They part when the Collector is away, or takes one signal only.",
            "per second",
            [
                Query(by_signal("items.accepted"), "{{signal}} accepted"),
                Query(by_signal("items.sent"), "{{signal}} sent"),
            ],
            calcs=("mean", "lastNotNull"),
        ),
        timeseries_panel(
            "Waiting in memory",
            "Bytes in the queues of all processes. At the capacity items go to disk or are lost.",
            "bytes",
            [Query(f"sum by (signal) ({sdk_selector('queue.bytes')})", "{{signal}}")],
            stacked=True,
            calcs=("lastNotNull", "max"),
        ),
        timeseries_panel(
            "Dropped",
            "Items lost per interval, by signal and reason. Always 0 in health.",
            "count",
            [
                Query(
                    f"sum by (signal, reason) (increase({sdk_selector('items.dropped')}[{INTERVAL}])) > 0",
                    "{{signal}}: {{reason}}",
                )
            ],
            bars=True,
            decimals=0,
            interval="1m",
            calcs=("sum",),
        ),
        timeseries_panel(
            "Age of the oldest item",
            "How long the oldest item has been waiting, in memory by signal, and on disk. Steadily climbing: nothing is taken.",
            "seconds",
            [
                Query(f"max by (signal) ({sdk_selector('queue.oldest_item_age')})", "{{signal}}"),
                Query(f"max by (job) ({sdk_selector('spool.oldest_file_age')})", "on disk"),
            ],
            alert=context.threshold("TelemetrySpoolFilling"),
            calcs=("lastNotNull", "max"),
        ),
        timeseries_panel(
            "Export time",
            "Mean time of an export request. Slow ones: the network or the Collector is busy.",
            "seconds",
            [Query(f"{by_signal('export.duration')} / ({by_signal('export.requests')} > 0)", "{{signal}}")],
            calcs=("mean", "max"),
        ),
        (
            bar_gauge_panel(
                "Repeated exports, 1 h",
                "Export requests that had to be sent again. A few are a restart of the Collector.",
                "count",
                Query(
                    f"sort_desc(sum by (signal) (round(increase({sdk_selector('export.retries')}[1h]))))", "{{signal}}"
                ),
                decimals=0,
                no_value="none",
                height=4,
            ),
            table_panel(
                "Errors of our own that the application was spared",
                "Where the SDK swallowed an exception in 24 hours. Each is a defect worth a report.",
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
        *_spool(),
    )


def _spool() -> tuple[PlacedPanel, ...]:
    return (
        timeseries_panel(
            "Waiting on disk",
            "Bytes that the SDK keeps on disk until the Collector takes them. They must fall to 0 after an outage.",
            "bytes",
            [
                Query(f"max by (job) ({sdk_selector('spool.bytes')})", "on disk"),
                Query(f"max by (job) ({sdk_selector('spool.capacity')})", "room"),
            ],
            dashed=("room",),
            calcs=("lastNotNull", "max"),
            width=6,
            height=7,
        ),
        timeseries_panel(
            "Files on disk",
            "One for each request that could not be sent. Many small ones: a service that was started and ended often while nobody listened.",
            "count",
            [Query(f"max by (job) ({sdk_selector('spool.files')})", "files")],
            decimals=0,
            calcs=("lastNotNull", "max"),
            width=6,
            height=7,
        ),
        timeseries_panel(
            "To disk and back",
            "Items per second that went to disk, and that the receiver took from there. The second follows the first, later.",
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
            "Trouble with the disk",
            "Files that could not be read, and times that the disk could not be used, per interval. Then only memory keeps what waits.",
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
            "Items per second that came in. A signal that stops alone: its sender changed.",
            "per second",
            [
                Query(f"sum(rate(otelcol_receiver_accepted_{signal}_total{job}[{INTERVAL}]))", signal.replace("_", " "))
                for signal in COLLECTOR_SIGNALS
            ],
            calcs=("mean", "lastNotNull"),
        ),
        timeseries_panel(
            "Sent, by backend",
            "Items per second that a backend took. Zero while its queue grows: it is away, and nothing else will say so.",
            "per second",
            [Query(f"sum by (exporter) ({SENT})", "{{exporter}}")],
            calcs=("mean", "lastNotNull"),
        ),
        timeseries_panel(
            "Lost or refused",
            "Items in five minutes: refused at the door, refused by a backend, or dropped because a queue was full.",
            "count",
            [
                Query(f"sum by (exporter, cause) ({LOST}) > 0", "{{exporter}}: {{cause}}"),
                Query(f"sum by (signal) ({REFUSED}) > 0", "refused at the door: {{signal}}"),
            ],
            decimals=0,
            calcs=("max",),
        ),
        timeseries_panel(
            "Queues",
            "How full each backend's queue is. Above the dashed line somebody is paged; at 100 % telemetry is lost.",
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
            "Resident memory. At 80 % of its container's limit it begins to refuse.",
            "bytes",
            [Query(f"max by (instance) (otelcol_process_memory_rss_bytes{job})", "{{instance}}")],
            calcs=("lastNotNull", "max"),
            width=12,
        ),
    )


def _backends(context: BoardContext) -> tuple[PlacedPanel, ...]:
    prometheus, alertmanager = f'{{job="{PROMETHEUS_JOB}"}}', f'{{job="{ALERTMANAGER_JOB}"}}'
    return (
        table_panel(
            "What Prometheus reads",
            "Every target. 0: it does not answer. Slow ones delay their figures.",
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
            no_value="nothing is watched",
            height=9,
        ),
        timeseries_panel(
            "Series",
            "Series that Prometheus holds in memory. A steep climb: a label with endless values.",
            "count",
            [Query(f"max(prometheus_tsdb_head_series{prometheus})", "series")],
            calcs=("lastNotNull", "max"),
            height=9,
        ),
        timeseries_panel(
            "Evaluating the rules",
            "How long the slowest groups of rules took. Longer than their interval (30 s and more): alerts come late.",
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
            "Notifications per interval that Alertmanager sent, and those that failed or never reached it. Red: alerts do not reach you.",
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
        "What the SDK says",
        "Its own warnings: what is lost is told once when it begins and once when it ends.",
        '{service_name=~"$job"} | scope_name=~"blogauto_otel.*" | detected_level=~"warn|error|critical"',
        height=7,
    )
