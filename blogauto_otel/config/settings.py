"""The settings: one line each with field, variable, parser, default and documentation.

`OTEL_*` names mean what the OpenTelemetry specification says they mean
(https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/); ours begin with `BLOGAUTO_OTEL_`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, cast

from blogauto_otel._dataclass import dataclass
from blogauto_otel._lazy_pattern import lazy_pattern
from blogauto_otel._messages import Language
from blogauto_otel.config.parsers import (
    Parser,
    any_of,
    comma_patterns,
    dsn,
    endpoint_url,
    exporters,
    flag,
    header_pairs,
    metric_namespace,
    milliseconds,
    networks,
    number,
    one_of,
    otlp_timeout,
    pairs,
    patterns,
    rates,
    routes,
    spool_directory,
    template,
    text,
    url_path,
    whole,
    words,
)

PREFIX: Final = "BLOGAUTO_OTEL_"
# Variables with our prefix that are not settings: scripts of the repository read them.
OTHER_VARIABLES: Final = frozenset({PREFIX + "STACK_CACHE"})
MASK: Final = "****"

Instrumentation = Literal["own", "contrib", "off"]
ConsoleFormat = Literal["auto", "json", "text", "off"]
ConsoleStream = Literal["auto", "stdout", "stderr"]
Protocol = Literal["http/protobuf", "grpc"]
SentryTraces = Literal["collector", "direct", "off"]
SentryProfiles = Literal["process", "trace"]
Compression = Literal["none", "gzip"]
UnderTest = Literal["quiet", "export"]
Temporality = Literal["cumulative", "delta", "lowmemory"]
HistogramAggregation = Literal["explicit_bucket_histogram", "base2_exponential_bucket_histogram"]


# --- options ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Option:
    """How one setting is read, and what the documentation says of it."""

    variable: str
    parse: Parser
    help: str
    section: str
    secret: bool = False
    fallback: str | None = None  # a second variable, read when the first is not set
    unit: str | None = None


def option(
    variable: str,
    parse: Parser,
    default: Any,
    help: str,  # noqa: A002 - the word everybody uses for it
    *,
    section: str,
    secret: bool = False,
    fallback: str | None = None,
    unit: str | None = None,
) -> Any:
    """Declare a field of `Settings`."""
    metadata = {"option": Option(variable, parse, help, section, secret, fallback, unit)}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: MappingProxyType(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


SERVICE, EXPORT, TRACES, METRICS, LOGS, INSTRUMENTATION, DELIVERY, PRIVACY, SENTRY, AI = (
    "Service",
    "Export",
    "Traces",
    "Metrics",
    "Logs",
    "Instrumentation",
    "Delivery",
    "Privacy",
    "Sentry",
    "AI calls",
)


@dataclass(frozen=True)
class Settings:
    """Everything that can be decided as text. Objects (an app, an exporter) are arguments of `configure`."""

    # fmt: off
    service_name: str = option("OTEL_SERVICE_NAME", text, "blogauto-backend", "Name of the service: resource attribute `service.name`, and `job` in Prometheus.", section=SERVICE)
    service_version: str | None = option(PREFIX + "SERVICE_VERSION", text, None, "Version of the service: resource attribute `service.version`, and the release in Sentry.", section=SERVICE)
    environment: str = option(PREFIX + "ENVIRONMENT", text, "development", "Deployment environment: resource attribute `deployment.environment.name`. `production` changes the defaults of sampling and of the console.", section=SERVICE, fallback="ENVIRONMENT")
    namespace: str = option(PREFIX + "NAMESPACE", metric_namespace, "blogauto", "Prefix of the domain metrics' names.", section=SERVICE)
    resource_attributes: Mapping[str, Any] = option("OTEL_RESOURCE_ATTRIBUTES", pairs, {}, "Additional resource attributes: `key=value` pairs, separated by commas.", section=SERVICE)
    resource_detectors: tuple[str, ...] = option("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", words, (), "Installed resource detectors to run at start, by name, separated by commas; `*` for all. Each has at most 2 seconds.", section=SERVICE)
    sdk_disabled: bool = option("OTEL_SDK_DISABLED", flag, False, "Disable the SDK: nothing is recorded, patched or exported.", section=SERVICE)
    config_file: str | None = option("OTEL_CONFIG_FILE", text, None, "Declarative configuration file (YAML with the extra `config`, or JSON). It replaces the `OTEL_*` variables of the specification; see below.", section=SERVICE)
    internal_log_level: str | None = option("OTEL_LOG_LEVEL", one_of(Literal["trace", "debug", "info", "warn", "error", "fatal"]), None, "Least severity of the log lines of `blogauto_otel` and of the OpenTelemetry SDK about themselves. Unset: as the application configures logging.", section=SERVICE)
    gc_freeze: bool = option(PREFIX + "GC_FREEZE", flag, True, "Call `gc.collect()` and `gc.freeze()` once when the application has started: full garbage collections during requests then pass over the objects of start-up.", section=SERVICE)
    language: Language = option(PREFIX + "LANGUAGE", one_of(Language), "en", "Language of the most important log lines: `en`, `ko`, or `auto`, which is that of the process's locale. The commands of `blogauto-otel` follow the locale unless it is set.", section=SERVICE)
    under_test: UnderTest = option(PREFIX + "UNDER_TEST", one_of(UnderTest), "quiet", "Behaviour under pytest and `python -m unittest`: `quiet` exports a signal only when an endpoint or exporter is set for it, and prints only when the console is set; `export` behaves as elsewhere.", section=SERVICE)
    strict: bool = option(PREFIX + "STRICT", flag, False, "Raise `ConfigurationError` from `configure()` for a problem that otherwise costs a warning.", section=SERVICE)

    traces_exporter: tuple[str, ...] = option("OTEL_TRACES_EXPORTER", exporters("otlp", "console", "none"), ("otlp",), "Exporters of spans: `otlp`, `console`, `none`.", section=EXPORT)
    metrics_exporter: tuple[str, ...] = option("OTEL_METRICS_EXPORTER", exporters("otlp", "console", "none", "prometheus"), ("otlp",), "Exporters of metrics: `otlp`, `console`, `prometheus` (a port of its own, extra `prometheus`), `none`. `/metrics` is served in any case.", section=EXPORT)
    logs_exporter: tuple[str, ...] = option("OTEL_LOGS_EXPORTER", exporters("otlp", "console", "none"), ("otlp",), "Exporters of log records: `otlp`, `console`, `none`.", section=EXPORT)
    protocol: Protocol = option("OTEL_EXPORTER_OTLP_PROTOCOL", one_of(Protocol), "http/protobuf", "OTLP transport: `http/protobuf`, or `grpc` with the extra of that name.", section=EXPORT)
    traces_protocol: Protocol | None = option("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", one_of(Protocol), None, "OTLP transport for spans.", section=EXPORT)
    metrics_protocol: Protocol | None = option("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", one_of(Protocol), None, "OTLP transport for metrics.", section=EXPORT)
    logs_protocol: Protocol | None = option("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", one_of(Protocol), None, "OTLP transport for log records.", section=EXPORT)
    endpoint: str | None = option("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint_url, None, "Base URL of the Collector; `/v1/traces`, `/v1/metrics`, `/v1/logs` are added. For gRPC also `host:port`. Unset: `http://localhost:4318` (gRPC: `:4317`).", section=EXPORT)
    traces_endpoint: str | None = option("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint_url, None, "Full URL for spans, used as it is.", section=EXPORT)
    metrics_endpoint: str | None = option("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", endpoint_url, None, "Full URL for metrics, used as it is.", section=EXPORT)
    logs_endpoint: str | None = option("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", endpoint_url, None, "Full URL for log records, used as it is.", section=EXPORT)
    insecure: bool = option("OTEL_EXPORTER_OTLP_INSECURE", flag, False, "Send without TLS to a gRPC endpoint that has no scheme (`host:port`). A scheme takes precedence.", section=EXPORT)
    traces_insecure: bool | None = option("OTEL_EXPORTER_OTLP_TRACES_INSECURE", flag, None, "The same for spans.", section=EXPORT)
    metrics_insecure: bool | None = option("OTEL_EXPORTER_OTLP_METRICS_INSECURE", flag, None, "The same for metrics.", section=EXPORT)
    logs_insecure: bool | None = option("OTEL_EXPORTER_OTLP_LOGS_INSECURE", flag, None, "The same for log records.", section=EXPORT)
    headers: Mapping[str, str] = option("OTEL_EXPORTER_OTLP_HEADERS", header_pairs, {}, "Headers of every export request, such as an API key.", section=EXPORT, secret=True)
    traces_headers: Mapping[str, str] | None = option("OTEL_EXPORTER_OTLP_TRACES_HEADERS", header_pairs, None, "Headers for spans; they replace the general ones.", section=EXPORT, secret=True)
    metrics_headers: Mapping[str, str] | None = option("OTEL_EXPORTER_OTLP_METRICS_HEADERS", header_pairs, None, "Headers for metrics; they replace the general ones.", section=EXPORT, secret=True)
    logs_headers: Mapping[str, str] | None = option("OTEL_EXPORTER_OTLP_LOGS_HEADERS", header_pairs, None, "Headers for log records; they replace the general ones.", section=EXPORT, secret=True)
    timeout: float = option("OTEL_EXPORTER_OTLP_TIMEOUT", otlp_timeout, 10.0, "Total time of one export request, in milliseconds; a value below 100 is read as seconds.", section=EXPORT, unit="ms")
    traces_timeout: float | None = option("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", otlp_timeout, None, "The same for spans.", section=EXPORT, unit="ms")
    metrics_timeout: float | None = option("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", otlp_timeout, None, "The same for metrics.", section=EXPORT, unit="ms")
    logs_timeout: float | None = option("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", otlp_timeout, None, "The same for log records.", section=EXPORT, unit="ms")
    compression: Compression = option("OTEL_EXPORTER_OTLP_COMPRESSION", one_of(Compression), "none", "Compression of export requests: `gzip` or `none`.", section=EXPORT)
    traces_compression: Compression | None = option("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", one_of(Compression), None, "The same for spans.", section=EXPORT)
    metrics_compression: Compression | None = option("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", one_of(Compression), None, "The same for metrics.", section=EXPORT)
    logs_compression: Compression | None = option("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", one_of(Compression), None, "The same for log records.", section=EXPORT)
    certificate: str | None = option("OTEL_EXPORTER_OTLP_CERTIFICATE", text, None, "PEM file with the certificate authorities that may sign the Collector's certificate.", section=EXPORT)
    traces_certificate: str | None = option("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", text, None, "The same for spans.", section=EXPORT)
    metrics_certificate: str | None = option("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", text, None, "The same for metrics.", section=EXPORT)
    logs_certificate: str | None = option("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", text, None, "The same for log records.", section=EXPORT)
    client_certificate: str | None = option("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", text, None, "PEM file with the client certificate, for mutual TLS.", section=EXPORT)
    traces_client_certificate: str | None = option("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", text, None, "The same for spans.", section=EXPORT)
    metrics_client_certificate: str | None = option("OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE", text, None, "The same for metrics.", section=EXPORT)
    logs_client_certificate: str | None = option("OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE", text, None, "The same for log records.", section=EXPORT)
    client_key: str | None = option("OTEL_EXPORTER_OTLP_CLIENT_KEY", text, None, "PEM file with the client's private key, for mutual TLS.", section=EXPORT)
    traces_client_key: str | None = option("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", text, None, "The same for spans.", section=EXPORT)
    metrics_client_key: str | None = option("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", text, None, "The same for metrics.", section=EXPORT)
    logs_client_key: str | None = option("OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", text, None, "The same for log records.", section=EXPORT)

    propagators: tuple[str, ...] = option("OTEL_PROPAGATORS", words, ("tracecontext", "baggage"), "Propagators that read context from requests and write it to outgoing calls; `none` for none.", section=TRACES)
    sampler: str | None = option("OTEL_TRACES_SAMPLER", text, None, "Sampler of the specification, by name. The sampling settings below then have no effect.", section=TRACES)
    sampler_arg: str | None = option("OTEL_TRACES_SAMPLER_ARG", text, None, "Argument of that sampler.", section=TRACES)
    id_generator: str | None = option("OTEL_PYTHON_ID_GENERATOR", text, None, "Installed generator of trace and span ids, by name, such as `xray`. Unset: random ids from the operating system.", section=TRACES)
    sample_rate: float | None = option(PREFIX + "SAMPLE_RATE", number(0.0, 1.0), None, "Share of traces that are sampled, 0 to 1. Unset: 0.1 in production, 1.0 elsewhere.", section=TRACES)
    sample_routes: Mapping[str, float] = option(PREFIX + "SAMPLE_ROUTES", rates, {}, "Sampling rates by route; the first match applies: `/api/content/*=1.0,/api/posts/{id}=0.01`.", section=TRACES)
    untraced_routes: tuple[str, ...] = option(PREFIX + "UNTRACED_ROUTES", routes, ("/health", "/healthz", "/livez", "/readyz", "/ping", "/api/health"), "Routes that are counted but never traced.", section=TRACES)
    slow_request_seconds: float = option(PREFIX + "SLOW_REQUEST_SECONDS", number(0.0, 86_400.0, "seconds"), 2.0, "An unsampled request that takes longer is exported all the same; 0 disables this.", section=TRACES, unit="s")
    trust_incoming: tuple[str, ...] = option(PREFIX + "TRUST_INCOMING", networks, ("private",), "Clients whose trace context is continued and whose baggage is accepted: `always`, `never`, or a list of `private` (loopback and private networks, seen through proxies), networks such as `100.64.0.0/10` (with all that they forward: a gateway that starts traces), `unix` (peers on a Unix socket) and `testclient` (Starlette's). The trace of any other client is linked.", section=TRACES)
    baggage_keys: tuple[str, ...] = option(PREFIX + "BAGGAGE_KEYS", words, ("*",), "Entries of incoming baggage that are accepted and forwarded with outgoing calls; `*` for all. At most 1 KB in any case.", section=TRACES)
    incoming_request_id: bool = option(PREFIX + "INCOMING_REQUEST_ID", flag, True, "Accept a well-formed `X-Request-ID` of the caller; `false` creates one for each request.", section=TRACES)
    max_attributes: int = option("OTEL_ATTRIBUTE_COUNT_LIMIT", whole(0, 4096), 128, "Maximum number of attributes per span, event, link or log record.", section=TRACES)
    max_attribute_length: int = option("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", whole(0, 1_048_576), 4096, "Maximum number of characters per attribute value; longer values are truncated and flagged.", section=TRACES)
    max_span_attributes: int | None = option("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", whole(0, 4096), None, "Maximum number of attributes per span.", section=TRACES)
    max_span_attribute_length: int | None = option("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", whole(0, 1_048_576), None, "Maximum number of characters per span attribute.", section=TRACES)
    max_events: int = option("OTEL_SPAN_EVENT_COUNT_LIMIT", whole(0, 4096), 128, "Maximum number of events per span.", section=TRACES)
    max_links: int = option("OTEL_SPAN_LINK_COUNT_LIMIT", whole(0, 4096), 128, "Maximum number of links per span.", section=TRACES)
    max_event_attributes: int | None = option("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", whole(0, 4096), None, "Maximum number of attributes per span event.", section=TRACES)
    max_link_attributes: int | None = option("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", whole(0, 4096), None, "Maximum number of attributes per span link.", section=TRACES)

    metric_interval: float = option("OTEL_METRIC_EXPORT_INTERVAL", milliseconds(100, 3_600_000), 15.0, "Time between two exports of metrics, in milliseconds.", section=METRICS, unit="ms")
    metric_timeout: float | None = option("OTEL_METRIC_EXPORT_TIMEOUT", milliseconds(1, 600_000), None, "Maximum time of one export of metrics, in milliseconds.", section=METRICS, unit="ms")
    metrics_temporality: Temporality = option("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", one_of(Temporality), "cumulative", "Temporality of metrics sent by OTLP: `cumulative`, `delta`, `lowmemory`. `/metrics` stays cumulative. Other than `cumulative` adds a second aggregation.", section=METRICS)
    histogram_aggregation: HistogramAggregation = option("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", one_of(HistogramAggregation), "explicit_bucket_histogram", "Aggregation of histograms sent by OTLP: `explicit_bucket_histogram` or `base2_exponential_bucket_histogram`. `/metrics` keeps explicit buckets. The second adds a second aggregation.", section=METRICS)
    exemplar_filter: str = option("OTEL_METRICS_EXEMPLAR_FILTER", one_of(Literal["trace_based", "always_on", "always_off"]), "trace_based", "Measurements that may become exemplars: `trace_based`, `always_on`, `always_off`.", section=METRICS)
    prometheus_host: str = option("OTEL_EXPORTER_PROMETHEUS_HOST", text, "localhost", "Address of the `prometheus` exporter.", section=METRICS)
    prometheus_port: int = option("OTEL_EXPORTER_PROMETHEUS_PORT", whole(0, 65_535), 9464, "Port of the `prometheus` exporter.", section=METRICS)
    series_limit: int = option(PREFIX + "SERIES_LIMIT", whole(10, 100_000), 2000, "Maximum number of time series per instrument; further ones are counted together under `otel.metric.overflow`.", section=METRICS)
    metrics_path: str = option(PREFIX + "METRICS_PATH", url_path, "/metrics", "Path where the application serves metrics to Prometheus, unless it has a working route of its own there; `off` to serve none.", section=METRICS)
    metrics_token: str | None = option(PREFIX + "METRICS_TOKEN", text, None, "Bearer token that a scrape of that path must carry. Unset, production answers clients on private networks only.", section=METRICS, secret=True)
    http_semconv_metrics: bool = option(PREFIX + "HTTP_SEMCONV_METRICS", flag, False, "Record the metrics of the HTTP semantic conventions too, such as `http.server.request.duration`.", section=METRICS)

    console: ConsoleFormat = option(PREFIX + "CONSOLE", one_of(ConsoleFormat), "auto", "Format of log lines: `json`, `text`, `off` (the application's handlers stay as they are), or `auto`: JSON in production, text elsewhere.", section=LOGS)
    console_stream: ConsoleStream = option(PREFIX + "CONSOLE_STREAM", one_of(ConsoleStream), "auto", "Stream of lines that no handler of the application prints: `stdout`, `stderr`, or `auto`: stdout where a server runs in production, else stderr.", section=LOGS)
    log_level: str | None = option(PREFIX + "LOG_LEVEL", one_of(Literal["debug", "info", "warning", "error", "critical"]), "info", "Least severity of log records that are exported and printed.", section=LOGS, fallback="OTEL_PYTHON_LOG_LEVEL")
    log_correlation: bool = option("OTEL_PYTHON_LOG_CORRELATION", flag, False, "Set `otelTraceID`, `otelSpanID`, `otelTraceSampled` and `otelServiceName` on each log record, for format strings of the application. Lines of the console carry the ids in any case.", section=LOGS)
    max_log_attributes: int | None = option("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", whole(0, 4096), None, "Maximum number of attributes per log record.", section=LOGS)
    max_log_attribute_length: int | None = option("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", whole(0, 1_048_576), None, "Maximum number of characters per log record attribute.", section=LOGS)

    requests: Instrumentation = option(PREFIX + "REQUESTS", one_of(Instrumentation), "own", "Instrumentation of FastAPI and Starlette: `own`, `contrib` (extra `fastapi`), `off`.", section=INSTRUMENTATION)
    sqlalchemy: Instrumentation = option(PREFIX + "SQLALCHEMY", one_of(Instrumentation), "own", "Instrumentation of SQLAlchemy: `own`, `contrib` (extra `sqlalchemy`), `off`.", section=INSTRUMENTATION)
    sql_root_spans: bool = option(PREFIX + "SQL_ROOT_SPANS", flag, False, "Record statements that run outside any sampled span.", section=INSTRUMENTATION)
    repeated_queries: int = option(PREFIX + "REPEATED_QUERIES", whole(0, 100_000), 10, "Executions of one SQL statement within one request or operation from which it is reported as repeated (N+1); 0 disables this.", section=INSTRUMENTATION)
    slow_query_seconds: float = option(PREFIX + "SLOW_QUERY_SECONDS", number(0.0, 86_400.0, "seconds"), 1.0, "Duration from which a SQL statement is reported as slow; 0 disables this.", section=INSTRUMENTATION, unit="s")
    sql_source: bool = option(PREFIX + "SQL_SOURCE", flag, False, "Record the line of the application that issued each sampled SQL statement (`code.file.path`, `code.line.number`); costs some microseconds a statement. `blogauto-otel dev` sets it.", section=INSTRUMENTATION)
    logging: bool = option(PREFIX + "LOGGING", flag, True, "Export log records of the standard library's logging.", section=INSTRUMENTATION, fallback="OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED")
    system_metrics: bool = option(PREFIX + "SYSTEM_METRICS", flag, True, "Record CPU, memory, disk and connections of the host or container.", section=INSTRUMENTATION)
    clients: bool = option(PREFIX + "CLIENTS", flag, True, "Enable the installed OpenTelemetry instrumentations of httpx, requests, aiohttp and redis.", section=INSTRUMENTATION)
    threads: bool = option(PREFIX + "THREADS", flag, True, "Propagate the current span and bound context into `ThreadPoolExecutor` and `run_in_executor`.", section=INSTRUMENTATION)
    disabled_instrumentations: tuple[str, ...] = option("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", words, (), "Instrumentations that stay disabled, by entry point name; `*` for all.", section=INSTRUMENTATION)
    excluded_urls: tuple[str, ...] = option("OTEL_PYTHON_FASTAPI_EXCLUDED_URLS", comma_patterns, (), "Requests that are neither traced nor measured: regular expressions searched in the full URL, separated by commas.", section=INSTRUMENTATION, fallback="OTEL_PYTHON_EXCLUDED_URLS")
    capture_request_headers: tuple[str, ...] = option("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", comma_patterns, (), "Request headers recorded as span attributes: names or regular expressions that match a whole name in any case, separated by commas.", section=INSTRUMENTATION)
    capture_response_headers: tuple[str, ...] = option("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE", comma_patterns, (), "Response headers recorded as span attributes, in the same form.", section=INSTRUMENTATION)
    sanitize_headers: tuple[str, ...] = option("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS", comma_patterns, (), "Captured headers whose value is replaced, in the same form. Secrets are redacted in any case.", section=INSTRUMENTATION)
    known_methods: tuple[str, ...] = option("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", words, (), "HTTP methods that are recorded by name; any other is `_OTHER`. Unset: those of RFC 9110 and PATCH.", section=INSTRUMENTATION)

    span_delay: float = option("OTEL_BSP_SCHEDULE_DELAY", milliseconds(10, 600_000), 1.0, "Maximum time that a span waits for a batch, in milliseconds.", section=DELIVERY, unit="ms")
    log_delay: float = option("OTEL_BLRP_SCHEDULE_DELAY", milliseconds(10, 600_000), 1.0, "Maximum time that a log record waits for a batch, in milliseconds.", section=DELIVERY, unit="ms")
    span_export_timeout: float | None = option("OTEL_BSP_EXPORT_TIMEOUT", milliseconds(1, 600_000), None, "Maximum time of one export of spans, in milliseconds; the shorter of this and the OTLP timeout applies.", section=DELIVERY, unit="ms")
    log_export_timeout: float | None = option("OTEL_BLRP_EXPORT_TIMEOUT", milliseconds(1, 600_000), None, "Maximum time of one export of log records, in milliseconds; the shorter of this and the OTLP timeout applies.", section=DELIVERY, unit="ms")
    span_queue_items: int = option("OTEL_BSP_MAX_QUEUE_SIZE", whole(1, 10_000_000), 65_536, "Maximum number of spans in the queue.", section=DELIVERY)
    log_queue_items: int = option("OTEL_BLRP_MAX_QUEUE_SIZE", whole(1, 10_000_000), 65_536, "Maximum number of log records in the queue.", section=DELIVERY)
    span_batch_items: int = option("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", whole(1, 100_000), 2048, "Maximum number of spans per export request.", section=DELIVERY)
    log_batch_items: int = option("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", whole(1, 100_000), 2048, "Maximum number of log records per export request.", section=DELIVERY)
    queue_bytes: int = option(PREFIX + "QUEUE_BYTES", whole(65_536, 2**40), 32 * 2**20, "Maximum size of the queue of one signal.", section=DELIVERY, unit="By")
    max_request_bytes: int = option(PREFIX + "MAX_REQUEST_BYTES", whole(16_384, 64 * 2**20), 3_500_000, "Maximum size of one export request before compression; the Collector's gRPC receiver refuses 4 MiB.", section=DELIVERY, unit="By")
    spool_dir: str | None = option(PREFIX + "SPOOL_DIR", spool_directory, None, "Directory for telemetry that cannot be sent, one subdirectory per service and environment; `off` to keep it in memory only. Unset: `$XDG_STATE_HOME/blogauto-otel` (`~/.local/state`), or under `$TMPDIR` when that is not writable.", section=DELIVERY)
    spool_bytes: int = option(PREFIX + "SPOOL_BYTES", whole(65_536, 2**40), 64 * 2**20, "Maximum size of the spool of all processes of the service on this host; beyond it, the oldest data is dropped.", section=DELIVERY, unit="By")
    spool_age: float = option(PREFIX + "SPOOL_AGE", number(60.0, 31_536_000.0, "seconds"), 86_400.0, "Maximum age of spooled telemetry; of metrics, one hour at most.", section=DELIVERY, unit="s")
    spool_fsync: bool = option(PREFIX + "SPOOL_FSYNC", flag, False, "Call `fsync` for every file of the spool, so that it survives a loss of power and not only the end of the process.", section=DELIVERY)
    shutdown_timeout: float = option(PREFIX + "SHUTDOWN_TIMEOUT", number(0.0, 600.0, "seconds"), 4.0, "Maximum total time of the flush at the end of the process.", section=DELIVERY, unit="s")

    redact: bool = option(PREFIX + "REDACT", flag, True, "Replace secrets in everything that leaves the process.", section=PRIVACY)
    redact_keys: tuple[str, ...] = option(PREFIX + "REDACT_KEYS", words, (), "Additional keys whose values are secrets.", section=PRIVACY)
    redact_patterns: tuple[str, ...] = option(PREFIX + "REDACT_PATTERNS", patterns, (), "Additional regular expressions whose matches are secrets, separated by spaces; a group named `secret` limits what is replaced.", section=PRIVACY)
    redact_personal: tuple[str, ...] = option(PREFIX + "REDACT_PERSONAL", any_of("email", "phone", "rrn"), (), "Personal data to replace as well: `email`, `phone` (Korean numbers), `rrn` (Korean resident registration numbers).", section=PRIVACY)

    sentry_dsn: str | None = option("SENTRY_DSN", dsn, None, "DSN of the Sentry project; unset, Sentry is not used.", section=SENTRY, secret=True)
    sentry_traces: SentryTraces = option(PREFIX + "SENTRY_TRACES", one_of(SentryTraces), "collector", "How spans reach Sentry: `collector` (its overlay `export-sentry.yaml`), `direct` from this process, `off`.", section=SENTRY)
    sentry_traces_rate: float = option(PREFIX + "SENTRY_TRACES_RATE", number(0.0, 1.0), 0.1, "Share of all traces that goes to Sentry: with `direct`, or through the Collector as `blogauto-otel sentry` configures it.", section=SENTRY)
    sentry_profiles: SentryProfiles = option(PREFIX + "SENTRY_PROFILES", one_of(SentryProfiles), "process", "What is profiled: a share of the processes (`process`), or of the traces (`trace`).", section=SENTRY)
    sentry_profiles_rate: float = option(PREFIX + "SENTRY_PROFILES_RATE", number(0.0, 1.0), 0.1, "That share, 0 to 1; profiling uses 3 to 14 % of a core.", section=SENTRY)
    sentry_events_per_minute: float = option(PREFIX + "SENTRY_EVENTS_PER_MINUTE", number(0.0, 60_000.0), 10.0, "Maximum number of events per minute of one error at one place in the code; the rest is counted and logged.", section=SENTRY)
    sentry_frame_variables: bool = option(PREFIX + "SENTRY_FRAME_VARIABLES", flag, False, "Send the local variables of each frame, redacted.", section=SENTRY)
    sentry_event_url: str | None = option(PREFIX + "SENTRY_EVENT_URL", template("event_id"), None, "URL of an event, set on spans and log records: `https://acme.sentry.io/issues/?query={event_id}`.", section=SENTRY)
    sentry_trace_url: str | None = option(PREFIX + "SENTRY_TRACE_URL", template("trace_id", "span_id"), None, "URL of a trace, set on events: `http://localhost:16686/trace/{trace_id}?uiFind={span_id}`.", section=SENTRY)

    ai_prices: str | None = option(PREFIX + "AI_PRICES", text, None, "JSON file with the prices of AI models per million tokens, for `blogauto_ai_cost_total`. Unset: no cost is counted.", section=AI)
    ai_currency: str | None = option(PREFIX + "AI_CURRENCY", text, None, "Currency of the costs, such as `USD` or `KRW`. Unset: that of the file; another needs its rate in the file.", section=AI)
    ai_content: bool = option(PREFIX + "AI_CONTENT", flag, False, "Record prompts and answers of AI calls as events of their spans, redacted and cut to the length limit of attributes.", section=AI)
    # fmt: on

    @property
    def production(self) -> bool:
        """True when the environment is production, which changes defaults."""
        return self.environment.lower() in {"production", "prod"}

    @property
    def effective_sample_rate(self) -> float:
        """The share of traces that are sampled, from 0 to 1."""
        if self.sample_rate is not None:
            return self.sample_rate
        return 0.1 if self.production else 1.0

    @property
    def span_attribute_count(self) -> int:
        """The maximum number of attributes of a span."""
        return _first_set(self.max_span_attributes, self.max_attributes)

    @property
    def event_attribute_count(self) -> int:
        """The maximum number of attributes of a span event."""
        return _first_set(self.max_event_attributes, self.max_attributes)

    @property
    def link_attribute_count(self) -> int:
        """The maximum number of attributes of a span link."""
        return _first_set(self.max_link_attributes, self.max_attributes)

    @property
    def log_attribute_count(self) -> int:
        """The maximum number of attributes of a log record."""
        return _first_set(self.max_log_attributes, self.max_attributes)

    @property
    def span_attribute_length(self) -> int:
        """The maximum length of a span attribute's value, in characters."""
        return _first_set(self.max_span_attribute_length, self.max_attribute_length)

    @property
    def log_attribute_length(self) -> int:
        """The maximum length of a log record attribute's value, in characters."""
        return _first_set(self.max_log_attribute_length, self.max_attribute_length)

    def __repr__(self) -> str:
        """Show what differs from the defaults, secrets masked."""
        changed = (f"{name}={value!r}" for name, value in self.printable().items() if value != default_of(name))
        return f"Settings({', '.join(changed)})"

    def printable(self) -> dict[str, object]:
        """All values by field name, secrets masked, fit for a log line or a support ticket."""
        return {field.name: _masked(field, getattr(self, field.name)) for field in dataclasses.fields(self)}


def _first_set(own: int | None, general: int) -> int:
    """A limit of 0 is a limit."""
    return general if own is None else own


def default_of(field_name: str) -> object:
    """The default of a setting."""
    field = FIELDS[field_name]
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def option_of(field_name: str) -> Option:
    """How a setting is declared."""
    return cast("Option", FIELDS[field_name].metadata["option"])


FIELDS: Final[dict[str, dataclasses.Field[Any]]] = {field.name: field for field in dataclasses.fields(Settings)}


def _masked(field: dataclasses.Field[Any], value: object) -> object:
    declared = cast("Option", field.metadata["option"])
    if isinstance(value, Mapping):
        return {
            key: MASK if declared.secret or _SECRET_KEY.search(key) else without_credentials(item)
            for key, item in value.items()
        }
    return MASK if declared.secret and value else without_credentials(value)


# A coarse match: the redactor is in a layer above. A value masked by mistake can be read in the environment.
_SECRET_KEY: Final = lazy_pattern("pass|pwd|secret|token|key|credential|auth|cookie|dsn", re.IGNORECASE)


def without_credentials(value: Any) -> Any:
    """The value; in a URL, user and password are masked."""
    return re.sub(r"(^|(?<=://))[^/\s]*@", MASK + "@", value) if isinstance(value, str) else value
