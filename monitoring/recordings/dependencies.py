"""What is recorded about what the service depends on: databases, its event loop, AI providers."""

from __future__ import annotations

from typing import Final

from monitoring.parameters import Service
from monitoring.promql import increase_from_zero, or_zero
from monitoring.rules.model import RecordingRule
from monitoring.rules.recorded import Recorded

# What providers' libraries and plain HTTP write in `error.type` of a call that was refused for its rate.
RATE_LIMITED: Final = "429|.*[Rr]ate_?[Ll]imit.*|.*ResourceExhausted.*|.*TooManyRequests.*"
# Seconds in the windows in which cost is measured.
COST_WINDOWS: Final = ("1h", "1d")


def dependency_recordings(service: Service) -> tuple[RecordingRule, ...]:
    """Rates, ratios and counts of the last minutes."""
    return (*_database(service), *_event_loop(service), *_ai(service))


def renamed(series: str, label: str, source: str) -> str:
    """The series with a short label beside the conventions' long one: `provider` beside `gen_ai_provider_name`."""
    return f'label_replace({series}, "{label}", "$1", "{source}", "(.*)")'


def by_table(series: str) -> str:
    """The series with a label `table`; `other` for statements on several tables, or on none."""
    return renamed(
        f'label_replace({series}, "db_collection_name", "other", "db_collection_name", "")',
        "table",
        "db_collection_name",
    )


def _database(service: Service) -> tuple[RecordingRule, ...]:
    recorded, job = Recorded(service), f'job=~"{service.jobs}"'
    duration = service.metric("db.client.operation.duration")
    buckets = by_table(f"rate({duration}_bucket{{{job}}}[5m])")
    counts = by_table(f"rate({duration}_count{{{job}}}[5m])")
    pool = "job, instance, db_client_connection_pool_name"
    used = f'{service.metric("db.client.connection.count")}{{{job},db_client_connection_state="used"}}'
    most = f"{service.metric('db.client.connection.max')}{{{job}}}"
    timeouts = f"{service.metric('db.client.connection.timeouts')}{{{job}}}"
    return (
        RecordingRule(recorded.sql_p95, f"histogram_quantile(0.95, sum by (job, table, le) ({buckets})) >= 0"),
        RecordingRule(recorded.statements, f"sum by (job, table) ({counts})"),
        RecordingRule(
            recorded.pool_in_use, f"max by (job) (sum by ({pool}) ({used}) / (sum by ({pool}) ({most}) > 0))"
        ),
        RecordingRule(recorded.pool_timeouts, f"sum by (job) (increase({timeouts}[5m]))"),
    )


def _event_loop(service: Service) -> tuple[RecordingRule, ...]:
    # Each timer that is late by two seconds adds two seconds: the sum is the time in which nothing else could run.
    lag = f'{service.metric("event_loop.lag")}_sum{{job=~"{service.jobs}"}}'
    return (RecordingRule(Recorded(service).event_loop_blocked, f"max by (job) (rate({lag}[5m]))"),)


def _ai(service: Service) -> tuple[RecordingRule, ...]:
    recorded, job = Recorded(service), f'job=~"{service.jobs}"'
    duration = service.metric("gen_ai.client.operation.duration")
    cost = f"{service.metric('ai.cost')}{{{job}}}"
    failed = f'error_type!="",error_type!~"{RATE_LIMITED}"'
    limited = f'error_type=~"{RATE_LIMITED}"'
    by_model = renamed(f"rate({duration}_bucket{{{job}}}[10m])", "provider", "gen_ai_provider_name")
    by_model = renamed(by_model, "model", "gen_ai_request_model")

    def increase(matchers: str, window: str) -> str:
        series = f"{duration}_count{{{','.join(part for part in (job, matchers) if part)}}}"
        grown = increase_from_zero(series, window, always_present=service.metric("keywords.analyzed"))
        return f"sum by (job, provider) ({renamed(grown, 'provider', 'gen_ai_provider_name')})"

    return (
        RecordingRule(recorded.ai_calls, increase("", "10m")),
        RecordingRule(recorded.ai_failures, or_zero(increase(failed, "10m"), recorded.ai_calls)),
        RecordingRule(recorded.ai_rate_limited, increase(limited, "5m")),
        RecordingRule(
            recorded.ai_p95, f"histogram_quantile(0.95, sum by (job, provider, model, le) ({by_model})) >= 0"
        ),
        *(
            RecordingRule(recorded.ai_cost(window), f"sum by (job, currency) (increase({cost}[{window}]))")
            for window in COST_WINDOWS
        ),
    )
