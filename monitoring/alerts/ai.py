"""Alerts about AI providers: failures, refusals for the rate, slow answers, and a budget that is spent too fast."""

from __future__ import annotations

from typing import Final

from monitoring.alerts.definition import AlertDefinition, Case, ExpectedAlert, Trigger, UnitTests
from monitoring.alerts.samples import BACKEND, JOB, alive
from monitoring.parameters import Service, percent, promql_number
from monitoring.recordings.dependencies import renamed
from monitoring.rules.conditions import And, Comparison
from monitoring.rules.model import Alert
from monitoring.rules.recorded import Recorded

DAYS_OF_MONTH: Final = 30


def ai_alerts(service: Service) -> tuple[AlertDefinition, ...]:
    """The alerts of this group, in the order of the rule file."""
    return (
        _ai_provider_errors(service),
        _ai_provider_rate_limited(service),
        _ai_latency(service),
        _ai_cost_budget(service),
    )


def _ai_provider_errors(service: Service) -> AlertDefinition:
    recorded, limits = Recorded(service), service.thresholds
    return AlertDefinition(
        Alert(
            name="AiProviderErrors",
            severity="warning",
            category="errors",
            condition=And(
                (
                    Comparison(f"{recorded.ai_failures} / {recorded.ai_calls}", ">", limits.ai_error_ratio),
                    Comparison(f"round({recorded.ai_calls})", ">=", limits.minimum_ai_calls),
                )
            ),
            pending_for="2m",
            keep_firing_for="5m",
            summary="{{ $value | humanizePercentage }} of the calls to {{ $labels.provider }} fail.",
            description=(
                "{{ $value | humanizePercentage }} of the calls to {{ $labels.provider }} failed in 10 minutes;"
                f" the limit is {percent(limits.ai_error_ratio)}. Calls refused for their rate are not among them."
            ),
            board="ai",
            comment="By provider: one that fails among several calls for another provider. A first failure counts whole.",
        ),
        Trigger("requests for articles that the AI provider rejects", ("content_failures",), drill=True, drill_phase=2),
        _AI_PROVIDER_ERRORS_TESTS,
    )


_CALLS: Final = "gen_ai_client_operation_duration_seconds"


def _where(provider: str, error: str = "") -> str:
    model = {"openai": "gpt-5-mini", "gcp.gemini": "gemini-3-flash"}[provider]
    failed = f',error_type="{error}"' if error else ""
    return (
        f'{JOB},gen_ai_provider_name="{provider}",gen_ai_request_model="{model}",gen_ai_operation_name="chat"{failed}'
    )


def _calls(answered: str, failed: str = "", *, error: str = "503", provider: str = "openai") -> dict[str, str]:
    """Counts of calls that a provider answered, and of those that failed."""
    series = {f"{_CALLS}_count{{{_where(provider)}}}": answered}
    return series | ({f"{_CALLS}_count{{{_where(provider, error)}}}": failed} if failed else {}) | alive()


def _seen_first(values: str, *, error: str = "") -> dict[str, str]:
    """Calls of another process, from which Prometheus has had no sample before."""
    where = _where("openai", error).replace('instance="a"', 'instance="b"')
    return {
        f"{_CALLS}_count{{{where}}}": f"_x60 {values}",
        'blogauto_keywords_analyzed_total{job="blogauto-backend",instance="b"}': "_x60 0x400",
    }


def _failing(provider: str, share: str) -> tuple[ExpectedAlert, ...]:
    return (
        ExpectedAlert(
            {**BACKEND, "provider": provider},
            f"{share} of the calls to {provider} fail.",
            f"{share} of the calls to {provider} failed in 10 minutes; the limit is 10 %."
            " Calls refused for their rate are not among them.",
        ),
    )


_AI_PROVIDER_ERRORS_TESTS: Final = UnitTests(
    "warning",
    "errors",
    "blogauto-ai",
    cases=(
        Case("an eighth of many calls", _calls("0+7x400", "0+1x400"), "25m", _failing("openai", "12.5%")),
        Case("the first calls of all fail", _calls("_x60 0x400", "_x60 5x400"), "19m", _failing("openai", "100%")),
        Case(
            "one of two providers fails",
            _calls("0+30x400") | _calls("0x400", "0+1x400", provider="gcp.gemini", error="TimeoutError"),
            "25m",
            _failing("gcp.gemini", "100%"),
        ),
        Case("one of twelve is below the limit", _calls("0+11x400", "0+1x400"), "25m"),
        Case("refusals for the rate have an alert of their own", _calls("0+1x400", "0+1x400", error="429"), "25m"),
        Case("so have those of the library", _calls("0+1x400", "0+1x400", error="openai.RateLimitError"), "25m"),
        Case("four calls are too few", _calls("_x60 0x400", "_x60 4x400"), "19m"),
        Case("pending before two minutes", _calls("_x60 0x400", "_x60 5x400"), "16m", pending=True),
        Case(
            "answered calls of an old process that Prometheus sees for the first time do not dilute it",
            _calls("_x60 0x400", "_x60 5x400") | _seen_first("900x400"),
            "19m",
            _failing("openai", "100%"),
        ),
        Case(
            "its old failures do not count",
            _calls("_x60 10x400") | _seen_first("900x400", error="503"),
            "19m",
        ),
        Case("nobody calls", _calls("500x400", "500x400"), "25m"),
        Case("no data", {}, "25m"),
    ),
)


def _ai_provider_rate_limited(service: Service) -> AlertDefinition:
    recorded, limits = Recorded(service), service.thresholds
    return AlertDefinition(
        Alert(
            name="AiProviderRateLimited",
            severity="warning",
            category="saturation",
            condition=Comparison(f"round({recorded.ai_rate_limited})", ">", limits.ai_rate_limited),
            pending_for="1m",
            keep_firing_for="5m",
            summary="{{ $labels.provider }} refuses calls: rate limit.",
            description=(
                "{{ $labels.provider }} refused {{ $value }} calls for their rate in 5 minutes;"
                f" the limit is {promql_number(limits.ai_rate_limited)}. Articles wait for retries, or are not written."
            ),
            board="ai",
        ),
        Trigger(
            "requests for articles that the AI provider refuses for their rate",
            ("ai_limits",),
            drill=True,
            drill_phase=2,
        ),
        _AI_PROVIDER_RATE_LIMITED_TESTS,
    )


def _limited(provider: str, count: int) -> tuple[ExpectedAlert, ...]:
    return (
        ExpectedAlert(
            {**BACKEND, "provider": provider},
            f"{provider} refuses calls: rate limit.",
            f"{provider} refused {count} calls for their rate in 5 minutes; the limit is 5."
            " Articles wait for retries, or are not written.",
        ),
    )


_AI_PROVIDER_RATE_LIMITED_TESTS: Final = UnitTests(
    "warning",
    "saturation",
    "blogauto-ai",
    cases=(
        Case(
            "six calls, the first of their kind",
            _calls("0+1x400", "_x60 6x400", error="429"),
            "17m",
            _limited("openai", 6),
        ),
        Case(
            "six more, under the library's name",
            _calls("0+1x400", "9x60 9+2x3 15x400", error="google.api_core.exceptions.ResourceExhausted"),
            "18m",
            _limited("openai", 6),
        ),
        Case("five are the limit", _calls("0+1x400", "_x60 5x400", error="429"), "17m"),
        Case("other errors do not count", _calls("0+1x400", "_x60 60x400", error="503"), "17m"),
        Case("pending before one minute", _calls("0+1x400", "_x60 6x400", error="429"), "15m30s", pending=True),
        Case(
            "an old process that Prometheus sees for the first time",
            {
                **_calls("_x60 900x400", "_x60 900x400", error="429"),
                f"blogauto_keywords_analyzed_total{{{JOB}}}": "_x60 0x400",
            },
            "17m",
        ),
        Case("no data", {}, "17m"),
    ),
)


def _ai_latency(service: Service) -> AlertDefinition:
    recorded, limits = Recorded(service), service.thresholds
    return AlertDefinition(
        Alert(
            name="AiLatency",
            severity="warning",
            category="latency",
            condition=And(
                (
                    Comparison(recorded.ai_p95, ">", limits.ai_p95_seconds),
                    Comparison(f"{_calls_by_model(service)} * 600", ">=", limits.minimum_ai_calls),
                )
            ),
            pending_for="5m",
            keep_firing_for="5m",
            summary="{{ $labels.model }} of {{ $labels.provider }} is slow.",
            description=(
                "The 95th percentile of the duration of calls to {{ $labels.model }} is {{ $value | humanizeDuration }};"
                f" the limit is {promql_number(limits.ai_p95_seconds)} s."
            ),
            board="ai",
            comment="By model: a large one takes longer than a small one at any time.",
        ),
        Trigger(
            "run the drill, which lowers the limit below two seconds instead of waiting half a minute for each call",
            ("slow",),
            command="python -m monitoring drill AiLatency",
            drill=True,
            threshold=("ai_p95_seconds", 1, 1e6),
        ),
        _AI_LATENCY_TESTS,
    )


def _calls_by_model(service: Service) -> str:
    """Calls per second, with the labels of the recorded percentile."""
    counts = f'rate({service.metric("gen_ai.client.operation.duration")}_count{{job=~"{service.jobs}"}}[10m])'
    named = renamed(renamed(counts, "provider", "gen_ai_provider_name"), "model", "gen_ai_request_model")
    return f"sum by (job, provider, model) ({named})"


def _durations(share: float, rate: float = 1) -> dict[str, str]:
    """`rate` calls a step, of which `share` take 20 to 41 seconds and the others less."""
    where = _where("openai")
    fast, all_ = f"0+{rate * (1 - share):g}x400", f"0+{rate:g}x400"
    return {
        f'{_CALLS}_bucket{{{where},le="20.48"}}': fast,
        f'{_CALLS}_bucket{{{where},le="40.96"}}': all_,
        f'{_CALLS}_bucket{{{where},le="+Inf"}}': all_,
        f"{_CALLS}_count{{{where}}}": all_,
    }


def _slow_model(value: str) -> tuple[ExpectedAlert, ...]:
    return (
        ExpectedAlert(
            {**BACKEND, "provider": "openai", "model": "gpt-5-mini"},
            "gpt-5-mini of openai is slow.",
            f"The 95th percentile of the duration of calls to gpt-5-mini is {value}; the limit is 30 s.",
        ),
    )


_AI_LATENCY_TESTS: Final = UnitTests(
    "warning",
    "latency",
    "blogauto-ai",
    cases=(
        Case("a tenth takes longer", _durations(0.1), "25m", _slow_model("30.72s")),
        Case("a twelfth is below the limit", _durations(0.08), "25m"),
        Case("six calls are enough", _durations(1, rate=0.15), "25m", _slow_model("39.94s")),
        Case("four calls in ten minutes are too few", _durations(1, rate=0.1), "25m"),
        Case("pending before five minutes", _durations(1), "4m", pending=True),
        Case("nobody calls", dict.fromkeys(_durations(0), "500x400"), "25m"),
        Case("no data", {}, "25m"),
    ),
)


def _ai_cost_budget(service: Service) -> AlertDefinition:
    recorded, limits = Recorded(service), service.thresholds
    budget = promql_number(limits.ai_monthly_budget)
    return AlertDefinition(
        Alert(
            name="AiCostBudget",
            severity="warning",
            category="business",
            condition=And(
                (
                    Comparison(f"{recorded.ai_cost('1d')} * {DAYS_OF_MONTH} / {budget}", ">", limits.ai_budget_burn),
                    Comparison(
                        f"{recorded.ai_cost('1h')} * {DAYS_OF_MONTH * 24} / {budget}", ">", limits.ai_budget_burn
                    ),
                )
            ),
            pending_for="15m",
            keep_firing_for="5m",
            summary='AI calls spend {{ $value | printf "%.1f" }} times the budget.',
            description=(
                'A month at the rate of the last 24 hours costs {{ $value | printf "%.1f" }} times the budget of'
                f" {budget} {{{{ $labels.currency }}}}; the limit is {promql_number(limits.ai_budget_burn)} times."
            ),
            board="ai",
            comment="The day shows that it matters, the last hour that it continues: the alert ends an hour after the spending.",
        ),
        Trigger(
            "run the drill, which lowers the budget instead of spending it",
            ("normal",),
            command="python -m monitoring drill AiCostBudget",
            drill=True,
            drill_phase=2,  # the articles of a slow provider come alone
            threshold=("ai_monthly_budget", 1e-3, 1e6),
        ),
        _AI_COST_BUDGET_TESTS,
    )


def _cost(*values: str, currency: str = "USD") -> dict[str, str]:
    """Cost by model, in steps of five minutes."""
    return {
        f'blogauto_ai_cost_total{{{JOB},provider="openai",model="m{number}",operation="chat",currency="{currency}"}}': value
        for number, value in enumerate(values)
    }


def _spent(times: str, currency: str = "USD") -> tuple[ExpectedAlert, ...]:
    return (
        ExpectedAlert(
            {**BACKEND, "currency": currency},
            f"AI calls spend {times} times the budget.",
            f"A month at the rate of the last 24 hours costs {times} times the budget of 100 {currency}; the limit is 1.5 times.",
        ),
    )


def _budget_case(
    name: str,
    series: dict[str, str],
    at: str = "30h",
    expected: tuple[ExpectedAlert, ...] = (),
    *,
    pending: bool = False,
) -> Case:
    return Case(name, series, at, expected, pending=pending, sample_interval="5m", evaluation_interval="5m")


# A day has 288 steps of five minutes: 0.02 a step is 5.76 a day, and 1.7 times a budget of 100 a month.
_AI_COST_BUDGET_TESTS: Final = UnitTests(
    "warning",
    "business",
    "blogauto-ai",
    cases=(
        _budget_case("two models together spend more", _cost("0+0.01x600", "0+0.01x600"), expected=_spent("1.7")),
        _budget_case("another currency", _cost("0+0.03x600", currency="KRW"), expected=_spent("2.6", "KRW")),
        _budget_case("a month like this costs 1.3 times the budget", _cost("0+0.015x600")),
        _budget_case("a day that was expensive and is over", _cost("0+0.06x340 20.4x300")),
        _budget_case("one expensive hour", _cost("0x345 0+0.25x300")),
        _budget_case("the last hour is only slightly more than allowed", _cost("0+0.05x340 17+0.011x300")),
        _budget_case("pending before a quarter of an hour", _cost("0x12 0+10x600"), "1h15m", pending=True),
        _budget_case("nothing is spent", _cost("40x600")),
        _budget_case("no data", {}),
    ),
)
