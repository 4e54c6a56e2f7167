"""Service level objectives: how fast the error budget burns, and how much of it is left.

Burn rates and windows are those of the SRE workbook, "Alerting on SLOs" (six multi-window pages and tickets, cut to four).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from monitoring.parameters import RULE_INTERVAL, Service, percent, spell
from monitoring.rules.conditions import Compare, Every
from monitoring.rules.model import Alert, Group, Recording, Severity
from monitoring.rules.recorded import Recorded


@dataclass(frozen=True)
class Burn:
    """Both windows must burn `factor` times as fast as the budget allows: the long one says that it matters, the short one that it lasts."""

    severity: Severity
    long: str
    short: str
    factor: float
    wait: str
    spent: str  # of the budget of 30 days, when the long window is full
    exhausted: str  # until the whole budget is gone at this rate


BURNS: Final = (
    Burn("critical", "1h", "5m", 14.4, "2m", "2 %", "2 days"),
    Burn("critical", "6h", "30m", 6, "15m", "5 %", "5 days"),
    Burn("warning", "1d", "2h", 3, "1h", "10 %", "10 days"),
    Burn("warning", "3d", "6h", 1, "3h", "10 %", "30 days"),
)

WINDOWS: Final = ("30m", "1h", "2h", "6h", "1d", "3d")  # beside 5m, which everything else uses too

INDICATORS: Final = {
    "errors": ("ApiErrorBudgetBurn", "error", "were answered with a 5xx status"),
    "slow": ("ApiLatencyBudgetBurn", "latency", "took longer than {seconds} s"),
}


def objective_groups(service: Service, recorded: Recorded) -> tuple[Group, ...]:
    """What is recorded for the objectives, and their alerts."""
    prefix = service.namespace
    return (
        Group(f"{prefix}-objectives", _windows(recorded), interval=60),
        Group(f"{prefix}-budgets", _budgets(service, recorded), interval=300),
        Group(f"{prefix}-burn", tuple(_alert(service, recorded, of, burn) for of in INDICATORS for burn in BURNS)),
    )


def _windows(recorded: Recorded) -> tuple[Recording, ...]:
    # Sums of the recorded rates weigh each moment by its traffic, as the raw counters would, and cost a thousandth.
    return tuple(
        Recording(
            recorded.ratio(window, of=of),
            f"sum_over_time({bad}[{window}]) / (sum_over_time({recorded.requests}[{window}]) > 0)",
        )
        for of, bad in (("errors", recorded.errors), ("slow", recorded.slow))
        for window in WINDOWS
    )


def _budgets(service: Service, recorded: Recorded) -> tuple[Recording, ...]:
    budget = spell(service.objective.budget)
    return tuple(
        Recording(
            recorded.budget_left(of=of),
            f"1 - sum_over_time({bad}[30d]) / (sum_over_time({recorded.requests}[30d]) > 0) / {budget}",
        )
        for of, bad in (("errors", recorded.errors), ("slow", recorded.slow))
    )


def _alert(service: Service, recorded: Recorded, of: str, burn: Burn) -> Alert:
    name, kind, what = INDICATORS[of]
    objective = service.objective
    limit = round(burn.factor * objective.budget, 9)
    requests = f"sum_over_time({recorded.requests}[{burn.long}]) * {RULE_INTERVAL}"
    return Alert(
        name=name,
        severity=burn.severity,
        category="latency" if kind == "latency" else "errors",
        condition=Every(
            (
                Compare(recorded.ratio(burn.long, of=of), ">", limit),
                Compare(recorded.ratio(burn.short, of=of), ">", limit),
                Compare(requests, ">", objective.minimum_requests),
            )
        ),
        wait=burn.wait,
        labels={"long": burn.long, "short": burn.short},
        summary=f"{{{{ $labels.job }}}} spends its {kind} budget at more than {spell(burn.factor)} times the rate it can afford.",
        description=(
            f"{{{{ $value | humanizePercentage }}}} of the requests in the last {_words(burn.long)} {what.format(seconds=spell(objective.seconds))};"
            f" the objective allows {percent(objective.budget)} over 30 days. At this rate the budget is gone in {burn.exhausted}."
        ),
        board="api",
        because=f"{burn.spent} of the budget in {burn.long}; the last {burn.short} say that it goes on.",
    )


def _words(duration: str) -> str:
    number, unit = duration[:-1], {"h": "hour", "d": "day"}[duration[-1]]
    return unit if number == "1" else f"{number} {unit}s"
