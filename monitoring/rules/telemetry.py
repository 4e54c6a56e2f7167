"""Is the monitoring well? Alerts about the Collector, Prometheus and what the SDK lost, shared by all services."""

from __future__ import annotations

from typing import Final

from monitoring.metrics import COLLECTOR_SIGNALS, of_self
from monitoring.parameters import COLLECTOR_JOB, PROMETHEUS_JOB, TELEMETRY, Service, Thresholds, percent
from monitoring.promql import counted, zero_filled
from monitoring.rules.conditions import Compare, Either, Every, Holds
from monitoring.rules.model import Alert, Group, Recording, RuleFile

# Always there while a Collector runs: tells "this counter is new" from "this Collector is new".
COLLECTOR_ALIVE: Final = "otelcol_process_uptime_seconds_total"

REFUSED: Final = "job_signal:otelcol_refused_items:increase5m"
LOST: Final = "job_exporter_signal:otelcol_lost_items:increase5m"
SENT: Final = "job_exporter_signal:otelcol_sent_items:rate5m"
QUEUED: Final = "job_exporter:otelcol_exporter_queue_size:sum"
DROPPED: Final = "job_signal_reason:blogauto_otel_items_dropped:increase5m"

# Why the Collector lost something, by the counter that says so.
CAUSES: Final = {"send_failed": "refused by the backend", "enqueue_failed": "queue full"}


def telemetry_rules(service: Service) -> RuleFile:
    """The rule file that watches the watchers; `service` only says where the pages are."""
    limits = service.thresholds
    return RuleFile(
        name=TELEMETRY,
        service=TELEMETRY,
        groups=(
            Group(f"{TELEMETRY}-recording", _recordings()),
            Group(
                f"{TELEMETRY}-alerts", (*_collector_alerts(limits.queue_ratio), *_sdk_alerts(limits), *_other_alerts())
            ),
        ),
    )


def _recordings() -> tuple[Recording, ...]:
    """One figure out of many counters: the Collector names them apart by signal, and so one rule for each writes the same name."""
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
            Recording(
                SENT, f"sum by (job, exporter) (rate(otelcol_exporter_sent_{signal}_total[5m]))", {"signal": signal}
            )
            for signal in COLLECTOR_SIGNALS
        ),
        Recording(QUEUED, "sum by (job, exporter) (otelcol_exporter_queue_size)"),
        Recording(
            DROPPED,
            f"sum by (job, signal, reason) {counted(of_self('items.dropped'), '5m', alive='target_info')}",
        ),
    )


def _lost(name: str, by: str, counter: str, **labels: str) -> Recording:
    # None of these counters exists before its first failure.
    return Recording(name, f"sum by ({by}) {counted(counter, '5m', alive=COLLECTOR_ALIVE)}", labels)


def _collector_alerts(queue_ratio: float) -> tuple[Alert, ...]:
    collector = f'up{{job="{COLLECTOR_JOB}"}}'
    return (
        Alert(
            name="OtelCollectorDown",
            severity="critical",
            category="telemetry",
            condition=Either((Compare(collector, "==", 0), Holds(f"absent({collector})"))),
            wait="2m",
            summary="The Collector does not answer.",
            description="Prometheus could not read the Collector's own metrics for 2 minutes. Applications keep what they can on disk.",
            board="telemetry",
        ),
        Alert(
            name="OtelCollectorRefusing",
            severity="warning",
            category="telemetry",
            condition=Compare(f"round({REFUSED})", ">", 0),
            wait="2m",
            hold="5m",
            summary="The Collector refuses {{ $labels.signal }}.",
            description="{{ $value }} {{ $labels.signal }} were refused in 5 minutes. Senders keep and repeat them, as long as they have room.",
            board="telemetry",
        ),
        Alert(
            name="OtelCollectorExportFailing",
            severity="warning",
            category="telemetry",
            condition=Compare(f"round({LOST})", ">", 0),
            wait="1m",
            hold="5m",
            summary="The Collector loses {{ $labels.signal }} on the way to {{ $labels.exporter }}.",
            description="{{ $value }} {{ $labels.signal }} were lost in 5 minutes: {{ $labels.cause }}.",
            board="telemetry",
            because="These counters do not exist before the first failure, which increase() alone would miss.",
        ),
        Alert(
            name="OtelCollectorBackendAway",
            severity="warning",
            category="telemetry",
            condition=Every(
                (Compare(QUEUED, ">", 0), Compare(zero_filled(f"sum by (job, exporter) ({SENT})", QUEUED), "==", 0))
            ),
            wait="10m",
            summary="{{ $labels.exporter }} takes nothing.",
            description="{{ $value }} items wait for {{ $labels.exporter }}, and none was taken for 5 minutes. Nothing is lost yet.",
            board="telemetry",
            because="While a backend answers 503 no failure is counted: only the queue shows it. The health check stays green.",
        ),
        Alert(
            name="OtelCollectorQueueNearlyFull",
            severity="critical",
            category="telemetry",
            condition=Compare(
                "max by (job, exporter) (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)",
                ">",
                queue_ratio,
            ),
            wait="5m",
            hold="5m",
            summary="The queue for {{ $labels.exporter }} is nearly full.",
            description=(
                "The Collector's queue for {{ $labels.exporter }} is {{ $value | humanizePercentage }} full;"
                f" the limit is {percent(queue_ratio)}. When it is full, telemetry is lost."
            ),
            board="telemetry",
        ),
    )


def _sdk_alerts(limits: Thresholds) -> tuple[Alert, ...]:
    filled = f"{of_self('spool.bytes')} / {of_self('spool.capacity')}"
    return (
        Alert(
            name="TelemetryItemsDropped",
            severity="warning",
            category="telemetry",
            condition=Compare(f"round({DROPPED})", ">", 0),
            wait="0s",
            hold="5m",
            summary="{{ $labels.job }} lost {{ $labels.signal }}.",
            description="{{ $value }} {{ $labels.signal }} were dropped by the SDK in 5 minutes: {{ $labels.reason }}.",
            board="telemetry",
        ),
        Alert(
            name="TelemetrySpoolFilling",
            severity="warning",
            category="telemetry",
            condition=Either(
                (
                    Compare(f"max by (job) ({of_self('spool.oldest_file_age')})", ">", limits.spool_seconds),
                    Compare(f"max by (job) ({filled})", ">", limits.spool_ratio),
                )
            ),
            wait="10m",
            hold="5m",
            summary="{{ $labels.job }} cannot deliver what waits on disk.",
            description=(
                f"More than {percent(limits.spool_ratio)} of the room on disk is used, or the oldest file has been waiting"
                f" for more than {limits.spool_seconds / 60:.0f} minutes, although metrics arrive. When the room is used up, the oldest is lost."
            ),
            board="telemetry",
            because="While nothing at all arrives this cannot be seen: OtelCollectorDown tells it. The Collector shows a metric for 5 minutes after it came, hence the wait.",
        ),
    )


def _other_alerts() -> tuple[Alert, ...]:
    failures = f'prometheus_rule_evaluation_failures_total{{job="{PROMETHEUS_JOB}"}}'
    return (
        Alert(
            name="PrometheusRuleEvaluationFailures",
            severity="warning",
            category="telemetry",
            condition=Compare(f"sum by (job) (increase({failures}[5m]))", ">", 0),
            wait="5m",
            hold="5m",
            summary="Prometheus cannot evaluate its rules.",
            description="Some rules fail: alerts may be silent. The page /rules of Prometheus names them.",
            board="telemetry",
        ),
        Alert(
            name="Watchdog",
            severity="none",
            category="telemetry",
            condition=Holds("vector(1)"),
            labels={"job": PROMETHEUS_JOB},
            summary="Alerts reach you.",
            description="This alert always fires. When it stops arriving, the way from Prometheus to you is broken.",
            board="telemetry",
        ),
    )
