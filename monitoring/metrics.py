"""Every metric that rules and boards may use, with its type and labels: ours from the catalogue, the others as measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from blogauto_otel.signals.catalogue import CATALOGUE, Kind
from monitoring.parameters import Service

# Put on every series by Prometheus, the Collector and the resource (collector/export-prometheus-pull.yaml).
TARGET_LABELS: Final = frozenset({"job", "instance"})
RESOURCE_LABELS: Final = frozenset({"service_name", "service_version", "deployment_environment_name"})

COLLECTOR_SIGNALS: Final = ("spans", "metric_points", "log_records")


@dataclass(frozen=True)
class Metric:
    """A series name that may be queried: its Prometheus type (`counter`, `gauge`) and the labels it has."""

    name: str
    type: str
    labels: frozenset[str]


def _metric(name: str, kind: str, *labels: str) -> Metric:
    return Metric(name, kind, frozenset(labels) | TARGET_LABELS)


# What the SDK says of itself (scope blogauto_otel.self).
SELF: Final = (
    _metric("blogauto_otel_items_accepted_total", "counter", "signal"),
    _metric("blogauto_otel_items_sent_total", "counter", "signal"),
    _metric("blogauto_otel_items_dropped_total", "counter", "signal", "reason"),
    _metric("blogauto_otel_export_retries_total", "counter", "signal"),
    _metric("blogauto_otel_export_duration_seconds", "histogram", "signal"),
    _metric("blogauto_otel_queue_items", "gauge", "signal"),
    _metric("blogauto_otel_queue_bytes", "gauge", "signal"),
    _metric("blogauto_otel_queue_oldest_item_age_seconds", "gauge", "signal"),
    _metric("blogauto_otel_spool_bytes", "gauge"),
    _metric("blogauto_otel_spool_files", "gauge"),
    _metric("blogauto_otel_items_redelivered_total", "counter", "signal"),
    _metric("blogauto_otel_process_start_time_seconds", "gauge"),
)

# Read at :8888 of Collector 0.161.
COLLECTOR: Final = (
    *(
        _metric(f"otelcol_receiver_{what}_{signal}_total", "counter", "receiver", "transport")
        for what in ("accepted", "refused", "failed")
        for signal in COLLECTOR_SIGNALS
    ),
    *(
        _metric(f"otelcol_exporter_{what}_{signal}_total", "counter", "exporter")
        for what in ("sent", "send_failed", "enqueue_failed")
        for signal in COLLECTOR_SIGNALS
    ),
    _metric("otelcol_exporter_queue_size", "gauge", "exporter", "data_type"),
    _metric("otelcol_exporter_queue_capacity", "gauge", "exporter", "data_type"),
    _metric("otelcol_process_memory_rss_bytes", "gauge"),
    _metric("otelcol_process_cpu_seconds_total", "counter"),
    _metric("otelcol_process_uptime_seconds_total", "counter"),
)

OTHERS: Final = (
    _metric("up", "gauge"),
    _metric("scrape_duration_seconds", "gauge"),
    _metric("target_info", "gauge", *RESOURCE_LABELS),
    _metric("ALERTS", "gauge", "alertname", "alertstate", "severity", "service", "category"),
    _metric("pg_up", "gauge"),
    _metric("redis_up", "gauge"),
    _metric("prometheus_rule_evaluation_failures_total", "counter", "rule_group"),
    _metric("prometheus_rule_group_last_duration_seconds", "gauge", "rule_group"),
    _metric("prometheus_tsdb_head_series", "gauge"),
    _metric("prometheus_notifications_errors_total", "counter", "alertmanager"),
    _metric("prometheus_notifications_dropped_total", "counter"),
    _metric("alertmanager_notifications_total", "counter", "integration"),
    _metric("alertmanager_notifications_failed_total", "counter", "integration", "reason"),
)


def known(service: Service) -> Mapping[str, Metric]:
    """Every series name by itself; a histogram stands under its three."""
    metrics = [*_catalogue(service), *(part for metric in (*SELF, *COLLECTOR, *OTHERS) for part in _parts(metric))]
    return {metric.name: metric for metric in metrics}


def _catalogue(service: Service) -> list[Metric]:
    found = []
    for metric in CATALOGUE:
        kind = "histogram" if metric.kind is Kind.HISTOGRAM else metric.kind.prometheus_type
        labels = frozenset(metric.attributes) | TARGET_LABELS | RESOURCE_LABELS
        found += _parts(Metric(metric.prometheus_name(service.namespace), kind, labels))
    return found


def _parts(metric: Metric) -> list[Metric]:
    if metric.type != "histogram":
        return [metric]
    return [
        Metric(f"{metric.name}_bucket", "counter", metric.labels | {"le"}),
        Metric(f"{metric.name}_count", "counter", metric.labels),
        Metric(f"{metric.name}_sum", "counter", metric.labels),
    ]
