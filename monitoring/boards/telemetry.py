"""Whether it is the application that is ill, or the monitoring."""

from __future__ import annotations

from monitoring.boards.context import JOB, BoardContext
from monitoring.boards.layout import (
    INTERVAL,
    Column,
    Query,
    Row,
    Tile,
    columns,
    figure,
    lines,
    ranking,
    series,
)
from monitoring.metrics import COLLECTOR_SIGNALS, of_self
from monitoring.parameters import ALERTMANAGER_JOB, COLLECTOR_JOB, PROMETHEUS_JOB
from monitoring.rules import telemetry as rules


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


def self_select(name: str, *matchers: str) -> str:
    """One of the SDK's metrics about itself, of the chosen job."""
    return f"{of_self(name)}{{{','.join((JOB, *matchers))}}}"


def _answers(context: BoardContext) -> tuple[Tile, ...]:
    collector, prometheus = f'{{job="{COLLECTOR_JOB}"}}', f'{{job="{PROMETHEUS_JOB}"}}'
    up_down = {"0": ("DOWN", "red"), "1": ("UP", "green")}
    return (
        figure(
            "Telemetry arrives",
            "Processes of the chosen service whose metrics come through the Collector. None: every other board is blind.",
            "count",
            f"count(target_info{{{JOB}}})",
            watch=context.watch_absence("BackendTelemetryAbsent"),
            empty="NONE",
            decimals=0,
        ),
        figure(
            "Collector",
            "DOWN: applications keep what they can; nothing arrives.",
            "number",
            f"min(up{collector})",
            watch=context.watch("OtelCollectorDown", bad="below"),
            thresholds=[(None, "red"), (1, "green")],
            words=up_down,
            empty="not watched",
            spark=False,
        ),
        figure(
            "Lost in the SDK, 1 h",
            "Items that the application's SDK had to drop. Not 0: the panel below says why.",
            "count",
            f"round(sum(increase({self_select('items.dropped')}[1h])))",
            watch=context.watch("TelemetryItemsDropped"),
            thresholds=[(None, "green"), (1, "orange")],
            decimals=0,
            empty="none",
        ),
        figure(
            "Refused, 5 min",
            "Items that the Collector did not take. Senders repeat them as long as they have room.",
            "count",
            f"round(sum({rules.REFUSED}) or 0 * max(up{collector}))",
            watch=context.watch("OtelCollectorRefusing"),
            thresholds=[(None, "green"), (1, "orange")],
            decimals=0,
            empty="none",
        ),
        figure(
            "Lost, 5 min",
            "Items that the Collector lost on the way to a backend: refused for good, or a queue was full.",
            "count",
            f"round(sum({rules.LOST}) or 0 * max(up{collector}))",
            watch=context.watch("OtelCollectorExportFailing"),
            thresholds=[(None, "green"), (1, "orange")],
            decimals=0,
            empty="none",
        ),
        figure(
            "Fullest queue",
            "How full the Collector's fullest queue is. Climbing: its backend is away. At 100 % telemetry is lost.",
            "ratio",
            f"max(otelcol_exporter_queue_size{collector} / otelcol_exporter_queue_capacity{collector})",
            watch=context.watch("OtelCollectorQueueNearlyFull"),
            decimals=0,
            empty="no data",
        ),
        figure(
            "Rules failing, 1 h",
            "Evaluations of alerting and recording rules that failed. Not 0: alerts may be silent.",
            "count",
            f"round(sum(increase(prometheus_rule_evaluation_failures_total{prometheus}[1h])))",
            watch=context.watch("PrometheusRuleEvaluationFailures"),
            thresholds=[(None, "green"), (1, "orange")],
            decimals=0,
            empty="no data",
        ),
        figure(
            "Watchdog",
            "An alert that always fires. SILENT: Prometheus evaluates no alerts at all.",
            "number",
            'max(ALERTS{alertname="Watchdog",alertstate="firing"})',
            thresholds=[(None, "red"), (1, "green")],
            words={"1": ("FIRES", "green")},
            empty="SILENT",
            spark=False,
        ),
    )


def _sdk(context: BoardContext) -> tuple[Tile | tuple[Tile, ...], ...]:
    def by_signal(name: str, of: str = "rate") -> str:
        return f"sum by (signal) ({of}({self_select(name)}[{INTERVAL}]))"

    return (
        series(
            "Accepted and sent",
            "Items per second that the SDK queued and that the receiver took. They part when the Collector is away, or takes one signal only.",
            "per second",
            [
                Query(by_signal("items.accepted"), "{{signal}} accepted"),
                Query(by_signal("items.sent"), "{{signal}} sent"),
            ],
            calcs=("mean", "lastNotNull"),
        ),
        series(
            "Waiting in memory",
            "Bytes in the queues of all processes. At the capacity items go to disk or are lost.",
            "bytes",
            [Query(f"sum by (signal) ({self_select('queue.bytes')})", "{{signal}}")],
            stacked=True,
            calcs=("lastNotNull", "max"),
        ),
        series(
            "Dropped",
            "Items lost per interval, by signal and reason. Always 0 in health.",
            "count",
            [
                Query(
                    f"sum by (signal, reason) (increase({self_select('items.dropped')}[{INTERVAL}])) > 0",
                    "{{signal}}: {{reason}}",
                )
            ],
            bars=True,
            decimals=0,
            interval="1m",
            calcs=("sum",),
        ),
        series(
            "Age of the oldest item",
            "How long the oldest item has been waiting, in memory by signal, and on disk. Steadily climbing: nothing is taken.",
            "seconds",
            [
                Query(f"max by (signal) ({self_select('queue.oldest_item_age')})", "{{signal}}"),
                Query(f"max by (job) ({self_select('spool.oldest_file_age')})", "on disk"),
            ],
            watch=context.watch("TelemetrySpoolFilling"),
            calcs=("lastNotNull", "max"),
        ),
        series(
            "Export time",
            "Mean time of an export request. Slow ones: the network or the Collector is busy.",
            "seconds",
            [Query(f"{by_signal('export.duration')} / ({by_signal('export.requests')} > 0)", "{{signal}}")],
            calcs=("mean", "max"),
        ),
        (
            ranking(
                "Repeated exports, 1 h",
                "Export requests that had to be sent again. A few are a restart of the Collector.",
                "count",
                Query(
                    f"sort_desc(sum by (signal) (round(increase({self_select('export.retries')}[1h]))))", "{{signal}}"
                ),
                decimals=0,
                empty="none",
                height=4,
            ),
            columns(
                "Errors of our own that the application was spared",
                "Where the SDK swallowed an exception in 24 hours. Each is a defect worth a report.",
                {"where": "Where"},
                [
                    Column(
                        "Count",
                        "count",
                        f"sum by (where) (round(increase({self_select('errors.swallowed')}[24h]))) > 0",
                        decimals=0,
                    )
                ],
                empty="none",
                sort="Count",
                width=8,
                height=5,
            ),
        ),
        *_spool(),
    )


def _spool() -> tuple[Tile, ...]:
    return (
        series(
            "Waiting on disk",
            "Bytes that the SDK keeps on disk until the Collector takes them. They must fall to 0 after an outage.",
            "bytes",
            [
                Query(f"max by (job) ({self_select('spool.bytes')})", "on disk"),
                Query(f"max by (job) ({self_select('spool.capacity')})", "room"),
            ],
            dashed=("room",),
            calcs=("lastNotNull", "max"),
            width=6,
            height=7,
        ),
        series(
            "Files on disk",
            "One for each request that could not be sent. Many small ones: a service that was started and ended often while nobody listened.",
            "count",
            [Query(f"max by (job) ({self_select('spool.files')})", "files")],
            decimals=0,
            calcs=("lastNotNull", "max"),
            width=6,
            height=7,
        ),
        series(
            "To disk and back",
            "Items per second that went to disk, and that the receiver took from there. The second follows the first, later.",
            "per second",
            [
                Query(f"sum(rate({self_select('items.spooled')}[{INTERVAL}]))", "to disk"),
                Query(f"sum(rate({self_select('items.redelivered')}[{INTERVAL}]))", "from disk"),
            ],
            calcs=("mean", "max"),
            width=6,
            height=7,
        ),
        series(
            "Trouble with the disk",
            "Files that could not be read, and times that the disk could not be used, per interval. Then only memory keeps what waits.",
            "count",
            [
                Query(f"sum(increase({self_select('spool.damaged')}[{INTERVAL}]))", "damaged files"),
                Query(f"sum(increase({self_select('spool.errors')}[{INTERVAL}]))", "errors"),
            ],
            decimals=0,
            interval="1m",
            calcs=("sum",),
            width=6,
            height=7,
        ),
    )


def _collector(context: BoardContext) -> tuple[Tile, ...]:
    job = f'{{job="{COLLECTOR_JOB}"}}'
    return (
        series(
            "Received",
            "Items per second that came in. A signal that stops alone: its sender changed.",
            "per second",
            [
                Query(f"sum(rate(otelcol_receiver_accepted_{signal}_total{job}[{INTERVAL}]))", signal.replace("_", " "))
                for signal in COLLECTOR_SIGNALS
            ],
            calcs=("mean", "lastNotNull"),
        ),
        series(
            "Sent, by backend",
            "Items per second that a backend took. Zero while its queue grows: it is away, and nothing else will say so.",
            "per second",
            [Query(f"sum by (exporter) ({rules.SENT})", "{{exporter}}")],
            calcs=("mean", "lastNotNull"),
        ),
        series(
            "Lost or refused",
            "Items in five minutes: refused at the door, refused by a backend, or dropped because a queue was full.",
            "count",
            [
                Query(f"sum by (exporter, cause) ({rules.LOST}) > 0", "{{exporter}}: {{cause}}"),
                Query(f"sum by (signal) ({rules.REFUSED}) > 0", "refused at the door: {{signal}}"),
            ],
            decimals=0,
            calcs=("max",),
        ),
        series(
            "Queues",
            "How full each backend's queue is. Above the dashed line somebody is paged; at 100 % telemetry is lost.",
            "ratio",
            [
                Query(
                    f"max by (exporter) (otelcol_exporter_queue_size{job} / otelcol_exporter_queue_capacity{job})",
                    "{{exporter}}",
                )
            ],
            watch=context.watch("OtelCollectorQueueNearlyFull"),
            top=1,
            calcs=("lastNotNull", "max"),
            width=12,
        ),
        series(
            "Memory of the Collector",
            "Resident memory. At 80 % of its container's limit it begins to refuse.",
            "bytes",
            [Query(f"max by (instance) (otelcol_process_memory_rss_bytes{job})", "{{instance}}")],
            calcs=("lastNotNull", "max"),
            width=12,
        ),
    )


def _backends(context: BoardContext) -> tuple[Tile, ...]:
    prometheus, alertmanager = f'{{job="{PROMETHEUS_JOB}"}}', f'{{job="{ALERTMANAGER_JOB}"}}'
    return (
        columns(
            "What Prometheus reads",
            "Every target. 0: it does not answer. Slow ones delay their figures.",
            {"job": "Job", "instance": "Instance"},
            [
                Column(
                    "Up",
                    "number",
                    "max by (job, instance) (up)",
                    watch=context.watch("OtelCollectorDown", bad="below"),
                    decimals=0,
                ),
                Column("Scrape", "seconds", "max by (job, instance) (scrape_duration_seconds)"),
            ],
            watch=context.watch("OtelCollectorDown", bad="below"),
            empty="nothing is watched",
            height=9,
        ),
        series(
            "Series",
            "Series that Prometheus holds in memory. A steep climb: a label with endless values.",
            "count",
            [Query(f"max(prometheus_tsdb_head_series{prometheus})", "series")],
            calcs=("lastNotNull", "max"),
            height=9,
        ),
        series(
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
        series(
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


def _logs() -> Tile:
    return lines(
        "What the SDK says",
        "Its own warnings: what is lost is told once when it begins and once when it ends.",
        '{service_name=~"$job"} | scope_name=~"blogauto_otel.*" | detected_level=~"warn|error|critical"',
        height=7,
    )
