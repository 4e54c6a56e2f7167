"""The settings: one line each with field, variable, parser, default and documentation.

`OTEL_*` names mean what the OpenTelemetry specification says they mean
(https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/); ours begin with `BLOGAUTO_OTEL_`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, cast

from blogauto_otel.config.parsers import (
    Parser,
    any_of,
    dsn,
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
    url,
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


SERVICE, EXPORT, TRACES, METRICS, LOGS, INSTRUMENTATION, DELIVERY, PRIVACY, SENTRY = (
    "Service",
    "Export",
    "Traces",
    "Metrics",
    "Logs",
    "Instrumentation",
    "Delivery",
    "Privacy",
    "Sentry",
)


@dataclass(frozen=True)
class Settings:
    """Everything that can be decided as text. Objects (an app, an exporter) are arguments of `configure`."""

    # fmt: off
    service_name: str = option("OTEL_SERVICE_NAME", text, "blogauto-backend", "Who is speaking: `service.name`, and `job` in Prometheus.", section=SERVICE)
    service_version: str | None = option(PREFIX + "SERVICE_VERSION", text, None, "`service.version`; also Sentry's release.", section=SERVICE)
    environment: str = option(PREFIX + "ENVIRONMENT", text, "development", "`deployment.environment.name`; `production` changes the defaults of sampling and of the console.", section=SERVICE, fallback="ENVIRONMENT")
    namespace: str = option(PREFIX + "NAMESPACE", metric_namespace, "blogauto", "First word of the domain metrics' names.", section=SERVICE)
    resource_attributes: Mapping[str, str] = option("OTEL_RESOURCE_ATTRIBUTES", pairs, {}, "Further resource attributes, `key=value` with commas between.", section=SERVICE)
    sdk_disabled: bool = option("OTEL_SDK_DISABLED", flag, False, "Switch everything off: nothing is recorded, patched or sent.", section=SERVICE)
    under_test: UnderTest = option(PREFIX + "UNDER_TEST", one_of(UnderTest), "quiet", "Under pytest and `python -m unittest`: `quiet` exports a signal only when an endpoint or exporter is set for it, and prints only when the console is set; `export` behaves as elsewhere.", section=SERVICE)
    strict: bool = option(PREFIX + "STRICT", flag, False, "Raise `ConfigurationError` from `configure()` where a warning and the default would do.", section=SERVICE)

    traces_exporter: tuple[str, ...] = option("OTEL_TRACES_EXPORTER", exporters("otlp", "console", "none"), ("otlp",), "Where spans go: `otlp`, `console`, `none`.", section=EXPORT)
    metrics_exporter: tuple[str, ...] = option("OTEL_METRICS_EXPORTER", exporters("otlp", "console", "none", "prometheus"), ("otlp",), "Where metrics go: `otlp`, `console`, `prometheus` (a port of its own, extra `prometheus`), `none`; `/metrics` is served in any case.", section=EXPORT)
    logs_exporter: tuple[str, ...] = option("OTEL_LOGS_EXPORTER", exporters("otlp", "console", "none"), ("otlp",), "Where log records go: `otlp`, `console`, `none`.", section=EXPORT)
    protocol: Protocol = option("OTEL_EXPORTER_OTLP_PROTOCOL", one_of(Protocol), "http/protobuf", "`http/protobuf`, or `grpc` with the extra of that name.", section=EXPORT)
    endpoint: str | None = option("OTEL_EXPORTER_OTLP_ENDPOINT", url, None, "Base URL of the Collector; `/v1/traces`, `/v1/metrics`, `/v1/logs` are added. Unset: `http://localhost:4318` (gRPC: `:4317`).", section=EXPORT)
    traces_endpoint: str | None = option("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url, None, "Full URL for spans, used as it is.", section=EXPORT)
    metrics_endpoint: str | None = option("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", url, None, "Full URL for metrics, used as it is.", section=EXPORT)
    logs_endpoint: str | None = option("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", url, None, "Full URL for log records, used as it is.", section=EXPORT)
    headers: Mapping[str, str] = option("OTEL_EXPORTER_OTLP_HEADERS", header_pairs, {}, "Headers of every export request, such as an API key.", section=EXPORT, secret=True)
    traces_headers: Mapping[str, str] | None = option("OTEL_EXPORTER_OTLP_TRACES_HEADERS", header_pairs, None, "Headers for spans instead.", section=EXPORT, secret=True)
    metrics_headers: Mapping[str, str] | None = option("OTEL_EXPORTER_OTLP_METRICS_HEADERS", header_pairs, None, "Headers for metrics instead.", section=EXPORT, secret=True)
    logs_headers: Mapping[str, str] | None = option("OTEL_EXPORTER_OTLP_LOGS_HEADERS", header_pairs, None, "Headers for log records instead.", section=EXPORT, secret=True)
    timeout: float = option("OTEL_EXPORTER_OTLP_TIMEOUT", otlp_timeout, 10.0, "Total time of one export request, in milliseconds; below 100 it is read as seconds.", section=EXPORT, unit="ms")
    traces_timeout: float | None = option("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", otlp_timeout, None, "The same for spans.", section=EXPORT, unit="ms")
    metrics_timeout: float | None = option("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", otlp_timeout, None, "The same for metrics.", section=EXPORT, unit="ms")
    logs_timeout: float | None = option("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", otlp_timeout, None, "The same for log records.", section=EXPORT, unit="ms")
    compression: Compression = option("OTEL_EXPORTER_OTLP_COMPRESSION", one_of(Compression), "none", "`gzip` or `none`.", section=EXPORT)
    traces_compression: Compression | None = option("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", one_of(Compression), None, "The same for spans.", section=EXPORT)
    metrics_compression: Compression | None = option("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", one_of(Compression), None, "The same for metrics.", section=EXPORT)
    logs_compression: Compression | None = option("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", one_of(Compression), None, "The same for log records.", section=EXPORT)
    certificate: str | None = option("OTEL_EXPORTER_OTLP_CERTIFICATE", text, None, "File with the certificate authorities that may sign the Collector's certificate.", section=EXPORT)
    client_certificate: str | None = option("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", text, None, "File with our certificate, for mutual TLS.", section=EXPORT)
    client_key: str | None = option("OTEL_EXPORTER_OTLP_CLIENT_KEY", text, None, "File with our private key, for mutual TLS.", section=EXPORT)

    propagators: tuple[str, ...] = option("OTEL_PROPAGATORS", words, ("tracecontext", "baggage"), "Context formats read from and written to requests.", section=TRACES)
    sampler: str | None = option("OTEL_TRACES_SAMPLER", text, None, "An OpenTelemetry sampler by name, in place of ours.", section=TRACES)
    sampler_arg: str | None = option("OTEL_TRACES_SAMPLER_ARG", text, None, "The argument of that sampler.", section=TRACES)
    sample_rate: float | None = option(PREFIX + "SAMPLE_RATE", number(0.0, 1.0), None, "Share of traces kept. Unset: 0.1 in production, 1.0 elsewhere.", section=TRACES)
    sample_routes: Mapping[str, float] = option(PREFIX + "SAMPLE_ROUTES", rates, {}, "Rates by route, first match wins: `/api/content/*=1.0,/api/posts/{id}=0.01`.", section=TRACES)
    untraced_routes: tuple[str, ...] = option(PREFIX + "UNTRACED_ROUTES", routes, ("/health", "/healthz", "/livez", "/readyz", "/ping", "/api/health"), "Routes that are counted but never traced.", section=TRACES)
    slow_request_seconds: float = option(PREFIX + "SLOW_REQUEST_SECONDS", number(0.0, 86_400.0, "seconds"), 2.0, "A request that takes longer gets its span even when it was not sampled; 0 switches this off.", section=TRACES, unit="s")
    trust_incoming: tuple[str, ...] = option(PREFIX + "TRUST_INCOMING", networks, ("private",), "Whose trace context is joined and whose baggage is taken over: `always`, `never`, or a list of `private` (clients on loopback and private networks, seen through proxies), networks such as `100.64.0.0/10` (with all that they forward: a gateway that starts traces), `unix` (peers on a Unix socket) and `testclient` (Starlette's). The trace of anybody else is linked.", section=TRACES)
    baggage_keys: tuple[str, ...] = option(PREFIX + "BAGGAGE_KEYS", words, ("*",), "Entries of incoming baggage that are taken over, and forwarded with outgoing calls; `*` for all, at most 1 KB in any case.", section=TRACES)
    incoming_request_id: bool = option(PREFIX + "INCOMING_REQUEST_ID", flag, True, "Take over a well-formed `X-Request-ID` of the caller; `false` to make one for each request.", section=TRACES)
    max_attributes: int = option("OTEL_ATTRIBUTE_COUNT_LIMIT", whole(1, 4096), 128, "Attributes per span, event, link or log record.", section=TRACES)
    max_attribute_length: int = option("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", whole(16, 1_048_576), 4096, "Characters per attribute value; longer ones are cut and flagged.", section=TRACES)
    max_span_attributes: int | None = option("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", whole(1, 4096), None, "Attributes per span.", section=TRACES)
    max_span_attribute_length: int | None = option("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", whole(16, 1_048_576), None, "Characters per span attribute.", section=TRACES)
    max_events: int = option("OTEL_SPAN_EVENT_COUNT_LIMIT", whole(1, 4096), 128, "Events per span.", section=TRACES)
    max_links: int = option("OTEL_SPAN_LINK_COUNT_LIMIT", whole(1, 4096), 128, "Links per span.", section=TRACES)

    metric_interval: float = option("OTEL_METRIC_EXPORT_INTERVAL", milliseconds(100, 3_600_000), 15.0, "Time between two pushes of the metrics, in milliseconds.", section=METRICS, unit="ms")
    metric_timeout: float | None = option("OTEL_METRIC_EXPORT_TIMEOUT", milliseconds(1, 600_000), None, "Total time of one push.", section=METRICS, unit="ms")
    exemplar_filter: str = option("OTEL_METRICS_EXEMPLAR_FILTER", one_of(Literal["trace_based", "always_on", "always_off"]), "trace_based", "Which measurements may become exemplars.", section=METRICS)
    series_limit: int = option(PREFIX + "SERIES_LIMIT", whole(10, 100_000), 2000, "Series per instrument; what comes later is counted together under `otel.metric.overflow`.", section=METRICS)
    metrics_path: str = option(PREFIX + "METRICS_PATH", url_path, "/metrics", "Where the application answers Prometheus, unless it has a working route of its own there; `off` to not answer.", section=METRICS)
    metrics_token: str | None = option(PREFIX + "METRICS_TOKEN", text, None, "Bearer token that a scrape of that path must carry; unset, production answers clients on private networks only.", section=METRICS, secret=True)
    http_semconv_metrics: bool = option(PREFIX + "HTTP_SEMCONV_METRICS", flag, False, "Also record `http.server.request.duration` and its relatives.", section=METRICS)

    console: ConsoleFormat = option(PREFIX + "CONSOLE", one_of(ConsoleFormat), "auto", "Log lines: `json`, `text`, `off` (leave the application's handlers alone), or `auto`: JSON in production, text elsewhere.", section=LOGS)
    console_stream: ConsoleStream = option(PREFIX + "CONSOLE_STREAM", one_of(ConsoleStream), "auto", "Where lines that no handler of the application prints go: `stdout`, `stderr`, or `auto`: stdout where a server runs in production, else stderr.", section=LOGS)
    log_level: str | None = option(PREFIX + "LOG_LEVEL", one_of(Literal["debug", "info", "warning", "error", "critical"]), "info", "Least severity that is exported and printed.", section=LOGS)
    max_log_attributes: int | None = option("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", whole(1, 4096), None, "Attributes per log record.", section=LOGS)
    max_log_attribute_length: int | None = option("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", whole(16, 1_048_576), None, "Characters per log record attribute.", section=LOGS)

    requests: Instrumentation = option(PREFIX + "REQUESTS", one_of(Instrumentation), "own", "Who instruments FastAPI and Starlette: `own`, `contrib` (extra `fastapi`), `off`.", section=INSTRUMENTATION)
    sqlalchemy: Instrumentation = option(PREFIX + "SQLALCHEMY", one_of(Instrumentation), "own", "Who instruments SQLAlchemy: `own`, `contrib` (extra `sqlalchemy`), `off`.", section=INSTRUMENTATION)
    sql_root_spans: bool = option(PREFIX + "SQL_ROOT_SPANS", flag, False, "Record statements that run outside any sampled span.", section=INSTRUMENTATION)
    logging: bool = option(PREFIX + "LOGGING", flag, True, "Export standard library log records.", section=INSTRUMENTATION)
    system_metrics: bool = option(PREFIX + "SYSTEM_METRICS", flag, True, "Record CPU, memory, disk and connections.", section=INSTRUMENTATION)
    clients: bool = option(PREFIX + "CLIENTS", flag, True, "Switch on the OpenTelemetry instrumentations of httpx, requests, aiohttp, redis that are installed.", section=INSTRUMENTATION)
    threads: bool = option(PREFIX + "THREADS", flag, True, "Carry the current span and what is bound into work handed to `ThreadPoolExecutor` and `run_in_executor`.", section=INSTRUMENTATION)
    disabled_instrumentations: tuple[str, ...] = option("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", words, (), "Instrumentations by entry point name that stay off; `*` for all.", section=INSTRUMENTATION)

    span_delay: float = option("OTEL_BSP_SCHEDULE_DELAY", milliseconds(10, 600_000), 1.0, "Longest time a span waits for company, in milliseconds.", section=DELIVERY, unit="ms")
    log_delay: float = option("OTEL_BLRP_SCHEDULE_DELAY", milliseconds(10, 600_000), 1.0, "Longest time a log record waits for company, in milliseconds.", section=DELIVERY, unit="ms")
    span_queue_items: int = option("OTEL_BSP_MAX_QUEUE_SIZE", whole(1, 10_000_000), 65_536, "Spans that may wait.", section=DELIVERY)
    log_queue_items: int = option("OTEL_BLRP_MAX_QUEUE_SIZE", whole(1, 10_000_000), 65_536, "Log records that may wait.", section=DELIVERY)
    span_batch_items: int = option("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", whole(1, 100_000), 2048, "Spans per request.", section=DELIVERY)
    log_batch_items: int = option("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", whole(1, 100_000), 2048, "Log records per request.", section=DELIVERY)
    queue_bytes: int = option(PREFIX + "QUEUE_BYTES", whole(65_536, 2**40), 32 * 2**20, "Bytes that may wait in memory, per signal.", section=DELIVERY, unit="By")
    max_request_bytes: int = option(PREFIX + "MAX_REQUEST_BYTES", whole(16_384, 64 * 2**20), 3_500_000, "Bytes of one export request before compression; the Collector's gRPC receiver refuses 4 MiB.", section=DELIVERY, unit="By")
    spool_dir: str | None = option(PREFIX + "SPOOL_DIR", spool_directory, None, "Directory where what cannot be sent waits, one subdirectory per service and environment; `off` to keep it in memory alone. Unset: `$XDG_STATE_HOME/blogauto-otel` (`~/.local/state`), or under `$TMPDIR` when that cannot be written to.", section=DELIVERY)
    spool_bytes: int = option(PREFIX + "SPOOL_BYTES", whole(65_536, 2**40), 64 * 2**20, "Bytes that may wait on disk, of all processes of the service on this host; beyond, the oldest are lost.", section=DELIVERY, unit="By")
    spool_age: float = option(PREFIX + "SPOOL_AGE", number(60.0, 31_536_000.0, "seconds"), 86_400.0, "Time that telemetry may wait on disk; metrics wait an hour at most.", section=DELIVERY, unit="s")
    spool_fsync: bool = option(PREFIX + "SPOOL_FSYNC", flag, False, "Flush every file of the spool through to the disk: it then survives a loss of power, not only the end of the process.", section=DELIVERY)
    shutdown_timeout: float = option(PREFIX + "SHUTDOWN_TIMEOUT", number(0.0, 600.0, "seconds"), 4.0, "Total time that the end of the process may take.", section=DELIVERY, unit="s")

    redact: bool = option(PREFIX + "REDACT", flag, True, "Replace secrets in everything that leaves.", section=PRIVACY)
    redact_keys: tuple[str, ...] = option(PREFIX + "REDACT_KEYS", words, (), "Further keys whose values are secrets.", section=PRIVACY)
    redact_patterns: tuple[str, ...] = option(PREFIX + "REDACT_PATTERNS", patterns, (), "Further regular expressions whose matches are secrets, with blanks between; a group named `secret` limits what goes.", section=PRIVACY)
    redact_personal: tuple[str, ...] = option(PREFIX + "REDACT_PERSONAL", any_of("email", "phone", "rrn"), (), "Personal data to be replaced as well: `email`, `phone` (Korean numbers), `rrn` (Korean resident registration numbers).", section=PRIVACY)

    sentry_dsn: str | None = option("SENTRY_DSN", dsn, None, "Where Sentry's events go; unset, Sentry stays out of it.", section=SENTRY, secret=True)
    sentry_traces: SentryTraces = option(PREFIX + "SENTRY_TRACES", one_of(SentryTraces), "collector", "How spans get to Sentry: `collector` (its overlay `export-sentry.yaml`), `direct` from this process, `off`.", section=SENTRY)
    sentry_traces_rate: float = option(PREFIX + "SENTRY_TRACES_RATE", number(0.0, 1.0), 0.1, "Share of all traces that goes to Sentry: by `direct`, or by what `blogauto-otel sentry` tells the Collector.", section=SENTRY)
    sentry_profiles: SentryProfiles = option(PREFIX + "SENTRY_PROFILES", one_of(SentryProfiles), "process", "What is profiled: a share of the processes, all their life, or of the traces (`trace`).", section=SENTRY)
    sentry_profiles_rate: float = option(PREFIX + "SENTRY_PROFILES_RATE", number(0.0, 1.0), 0.1, "That share; a process under profile uses 3 to 14 % of a core for it.", section=SENTRY)
    sentry_events_per_minute: float = option(PREFIX + "SENTRY_EVENTS_PER_MINUTE", number(0.0, 60_000.0), 10.0, "Events of one error at one place in the code; the rest is counted and logged.", section=SENTRY)
    sentry_frame_variables: bool = option(PREFIX + "SENTRY_FRAME_VARIABLES", flag, False, "Send the local variables of each frame, redacted.", section=SENTRY)
    sentry_event_url: str | None = option(PREFIX + "SENTRY_EVENT_URL", template("event_id"), None, "Address of an event, put on spans and log records: `https://acme.sentry.io/issues/?query={event_id}`.", section=SENTRY)
    sentry_trace_url: str | None = option(PREFIX + "SENTRY_TRACE_URL", template("trace_id", "span_id"), None, "Address of a trace, put on events: `http://localhost:16686/trace/{trace_id}?uiFind={span_id}`.", section=SENTRY)
    # fmt: on

    @property
    def production(self) -> bool:
        """True when the environment is production, which changes defaults."""
        return self.environment.lower() in {"production", "prod"}

    @property
    def effective_sample_rate(self) -> float:
        """The share of traces kept, from 0 to 1."""
        if self.sample_rate is not None:
            return self.sample_rate
        return 0.1 if self.production else 1.0

    def __repr__(self) -> str:
        """Show what differs from the defaults, secrets masked."""
        changed = (f"{name}={value!r}" for name, value in self.printable().items() if value != default_of(name))
        return f"Settings({', '.join(changed)})"

    def printable(self) -> dict[str, object]:
        """All values by field name, secrets masked, fit for a log line or a support ticket."""
        return {field.name: _masked(field, getattr(self, field.name)) for field in dataclasses.fields(self)}


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
_SECRET_KEY: Final = re.compile("pass|pwd|secret|token|key|credential|auth|cookie|dsn", re.IGNORECASE)


def without_credentials(value: Any) -> Any:
    """The value; in a URL, user and password are masked."""
    return re.sub(r"(^|(?<=://))[^/\s]*@", MASK + "@", value) if isinstance(value, str) else value
