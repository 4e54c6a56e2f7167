"""Arguments of `configure()`, for type checkers and editors; generated from `Settings`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from blogauto_otel.config import (
    Compression,
    ConsoleFormat,
    ConsoleStream,
    HistogramAggregation,
    Instrumentation,
    Language,
    Protocol,
    SentryProfiles,
    SentryTraces,
    Temporality,
    UnderTest,
)


class SettingsArguments(TypedDict, total=False):
    """Fields of `Settings`; text is parsed as the variable is, and `None` means not given. Durations are in seconds."""

    service_name: str | None
    service_version: str | None
    environment: str | None
    namespace: str | None
    resource_attributes: Mapping[str, object] | str | None
    resource_detectors: Sequence[str] | None
    sdk_disabled: bool | str | None
    config_file: str | None
    internal_log_level: str | None
    gc_freeze: bool | str | None
    language: Language | None
    under_test: UnderTest | None
    traces_exporter: Sequence[str] | None
    metrics_exporter: Sequence[str] | None
    logs_exporter: Sequence[str] | None
    protocol: Protocol | None
    traces_protocol: Protocol | None
    metrics_protocol: Protocol | None
    logs_protocol: Protocol | None
    endpoint: str | None
    traces_endpoint: str | None
    metrics_endpoint: str | None
    logs_endpoint: str | None
    insecure: bool | str | None
    traces_insecure: bool | str | None
    metrics_insecure: bool | str | None
    logs_insecure: bool | str | None
    headers: Mapping[str, str] | str | None
    traces_headers: Mapping[str, str] | str | None
    metrics_headers: Mapping[str, str] | str | None
    logs_headers: Mapping[str, str] | str | None
    timeout: float | str | None
    traces_timeout: float | str | None
    metrics_timeout: float | str | None
    logs_timeout: float | str | None
    compression: Compression | None
    traces_compression: Compression | None
    metrics_compression: Compression | None
    logs_compression: Compression | None
    certificate: str | None
    traces_certificate: str | None
    metrics_certificate: str | None
    logs_certificate: str | None
    client_certificate: str | None
    traces_client_certificate: str | None
    metrics_client_certificate: str | None
    logs_client_certificate: str | None
    client_key: str | None
    traces_client_key: str | None
    metrics_client_key: str | None
    logs_client_key: str | None
    propagators: Sequence[str] | None
    sampler: str | None
    sampler_arg: str | None
    id_generator: str | None
    sample_rate: float | str | None
    sample_routes: Mapping[str, float] | str | None
    untraced_routes: Sequence[str] | None
    slow_request_seconds: float | str | None
    trust_incoming: Sequence[str] | None
    baggage_keys: Sequence[str] | None
    incoming_request_id: bool | str | None
    max_attributes: int | str | None
    max_attribute_length: int | str | None
    max_span_attributes: int | str | None
    max_span_attribute_length: int | str | None
    max_events: int | str | None
    max_links: int | str | None
    max_event_attributes: int | str | None
    max_link_attributes: int | str | None
    metric_interval: float | str | None
    metric_timeout: float | str | None
    metrics_temporality: Temporality | None
    histogram_aggregation: HistogramAggregation | None
    exemplar_filter: str | None
    prometheus_host: str | None
    prometheus_port: int | str | None
    series_limit: int | str | None
    metrics_path: str | None
    metrics_token: str | None
    http_semconv_metrics: bool | str | None
    console: ConsoleFormat | None
    console_stream: ConsoleStream | None
    log_level: str | None
    log_correlation: bool | str | None
    max_log_attributes: int | str | None
    max_log_attribute_length: int | str | None
    requests: Instrumentation | None
    sqlalchemy: Instrumentation | None
    sql_root_spans: bool | str | None
    repeated_queries: int | str | None
    slow_query_seconds: float | str | None
    sql_source: bool | str | None
    logging: bool | str | None
    system_metrics: bool | str | None
    clients: bool | str | None
    threads: bool | str | None
    disabled_instrumentations: Sequence[str] | None
    excluded_urls: Sequence[str] | None
    capture_request_headers: Sequence[str] | None
    capture_response_headers: Sequence[str] | None
    sanitize_headers: Sequence[str] | None
    known_methods: Sequence[str] | None
    span_delay: float | str | None
    log_delay: float | str | None
    span_export_timeout: float | str | None
    log_export_timeout: float | str | None
    span_queue_items: int | str | None
    log_queue_items: int | str | None
    span_batch_items: int | str | None
    log_batch_items: int | str | None
    queue_bytes: int | str | None
    max_request_bytes: int | str | None
    spool_dir: str | None
    spool_bytes: int | str | None
    spool_age: float | str | None
    spool_fsync: bool | str | None
    shutdown_timeout: float | str | None
    redact: bool | str | None
    redact_keys: Sequence[str] | None
    redact_patterns: Sequence[str] | None
    redact_personal: Sequence[str] | None
    sentry_dsn: str | None
    sentry_traces: SentryTraces | None
    sentry_traces_rate: float | str | None
    sentry_profiles: SentryProfiles | None
    sentry_profiles_rate: float | str | None
    sentry_events_per_minute: float | str | None
    sentry_frame_variables: bool | str | None
    sentry_event_url: str | None
    sentry_trace_url: str | None
    ai_prices: str | None
    ai_currency: str | None
    ai_content: bool | str | None
