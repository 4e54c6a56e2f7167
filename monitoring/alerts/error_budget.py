"""Alerts about the error budget of the objectives: how many times faster than allowed it is spent.

Burn rates and windows are those of the SRE workbook, "Alerting on SLOs" (six multi-window pages and tickets, cut to four).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from monitoring.alerts.definition import AlertDefinition, Case, ExpectedAlert, Trigger, UnitTests
from monitoring.alerts.samples import BACKEND, JOB, requests
from monitoring.parameters import RULE_INTERVAL, Service, percent, promql_number
from monitoring.rules.conditions import And, Comparison
from monitoring.rules.model import Alert, Severity
from monitoring.rules.recorded import Recorded


@dataclass(frozen=True)
class Burn:
    """Both windows must exceed `factor` times the allowed ratio: the long one shows that it matters, the short one that it continues."""

    severity: Severity
    long: str
    short: str
    factor: float
    wait: str
    spent: str  # part of the 30 days' budget that a full long window uses
    exhausted: str  # until the whole budget is gone at this rate


BURNS: Final = (
    Burn("critical", "1h", "5m", 14.4, "2m", "2 %", "2 days"),
    Burn("critical", "6h", "30m", 6, "15m", "5 %", "5 days"),
    Burn("warning", "1d", "2h", 3, "1h", "10 %", "10 days"),
    Burn("warning", "3d", "6h", 1, "3h", "10 %", "30 days"),
)

INDICATORS: Final = {
    "errors": ("ApiErrorBudgetBurn", "error", "were answered with a 5xx status"),
    "slow": ("ApiLatencyBudgetBurn", "latency", "took longer than {seconds} s"),
}


def error_budget_alerts(service: Service) -> tuple[AlertDefinition, ...]:
    """Two objectives, four burn rates each."""
    return tuple(
        AlertDefinition(_alert(service, of, burn), TRIGGERS[of], _burn_tests(kind, test))
        for of, (_, kind, _) in INDICATORS.items()
        for burn, test in zip(BURNS, _BURN_TESTS, strict=True)
    )


TRIGGERS: Final = {
    "errors": Trigger("requests to a page that answers 500, with little other traffic", ("bugs",)),
    "slow": Trigger("only slow requests", ("slow",)),
}


def _alert(service: Service, of: str, burn: Burn) -> Alert:
    name, kind, what = INDICATORS[of]
    objective, recorded = service.objective, Recorded(service)
    limit = round(burn.factor * objective.budget, 9)
    requests = f"sum_over_time({recorded.requests}[{burn.long}]) * {RULE_INTERVAL}"
    return Alert(
        name=name,
        severity=burn.severity,
        category="latency" if kind == "latency" else "errors",
        condition=And(
            (
                Comparison(recorded.ratio(burn.long, of=of), ">", limit),
                Comparison(recorded.ratio(burn.short, of=of), ">", limit),
                Comparison(requests, ">", objective.minimum_requests),
            )
        ),
        pending_for=burn.wait,
        labels={"long": burn.long, "short": burn.short},
        summary=f"{{{{ $labels.job }}}} spends its {kind} budget at more than {promql_number(burn.factor)} times the allowed rate.",
        description=(
            f"{{{{ $value | humanizePercentage }}}} of the requests in the last {_words(burn.long)} {what.format(seconds=promql_number(objective.seconds))};"
            f" the objective allows {percent(objective.budget)} over 30 days. At this rate the budget is used up in {burn.exhausted}."
        ),
        board="api",
        comment=f"{burn.spent} of the budget in {burn.long}; the last {burn.short} show that it continues.",
    )


def _words(duration: str) -> str:
    number, unit = duration[:-1], {"h": "hour", "d": "day"}[duration[-1]]
    return unit if number == "1" else f"{number} {unit}s"


@dataclass(frozen=True)
class BurnTest:
    """Input for the unit tests of one burn rate. Times are in minutes: `step` between samples, `every` between evaluations."""

    severity: Severity
    long: str
    short: str
    ratio: float
    times: str
    exhausted: str
    long_minutes: int
    short_minutes: int
    wait: int
    step: int
    every: float  # minutes
    recorded: bool = False

    @property
    def late(self) -> int:
        """A time when the long window is full and the alert no longer pending."""
        return self.long_minutes + self.wait + 15

    @property
    def recent(self) -> int:
        """The age of a recent failure: long enough for the short window and for `for`."""
        return self.short_minutes + 3 * self.wait + 8

    @property
    def begun(self) -> float:
        """The ratio of bad requests in a recent failure that brings the long window to three quarters of its limit."""
        return 0.75 * self.ratio * self.long_minutes / self.recent

    def series(self, *phases: tuple[int, float], rate: float, latency: bool) -> dict[str, str]:
        """`rate` requests a minute; each phase has minutes and the share of bad requests."""
        if self.recorded:
            return self._recorded(phases, rate, latency=latency)
        bad, good, total = (
            _ramp([(minutes // self.step, rate * self.step * part(share)) for minutes, share in phases])
            for part in (lambda share: share, lambda share: 1 - share, lambda _share: 1)
        )
        if latency:
            return _two_slow_endpoints(good, total)
        return {**requests("200", "/a", good), **requests("503", "/b", bad)}

    def _recorded(self, phases: Sequence[tuple[int, float]], rate: float, *, latency: bool) -> dict[str, str]:
        """Days of raw counters are slow to test: start from the recorded rates, which the shortest windows test from raw counters."""
        levels = [(minutes // self.step, share * rate / 60) for minutes, share in phases]
        bad = "slow_requests" if latency else "errors"
        return {
            f"job:blogauto_api_requests:rate5m{{{_OF_JOB}}}": " ".join(
                f"{rate / 60:g}x{steps - 1}" for steps, _ in levels
            ),
            f"job:blogauto_api_{bad}:rate5m{{{_OF_JOB}}}": " ".join(
                f"{level:g}x{steps - 1}" for steps, level in levels
            ),
        }

    def requests_for(self, counted: float) -> float:
        """The rate, per minute, at which the guard on traffic counts so many requests in the long window."""
        evaluations = self.long_minutes / self.every
        return counted / (evaluations * 30) * 60


_OF_JOB: Final = 'job="blogauto-backend"'


def _ramp(phases: list[tuple[int, float]]) -> str:
    """A counter that grows by phases (steps, growth each step), in promtool's notation."""
    parts, value = [], 0.0
    for steps, growth in phases:
        parts.append(f"{value:.6f}+{growth:.6f}x{steps}")
        value += growth * (steps + 1)
    return " ".join(parts)


def _two_slow_endpoints(fast: str, total: str) -> dict[str, str]:
    """Two endpoints, one with scraped and one with pushed bucket bounds."""
    name = "blogauto_api_request_duration_seconds"
    return {
        **requests("200", "/a", total),
        f'{name}_bucket{{{JOB},method="GET",endpoint="/a",le="2"}}': fast,
        f'{name}_count{{{JOB},method="GET",endpoint="/a"}}': total,
        f'{name}_bucket{{{JOB},method="GET",endpoint="/b",le="2.0"}}': fast,
        f'{name}_count{{{JOB},method="GET",endpoint="/b"}}': total,
    }


_BURN_TESTS: Final = (
    BurnTest("critical", "1h", "5m", 0.144, "14.4", "2 days", 60, 5, 2, 1, 0.5),
    BurnTest("critical", "6h", "30m", 0.06, "6", "5 days", 360, 30, 15, 5, 5, recorded=True),
    BurnTest("warning", "1d", "2h", 0.03, "3", "10 days", 1440, 120, 60, 10, 10, recorded=True),
    BurnTest("warning", "3d", "6h", 0.01, "1", "30 days", 4320, 360, 180, 20, 20, recorded=True),
)

_LONG_WORDS: Final = {"1h": "hour", "6h": "6 hours", "1d": "day", "3d": "3 days"}


def _burn_tests(kind: str, burn: BurnTest) -> UnitTests:
    latency = kind == "latency"
    # Raw latency comes from two endpoints, with half of their traffic in the request counter.
    times = 0.5 if latency and not burn.recorded else 1.0
    late = burn.late
    over = burn.ratio * 1.2

    def case(
        name: str,
        *phases: tuple[int, float],
        at: int = late,
        rate: float = 600,
        fires: bool = False,
        pending: bool = False,
    ) -> Case:
        shares = tuple((minutes, share * times) for minutes, share in phases)
        series = burn.series(*shares, rate=rate, latency=latency)
        return Case(name, series, f"{at}m", (_expected(burn, kind, over),) if fires else (), pending)

    always = late + 10
    after, before = burn.short_minutes + 10, burn.recent
    cases = (
        case(f"{burn.times} times the budget for {burn.long}", (always, over), fires=True),
        case("just below", (always, burn.ratio * 0.9)),
        case(
            "pending before the wait is over",
            (always, over),
            at=max(burn.wait - max(1, round(burn.every)), 2),
            rate=60_000,
            pending=True,
        ),
        case("just enough requests", (always, over), rate=burn.requests_for(130), fires=True),
        case("too few requests", (always, over), rate=burn.requests_for(75)),
        case("it is over: the short window is below the limit", (late - after, 0.4), (after + 10, burn.ratio * 0.75)),
        case("it has just begun: the long window is below the limit", (late - before, 0), (before + 10, burn.begun)),
        case("no traffic", (always, 0), rate=0),
        Case("no data", {}, f"{late}m"),
    )
    return UnitTests(
        burn.severity,
        "latency" if latency else "errors",
        "blogauto-api",
        cases=tuple(
            replace(one, sample_interval=f"{burn.step}m", evaluation_interval=f"{burn.every * 60:g}s") for one in cases
        ),
    )


def _expected(burn: BurnTest, kind: str, share: float) -> ExpectedAlert:
    what = "took longer than 2 s" if kind == "latency" else "were answered with a 5xx status"
    return ExpectedAlert(
        {**BACKEND, "long": burn.long, "short": burn.short},
        f"blogauto-backend spends its {kind} budget at more than {burn.times} times the allowed rate.",
        f"{share * 100:.4g}% of the requests in the last {_LONG_WORDS[burn.long]} {what};"
        f" the objective allows 1 % over 30 days. At this rate the budget is used up in {burn.exhausted}.",
    )
