"""Thresholds, objectives and names that rules, boards and runbooks share: change a value here and generate again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from blogauto_otel.api.catalogue import spec


@dataclass(frozen=True)
class Thresholds:
    """Limits of the alerts. Ratios are from 0 to 1, percentages from 0 to 100; windows stand in the alert's module."""

    p95_seconds: float = 2.0
    error_ratio: float = 0.05
    minimum_requests: float = 10  # in five minutes; with fewer, a ratio is chance
    rejections_per_second: float = 10
    secure_failures: float = 5  # in five minutes
    content_failure_ratio: float = 0.1
    minimum_generations: float = 5  # in ten minutes
    publish_failures: float = 3  # in five minutes
    publish_attempts: float = 3  # in an hour, none of them successful
    auth_failures: float = 30  # in five minutes
    auth_failure_ratio: float = 0.5  # of the logins tried
    cpu_percent: float = 80
    memory_available_ratio: float = 0.125  # 3.5 of 4 GiB used
    disk_percent: float = 85
    restarts: float = 2  # in fifteen minutes
    queue_ratio: float = 0.8
    kafka_lag_seconds: float = 300  # to read what waits, at the present rate
    shard_failure_ratio: float = 0.5  # of the requests of gateways to one Collector
    shard_skew: float = 1.8  # times the mean of the tier
    minimum_shard_items: float = 10  # a second, of one signal and Collector; with fewer, skew is chance
    spool_ratio: float = 0.5
    spool_seconds: float = 900
    pool_ratio: float = 0.9  # connections in use, of those that the pool may open
    sql_p95_seconds: float = 0.5
    minimum_statements: float = 10  # in five minutes, on one table
    event_loop_ratio: float = 0.1  # of the time, the loop is blocked
    ai_error_ratio: float = 0.1
    minimum_ai_calls: float = 5  # in ten minutes, to one provider
    ai_rate_limited: float = 5  # in five minutes, by one provider
    ai_p95_seconds: float = 30
    ai_monthly_budget: float = 100  # in the currency of the price table
    ai_budget_burn: float = 1.5  # times the budget, if a month went on like this


@dataclass(frozen=True)
class Objective:
    """The service level: `share` of requests must be good, over 30 days; slower than `seconds` is not good."""

    share: float = 0.99
    seconds: float = 2.0  # an edge of the duration histogram's buckets
    minimum_requests: float = 100  # in the long window; with fewer, one failure would spend the budget

    @property
    def budget(self) -> float:
        """The share of requests that may be bad."""
        return round(1 - self.share, 9)


@dataclass(frozen=True)
class Service:
    """The monitored service and the URLs of its pages."""

    namespace: str = "blogauto"
    job: str = "blogauto-backend"  # = service.name, and the scrape job of the backend
    jobs: str = "blogauto-.+"  # = service.name of every process that uses databases, other services or AI
    frontend_job: str = "blogauto-frontend"
    title: str = "BlogAuto"
    grafana_url: str = "http://localhost:3001"
    runbooks_url: str = "http://localhost:3001/public/runbooks"  # Grafana serves docs/runbooks (docker-compose.yml)
    secure_endpoints: str = ".*secure.*"
    content_endpoints: str = "/api/content/generate.*"
    login_endpoints: str = ".*/login.*"
    thresholds: Thresholds = field(default_factory=Thresholds)
    objective: Objective = field(default_factory=Objective)

    def metric(self, name: str) -> str:
        """The family's name in Prometheus: `metric("api.requests")` is `blogauto_api_requests_total`.

        Raises:
            KeyError: the catalogue has no metric of that name.
        """
        return spec(name).prometheus_name(self.namespace)

    def board(self, name: str) -> str:
        """The uid of a board, such as `blogauto-api`."""
        return f"{self.namespace}-{name}"

    def named(self, namespace: str) -> Service:
        """The same for another service: the backend of `shop` is the job `shop-backend`."""
        return replace(
            self,
            namespace=namespace,
            job=f"{namespace}-backend",
            jobs=f"{namespace}-.+",
            frontend_job=f"{namespace}-frontend",
            title=namespace.replace("_", " ").title(),
        )


BLOGAUTO: Final = Service()

# The jobs in prometheus.yml for the monitoring itself.
COLLECTOR_JOB: Final = "otel-collector"
PROMETHEUS_JOB: Final = "prometheus"
ALERTMANAGER_JOB: Final = "alertmanager"
TELEMETRY: Final = "telemetry"  # the label `service` of alerts about the monitoring itself

SCRAPE_INTERVAL: Final = 15  # seconds; = the export interval and Grafana's timeInterval
RULE_INTERVAL: Final = 30  # seconds between two evaluations of the recording rules


def promql_number(number: float) -> str:
    """A number as PromQL and people write it: 0.05, 2, 14.4."""
    return f"{number:.10g}"


def percent(ratio: float) -> str:
    """A ratio as a percentage: 0.05 is `5 %`."""
    return f"{ratio * 100:.10g} %"
