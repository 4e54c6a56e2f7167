"""Every metric that rules and boards may use, with its type and labels: ours from the catalogue, the others as their programs export them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from blogauto_otel.api.catalogue import CATALOGUE
from blogauto_otel.api.metric_spec import MetricSpec
from blogauto_otel.api.sdk_metrics import SDK_METRICS, SDK_METRICS_NAMESPACE, sdk_metric_spec
from monitoring.parameters import Service

# Labels that Prometheus, the Collector and the resource add to every series (collector/export-prometheus-pull.yaml).
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


_RECORDS: Final = ("topic", "partition", "node_id", "outcome", "compression_codec")

# As Collector 0.161 exports them on port 8888; `tier` is a label of the scrape configuration, where there are several.
COLLECTOR: Final = (
    *(
        _metric(f"otelcol_receiver_{what}_{signal}_total", "counter", "receiver", "transport", "tier")
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
    _metric("otelcol_process_uptime_seconds_total", "counter", "tier"),
    # Of tier-kafka-in, tier-kafka-out and tier-gateway. Where the name ends in _ratio, the value is a count all the same.
    *(
        _metric(f"otelcol_kafka_receiver_unmarshal_failed_{signal}_total", "counter", "topic", "partition")
        for signal in COLLECTOR_SIGNALS
    ),
    _metric("otelcol_kafka_receiver_offset_lag_ratio", "gauge", "topic", "partition"),
    _metric("otelcol_kafka_receiver_current_offset_ratio", "gauge", "topic", "partition"),
    _metric("otelcol_kafka_receiver_records_total", "counter", *_RECORDS),
    _metric("otelcol_kafka_exporter_records_total", "counter", *_RECORDS, "server_address"),
    _metric("otelcol_loadbalancer_backend_outcome_total", "counter", "endpoint", "success"),
    _metric("otelcol_loadbalancer_num_backends", "gauge", "resolver"),
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


def sdk_metric(name: str) -> str:
    """The Prometheus name of a metric that the SDK exports about itself: `queue.bytes` is `blogauto_otel_queue_bytes`.

    Raises:
        KeyError: the catalogue has no metric of that name.
    """
    return sdk_metric_spec(name).prometheus_name(SDK_METRICS_NAMESPACE)


def known_metrics(service: Service) -> Mapping[str, Metric]:
    """Every series name by itself; a histogram stands under its three."""
    ours = [_declared(metric, service.namespace) for metric in CATALOGUE]
    sdk = [_declared(metric, SDK_METRICS_NAMESPACE) for metric in SDK_METRICS]
    return {part.name: part for metric in (*ours, *sdk, *COLLECTOR, *OTHERS) for part in _parts(metric)}


def _declared(metric: MetricSpec, namespace: str) -> Metric:
    labels = frozenset(metric.labels) | TARGET_LABELS | RESOURCE_LABELS
    return Metric(metric.prometheus_name(namespace), metric.kind.prometheus_type, labels)


def _parts(metric: Metric) -> list[Metric]:
    if metric.type != "histogram":
        return [metric]
    return [
        Metric(f"{metric.name}_bucket", "counter", metric.labels | {"le"}),
        Metric(f"{metric.name}_count", "counter", metric.labels),
        Metric(f"{metric.name}_sum", "counter", metric.labels),
    ]
