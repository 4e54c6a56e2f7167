"""What is recorded about the application's requests, and its error budget."""

from __future__ import annotations

from typing import Final

from monitoring.metrics import sdk_metric
from monitoring.parameters import Service, promql_number
from monitoring.promql import bucket_at, increase_from_zero, or_zero
from monitoring.rules.model import RecordingRule
from monitoring.rules.recorded import Recorded

WINDOWS: Final = ("30m", "1h", "2h", "6h", "1d", "3d")  # besides 5m, which everything else uses too


def request_recordings(service: Service) -> tuple[RecordingRule, ...]:
    """Rates, ratios and counts of the last minutes."""
    recorded = Recorded(service)
    requests = service.metric("api.requests")
    duration = service.metric("api.request.duration")
    total = f"sum by (job) (rate({requests}[5m]))"
    failed = f'status=~"5..",endpoint=~"{service.content_endpoints}"'
    secure = f'status=~"5..",endpoint=~"{service.secure_endpoints}"'
    content = f'endpoint=~"{service.content_endpoints}"'
    fast = f"sum by (job) (rate({duration}_bucket{{{bucket_at(service.objective.seconds)}}}[5m]))"
    return (
        RecordingRule(recorded.requests, total),
        RecordingRule(recorded.requests_by_endpoint, f"sum by (job, endpoint) (rate({requests}[5m]))"),
        RecordingRule(
            recorded.errors, or_zero(f'sum by (job) (rate({requests}{{status=~"5.."}}[5m]))', recorded.requests)
        ),
        RecordingRule(recorded.slow, f"clamp_min(sum by (job) (rate({duration}_count[5m])) - {fast}, 0)"),
        # `> 0` and `>= 0`: without traffic there is no series, instead of a NaN, which would make every sum NaN.
        RecordingRule(recorded.ratio("5m", of="errors"), f"{recorded.errors} / ({recorded.requests} > 0)"),
        RecordingRule(recorded.ratio("5m", of="slow"), f"{recorded.slow} / ({recorded.requests} > 0)"),
        RecordingRule(
            recorded.p95_by_endpoint,
            f"histogram_quantile(0.95, sum by (job, endpoint, le) (rate({duration}_bucket[5m]))) >= 0",
        ),
        RecordingRule(recorded.secure_failures, _sum_of_increases(f"{requests}{{{secure}}}", "5m", service)),
        RecordingRule(recorded.generations, _sum_of_increases(f"{requests}{{{content}}}", "10m", service)),
        RecordingRule(
            recorded.generation_failures,
            or_zero(_sum_of_increases(f"{requests}{{{failed}}}", "10m", service), recorded.generations),
        ),
        RecordingRule(recorded.start_time, f"max by (job) ({start_time(service)})"),
    )


def start_time(service: Service) -> str:
    """When each process of the service started, in Unix seconds."""
    return f'{sdk_metric("process.start_time")}{{job="{service.job}"}}'


def _sum_of_increases(series: str, window: str, service: Service) -> str:
    return f"sum by (job) {increase_from_zero(series, window, always_present=service.metric('keywords.analyzed'))}"


def objective_windows(service: Service) -> tuple[RecordingRule, ...]:
    """The share of bad requests in each window of the burn rates."""
    recorded = Recorded(service)
    # Sums of the recorded rates weigh each moment by its traffic, as the raw counters would, and cost a thousandth.
    return tuple(
        RecordingRule(
            recorded.ratio(window, of=of),
            f"sum_over_time({bad}[{window}]) / (sum_over_time({recorded.requests}[{window}]) > 0)",
        )
        for of, bad in (("errors", recorded.errors), ("slow", recorded.slow))
        for window in WINDOWS
    )


def error_budgets(service: Service) -> tuple[RecordingRule, ...]:
    """What is left of the error budget of 30 days."""
    recorded = Recorded(service)
    budget = promql_number(service.objective.budget)
    return tuple(
        RecordingRule(
            recorded.budget_left(of=of),
            f"1 - sum_over_time({bad}[30d]) / (sum_over_time({recorded.requests}[30d]) > 0) / {budget}",
        )
        for of, bad in (("errors", recorded.errors), ("slow", recorded.slow))
    )
