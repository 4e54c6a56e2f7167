"""Alerts about programs that do not answer, and about a backend whose telemetry is missing."""

from __future__ import annotations

from typing import Final

from monitoring.alerts.definition import (
    AlertDefinition,
    Case,
    ExpectedAlert,
    Trigger,
    UnitTests,
    restart_command,
    stop_command,
)
from monitoring.alerts.samples import BACKEND, JOB, alive, down_alert, up
from monitoring.parameters import Service
from monitoring.rules.conditions import Comparison, Expr, Or
from monitoring.rules.model import Alert


def availability_alerts(service: Service) -> tuple[AlertDefinition, ...]:
    """The alerts of this group, in the order of the rule file."""
    return (
        _backend_service_down(service),
        _database_connection_down(),
        _redis_connection_down(),
        _frontend_service_down(service),
        _backend_telemetry_absent(service),
    )


def _backend_service_down(service: Service) -> AlertDefinition:
    backend = f'up{{job="{service.job}"}}'
    return AlertDefinition(
        Alert(
            name="BackendServiceDown",
            severity="critical",
            category="availability",
            condition=Or((Comparison(backend, "==", 0), Expr(f"absent({backend})"))),
            pending_for="1m",
            summary="{{ $labels.job }} does not respond.",
            description=(
                "Prometheus could not scrape /metrics of {{ $labels.job }}"
                "{{ with $labels.instance }} at {{ . }}{{ end }} for a minute."
            ),
            comment="`up` of the scraped job: pushed metrics have no `up`. absent(): the target is not configured.",
        ),
        Trigger("stop the example", command="docker compose --profile demo stop backend", drill=True),
        _BACKEND_SERVICE_DOWN_TESTS,
    )


_BACKEND_SERVICE_DOWN_TESTS: Final = UnitTests(
    "critical",
    "availability",
    "blogauto-overview",
    cases=(
        Case(
            "it does not respond for a minute",
            up("blogauto-backend", "1x10 0x400"),
            "5m",
            (
                down_alert(
                    "blogauto-backend",
                    "blogauto-backend does not respond.",
                    "Prometheus could not scrape /metrics of blogauto-backend at h:1 for a minute.",
                ),
            ),
        ),
        Case(
            "no target is configured",
            {},
            "5m",
            (
                ExpectedAlert(
                    BACKEND,
                    "blogauto-backend does not respond.",
                    "Prometheus could not scrape /metrics of blogauto-backend for a minute.",
                ),
            ),
        ),
        Case("it responds", up("blogauto-backend", "1x400"), "5m"),
        Case("pending before one minute", up("blogauto-backend", "1x10 0x400"), "3m", pending=True),
        Case(
            "another service is down",
            {**up("blogauto-backend", "1x400"), **up("other", "0x400")},
            "5m",
        ),
    ),
)


def _database_connection_down() -> AlertDefinition:
    return AlertDefinition(
        Alert(
            name="DatabaseConnectionDown",
            severity="critical",
            category="availability",
            condition=Or((Comparison('up{job="postgres"}', "==", 0), Comparison('pg_up{job="postgres"}', "==", 0))),
            pending_for="1m",
            summary="PostgreSQL does not respond.",
            description="The exporter at {{ $labels.instance }}, or the database behind it, did not respond for a minute.",
            comment="`pg_up`: the exporter stays up when the database dies. Without such a job there is no series and no alert.",
        ),
        Trigger("stop PostgreSQL's exporter", command=stop_command("postgres-exporter")),
        _DATABASE_CONNECTION_DOWN_TESTS,
    )


_DATABASE_CONNECTION_DOWN_TESTS: Final = UnitTests(
    "critical",
    "availability",
    "blogauto-overview",
    cases=(
        Case(
            "the database is down, its exporter responds",
            {**up("postgres", "1x400"), **up("postgres", "1x10 0x400", "pg_up")},
            "5m",
            (
                down_alert(
                    "postgres",
                    "PostgreSQL does not respond.",
                    "The exporter at h:1, or the database behind it, did not respond for a minute.",
                ),
            ),
        ),
        Case(
            "the exporter is down",
            up("postgres", "1x10 0x400"),
            "5m",
            (
                down_alert(
                    "postgres",
                    "PostgreSQL does not respond.",
                    "The exporter at h:1, or the database behind it, did not respond for a minute.",
                ),
            ),
        ),
        Case("both respond", {**up("postgres", "1x400"), **up("postgres", "1x400", "pg_up")}, "5m"),
        Case("pending before one minute", up("postgres", "1x10 0x400"), "3m", pending=True),
        Case("not part of the installation", {}, "5m"),
    ),
)


def _redis_connection_down() -> AlertDefinition:
    return AlertDefinition(
        Alert(
            name="RedisConnectionDown",
            severity="critical",
            category="availability",
            condition=Or((Comparison('up{job="redis"}', "==", 0), Comparison('redis_up{job="redis"}', "==", 0))),
            pending_for="1m",
            summary="Redis does not respond.",
            description="The exporter at {{ $labels.instance }}, or the Redis behind it, did not respond for a minute.",
        ),
        Trigger("stop the exporter of Redis", command=stop_command("redis-exporter")),
        _REDIS_CONNECTION_DOWN_TESTS,
    )


_REDIS_CONNECTION_DOWN_TESTS: Final = UnitTests(
    "critical",
    "availability",
    "blogauto-overview",
    cases=(
        Case(
            "Redis is down, its exporter responds",
            {**up("redis", "1x400"), **up("redis", "1x10 0x400", "redis_up")},
            "5m",
            (
                down_alert(
                    "redis",
                    "Redis does not respond.",
                    "The exporter at h:1, or the Redis behind it, did not respond for a minute.",
                ),
            ),
        ),
        Case(
            "the exporter is down",
            up("redis", "1x10 0x400"),
            "5m",
            (
                down_alert(
                    "redis",
                    "Redis does not respond.",
                    "The exporter at h:1, or the Redis behind it, did not respond for a minute.",
                ),
            ),
        ),
        Case("both respond", {**up("redis", "1x400"), **up("redis", "1x400", "redis_up")}, "5m"),
        Case("pending before one minute", up("redis", "1x10 0x400"), "3m", pending=True),
        Case("not part of the installation", {}, "5m"),
    ),
)


def _frontend_service_down(service: Service) -> AlertDefinition:
    return AlertDefinition(
        Alert(
            name="FrontendServiceDown",
            severity="critical",
            category="availability",
            condition=Comparison(f'up{{job="{service.frontend_job}"}}', "==", 0),
            pending_for="1m",
            summary="{{ $labels.job }} does not respond.",
            description="Prometheus could not reach {{ $labels.job }} at {{ $labels.instance }} for a minute.",
        ),
        Trigger("stop the frontend", command=stop_command("frontend")),
        _FRONTEND_SERVICE_DOWN_TESTS,
    )


_FRONTEND_SERVICE_DOWN_TESTS: Final = UnitTests(
    "critical",
    "availability",
    "blogauto-overview",
    cases=(
        Case(
            "it does not respond for a minute",
            up("blogauto-frontend", "1x10 0x400"),
            "5m",
            (
                down_alert(
                    "blogauto-frontend",
                    "blogauto-frontend does not respond.",
                    "Prometheus could not reach blogauto-frontend at h:1 for a minute.",
                ),
            ),
        ),
        Case("it responds", up("blogauto-frontend", "1x400"), "5m"),
        Case("pending before one minute", up("blogauto-frontend", "1x10 0x400"), "3m", pending=True),
        Case("not part of the installation", {}, "5m"),
    ),
)


def _backend_telemetry_absent(service: Service) -> AlertDefinition:
    return AlertDefinition(
        Alert(
            name="BackendTelemetryAbsent",
            severity="warning",
            category="telemetry",
            condition=Expr(f'absent(target_info{{job="{service.job}"}})'),
            pending_for="5m",
            summary="No telemetry arrives from {{ $labels.job }}.",
            description=(
                "No metrics of {{ $labels.job }} arrived through the Collector for 5 minutes, so alerts from its metrics cannot fire."
            ),
            board="telemetry",
            comment="BackendServiceDown does not cover this: the backend may respond while its pushed metrics are lost.",
        ),
        Trigger(
            "run the example without a metrics exporter",
            command=restart_command("OTEL_METRICS_EXPORTER=none"),
        ),
        _BACKEND_TELEMETRY_ABSENT_TESTS,
    )


_BACKEND_TELEMETRY_ABSENT_TESTS: Final = UnitTests(
    "warning",
    "telemetry",
    "blogauto-telemetry",
    cases=(
        Case(
            "nothing arrives",
            {f"target_info{{{JOB}}}": "1x20 stale"},
            "15m",
            (
                ExpectedAlert(
                    BACKEND,
                    "No telemetry arrives from blogauto-backend.",
                    "No metrics of blogauto-backend arrived through the Collector for 5 minutes, so alerts from its metrics cannot fire.",
                ),
            ),
        ),
        Case("pending before five minutes", {f"target_info{{{JOB}}}": "1x20 stale"}, "9m", pending=True),
        Case("telemetry arrives", alive(), "20m"),
        Case("telemetry of another service", {'target_info{job="other",instance="a"}': "1x400"}, "4m", pending=True),
    ),
)
