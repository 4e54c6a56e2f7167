"""How each alert is made to fire on the example: what the runbooks print, and the drill does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Provocation:
    """How an alert is made to fire: by traffic to the example, or by a command; `drilled` alerts can be rehearsed."""

    how: str
    traffic: tuple[str, ...] = ()
    command: str = ""
    drilled: bool = False


_STOPPED: Final = "docker compose stop {}"


def _started(*variables: str) -> str:
    """The example again, with these in its environment; `docker compose up` hands none through."""
    given = " ".join(f"-e {variable}" for variable in variables)
    return (
        "docker compose --profile demo rm --stop --force backend"
        f"\ndocker compose --profile demo run --detach --use-aliases --service-ports {given} backend"
    )


PROVOCATIONS: Final[Mapping[str, Provocation]] = {
    "HighApiResponseTime": Provocation("articles for which the AI provider takes its time", ("slow",), drilled=True),
    "HighApiErrorRate": Provocation("a page that the example answers with 500", ("bugs",), drilled=True),
    "HighRateLimitRejections": Provocation(
        "visitors who ask faster than the limit allows", ("rate_limited",), drilled=True
    ),
    "AuthFailureSpike": Provocation("somebody who tries passwords", ("failed_logins",), drilled=True),
    "ApiKeyStorageFailure": Provocation("API keys that cannot be checked", ("api_key_failures",), drilled=True),
    "ContentGenerationFailure": Provocation(
        "articles that the AI provider refuses to write", ("content_failures",), drilled=True
    ),
    "WordPressPublishFailure": Provocation(
        "articles that the WordPress site refuses", ("wordpress_failures",), drilled=True
    ),
    "WordPressPublishingStopped": Provocation(
        "nothing but articles that the site refuses, for an hour", ("wordpress_failures",)
    ),
    "HighCpuUsage": Provocation(
        "the drill moves the limit below what the CPU does anyway, and hurts nobody",
        command="python -m monitoring drill HighCpuUsage",
        drilled=True,
    ),
    "LowMemoryAvailable": Provocation(
        "the drill moves the limit above what is available, and hurts nobody",
        command="python -m monitoring drill LowMemoryAvailable",
        drilled=True,
    ),
    "LowDiskSpace": Provocation(
        "the drill moves the limit below what is in use, and hurts nobody",
        command="python -m monitoring drill LowDiskSpace",
        drilled=True,
    ),
    "BackendServiceDown": Provocation(
        "stop the example", command="docker compose --profile demo stop backend", drilled=True
    ),
    "BackendRestarting": Provocation(
        "start it again and again",
        command="for i in 1 2 3 4; do docker compose --profile demo restart backend; sleep 120; done",
    ),
    "BackendTelemetryAbsent": Provocation(
        "let the example run and send nothing",
        command=_started("OTEL_METRICS_EXPORTER=none"),
    ),
    "ApiErrorBudgetBurn": Provocation("a page that the example answers with 500, among little else", ("bugs",)),
    "ApiLatencyBudgetBurn": Provocation("nothing but slow articles", ("slow",)),
    "DatabaseConnectionDown": Provocation("stop PostgreSQL's exporter", command=_STOPPED.format("postgres-exporter")),
    "RedisConnectionDown": Provocation("stop the exporter of Redis", command=_STOPPED.format("redis-exporter")),
    "FrontendServiceDown": Provocation("stop the frontend", command=_STOPPED.format("frontend")),
    "OtelCollectorDown": Provocation("stop the Collector", command=_STOPPED.format("otel-collector")),
    "OtelCollectorRefusing": Provocation(
        "give the Collector so little memory that it must refuse, and traffic",
        command="docker update --memory 40m --memory-swap 40m $(docker compose ps -q otel-collector)",
    ),
    "OtelCollectorExportFailing": Provocation(
        "let a backend that is there refuse what it is sent: give Loki the wrong path",
        command="LOKI_OTLP_ENDPOINT=http://loki:3100/nowhere docker compose up -d otel-collector",
    ),
    "OtelCollectorBackendAway": Provocation("stop Jaeger while requests come in", command=_STOPPED.format("jaeger")),
    "OtelCollectorQueueNearlyFull": Provocation(
        "stop Jaeger and keep sending: the queue holds 200 000 spans", command=_STOPPED.format("jaeger")
    ),
    "TelemetryItemsDropped": Provocation(
        "leave the SDK next to no room and no disk, and let requests come while the Collector is away",
        command=_started("BLOGAUTO_OTEL_QUEUE_BYTES=65536", "BLOGAUTO_OTEL_SPOOL_DIR=off")
        + "\ndocker compose stop otel-collector"
        "\npython -m examples.traffic http://localhost:8000 bugs --seconds 120"
        "\ndocker compose start otel-collector",
    ),
    "TelemetrySpoolFilling": Provocation(
        "let spans go to nowhere while metrics arrive, under traffic",
        command=_started("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://localhost:9/v1/traces")
        + "\npython -m examples.traffic http://localhost:8000 bugs --seconds 1800",
    ),
    "PrometheusRuleEvaluationFailures": Provocation(
        "a rule that matches many to many, in a file of its own, removed afterwards",
        command="printf 'groups: [{name: broken, rules: [{record: broken, expr: \"up * on () up\"}]}]' > collector/backends/prometheus/rules/broken.yml",
    ),
    "Watchdog": Provocation(
        "it always fires; to rehearse its silence, stop Prometheus", command=_STOPPED.format("prometheus")
    ),
}
