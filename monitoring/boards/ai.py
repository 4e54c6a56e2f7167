"""The board "AI usage": what calls to AI providers cost, how long they take, and how often they fail."""

from __future__ import annotations

from monitoring.alerts.ai import DAYS_OF_MONTH
from monitoring.boards.context import JOB, BoardContext
from monitoring.boards.layout import (
    INTERVAL,
    Column,
    PlacedPanel,
    Query,
    Row,
    bar_gauge_panel,
    heatmap_panel,
    logs_panel,
    stat_panel,
    table_panel,
    timeseries_panel,
    traces_link,
)
from monitoring.parameters import promql_number
from monitoring.recordings.dependencies import RATE_LIMITED

DURATION, TOKENS, FIRST = (
    "gen_ai.client.operation.duration",
    "gen_ai.client.token.usage",
    "gen_ai.client.operation.time_to_first_chunk",
)
PROVIDER, MODEL, OPERATION, TYPE = (
    "gen_ai_provider_name",
    "gen_ai_request_model",
    "gen_ai_operation_name",
    "gen_ai_token_type",
)
# What the spans of the calls have that one series measures, whatever their operation is.
_OF_SERIES = " ".join(
    f"{attribute}=${{__field.labels.{label}}}"
    for attribute, label in (("gen_ai.operation.name", OPERATION), ("gen_ai.request.model", MODEL))
)
FAILED = 'error_type!=""'
LIMITED = f'error_type=~"{RATE_LIMITED}"'


def ai(context: BoardContext) -> dict[str, object]:
    """The board about AI providers."""
    return context.board(
        "ai",
        "AI usage",
        "Cost is computed from the tokens of each call and the price table of the settings; the provider's invoice decides.",
        (
            Row("", _answers(context)),
            Row("Cost", _cost(context)),
            Row("Tokens", _tokens(context)),
            Row("Providers", _providers(context)),
            Row("Slowest prompts", _slowest(context)),
            Row("Logs", (_logs(),)),
        ),
        (context.job_variable,),
        time_from="now-24h",
    )


def _spent(context: BoardContext, window: str, by: str = "currency") -> str:
    return f"sum by ({by}) (increase({context.selector('ai.cost')}[{window}]))"


def _counts(context: BoardContext, *matchers: str) -> str:
    return context.rate(DURATION, *matchers, suffix="_count")


def _answers(context: BoardContext) -> tuple[PlacedPanel, ...]:
    recorded, budget = context.recorded, promql_number(context.service.thresholds.ai_monthly_budget)
    return (
        stat_panel(
            "Cost today",
            "Cost since midnight, by currency.",
            "number",
            _spent(context, "$__range"),
            legend="{{currency}}",
            decimals=2,
            no_value="none",
            time_from="now/d",
        ),
        stat_panel(
            "Cost this month",
            "Cost since the first of the month, by currency.",
            "number",
            _spent(context, "$__range"),
            legend="{{currency}}",
            decimals=2,
            no_value="none",
            time_from="now/M",
        ),
        stat_panel(
            f"Spent of {budget}",
            "The part of the monthly budget that is spent since the first of the month. Orange above 80 %, red above 100 %.",
            "ratio",
            f"{_spent(context, '$__range')} / {budget}",
            legend="{{currency}}",
            thresholds=[(None, "green"), (0.8, "orange"), (1, "red")],
            decimals=0,
            no_value="none",
            time_from="now/M",
        ),
        stat_panel(
            "Cost per article",
            "Cost of 24 hours divided by the articles generated in them.",
            "number",
            f"{_spent(context, '24h')} / on () group_left () (sum(increase({context.selector('content.generated')}[24h])) > 0)",
            legend="{{currency}}",
            decimals=4,
            no_value="no articles",
        ),
        stat_panel(
            "Failing calls",
            "The highest ratio of failed calls of all providers in ten minutes. Red or orange: switch to the other provider.",
            "ratio",
            f"topk(1, {recorded.ai_failures}{{{JOB}}} / ({recorded.ai_calls}{{{JOB}}} > 0))",
            legend="{{provider}}",
            alert=context.threshold("AiProviderErrors"),
            decimals=0,
            no_value="no calls",
        ),
        stat_panel(
            "Refused, 5 m",
            "Calls that a provider refused for their rate in five minutes (HTTP 429). Libraries retry them.",
            "count",
            f"topk(1, round({recorded.ai_rate_limited}{{{JOB}}}))",
            legend="{{provider}}",
            alert=context.threshold("AiProviderRateLimited"),
            decimals=0,
            no_value="none",
        ),
        stat_panel(
            "Slowest model",
            "The highest p95 of all models over ten minutes.",
            "seconds",
            f"topk(1, {recorded.ai_p95}{{{JOB}}})",
            legend="{{model}}",
            alert=context.threshold("AiLatency"),
            no_value="no calls",
        ),
        stat_panel(
            "First token, p95",
            "Time to the first part of a streamed answer: what a user waits until something appears.",
            "seconds",
            f"{context.quantile_of(FIRST, 0.95)} >= 0",
            no_value="no streams",
        ),
    )


def _cost(context: BoardContext) -> tuple[PlacedPanel, ...]:
    recorded, budget = context.recorded, promql_number(context.service.thresholds.ai_monthly_budget)
    alert = context.threshold("AiCostBudget")
    return (
        timeseries_panel(
            "Cost by hour and model",
            "Cost of each hour by model and currency.",
            "number",
            [Query(_spent(context, "1h", by="model, currency"), "{{model}} ({{currency}})")],
            bars=True,
            stacked=True,
            decimals=2,
            interval="1h",
            calcs=("sum", "max"),
        ),
        timeseries_panel(
            "Budget burn rate",
            "What a month at the rate of the last day or hour costs, in budgets. 1: exactly the budget. The alert needs both.",
            "number",
            [
                Query(f"max({recorded.ai_cost('1d')}{{{JOB}}}) * {DAYS_OF_MONTH} / {budget}", "last day"),
                Query(f"max({recorded.ai_cost('1h')}{{{JOB}}}) * {DAYS_OF_MONTH * 24} / {budget}", "last hour"),
            ],
            alert=alert,
            calcs=("lastNotNull", "max"),
        ),
        bar_gauge_panel(
            "Cost by operation, 24 h",
            "Cost of 24 hours by operation and currency. The first is where a smaller model or a shorter prompt saves most.",
            "number",
            Query(
                f"sort_desc(topk(8, {_spent(context, '24h', by='operation, currency')}))",
                "{{operation}} ({{currency}})",
            ),
            decimals=2,
        ),
    )


def _tokens(context: BoardContext) -> tuple[PlacedPanel, ...]:
    both = f"{MODEL}, {OPERATION}"
    usage = context.rate(TOKENS, suffix="_sum")
    calls = context.rate(TOKENS, suffix="_count")

    def tokens_of(kind: str) -> str:
        selected = context.selector(TOKENS, f'{TYPE}="{kind}"', suffix="_sum")
        return f"round(sum by ({both}) (increase({selected}[24h])))"

    return (
        timeseries_panel(
            "Tokens by model",
            "Tokens per minute by model and type. Output tokens cost several times as much as input tokens.",
            "per minute",
            [Query(f"topk(10, 60 * sum by ({MODEL}, {TYPE}) ({usage}))", f"{{{{{MODEL}}}}} {{{{{TYPE}}}}}")],
            calcs=(),
            width=7,
        ),
        timeseries_panel(
            "Tokens for each call",
            "Mean number of tokens of a call by type. Rising input: prompts grow, for example by a conversation's history.",
            "count",
            [Query(f"sum by ({TYPE}) ({usage}) / (sum by ({TYPE}) ({calls}) > 0)", f"{{{{{TYPE}}}}}")],
            decimals=0,
            calcs=("mean", "max"),
            width=7,
        ),
        table_panel(
            "Models and operations, 24 h",
            "Calls, tokens and durations by model and operation.",
            {MODEL: "Model", OPERATION: "Operation"},
            [
                Column(
                    "Calls",
                    "count",
                    f"round(sum by ({both}) (increase({context.selector(DURATION, suffix='_count')}[24h])))",
                    decimals=0,
                ),
                Column("Input", "count", tokens_of("input"), decimals=0),
                Column("Output", "count", tokens_of("output"), decimals=0),
            ],
            no_value="no calls",
            sort="Calls",
            first_width=120,
            width=10,
        ),
    )


def _providers(context: BoardContext) -> tuple[PlacedPanel | tuple[PlacedPanel, ...], ...]:
    alert = context.threshold("AiProviderErrors")
    return (
        timeseries_panel(
            "Failing calls by provider",
            "Ratio of failed calls in ten minutes by provider, without those refused for their rate.",
            "ratio",
            [
                Query(
                    f"max by (provider) ({context.recorded.ai_failures}{{{JOB}}} / ({context.recorded.ai_calls}{{{JOB}}} > 0))",
                    "{{provider}}",
                )
            ],
            alert=alert,
            calcs=("mean", "max"),
        ),
        timeseries_panel(
            "Errors and retries by type",
            "Failed calls in each interval by provider and type. A library that retries makes one call of each attempt; 429 is a rate limit.",
            "count",
            [
                Query(
                    f"sum by ({PROVIDER}, error_type) (increase({context.selector(DURATION, FAILED, suffix='_count')}[{INTERVAL}]))",
                    f"{{{{{PROVIDER}}}}} {{{{error_type}}}}",
                )
            ],
            bars=True,
            stacked=True,
            decimals=0,
            interval="5m",
            no_value="none",
            calcs=("sum",),
        ),
        (
            bar_gauge_panel(
                "Refused for the rate, 24 h",
                "Calls that were refused for their rate in 24 hours, by provider.",
                "count",
                Query(
                    f"sort_desc(round(sum by ({PROVIDER}) (increase({context.selector(DURATION, LIMITED, suffix='_count')}[24h]))))",
                    f"{{{{{PROVIDER}}}}}",
                ),
                decimals=0,
                height=4,
            ),
            bar_gauge_panel(
                "Calls without a price, 24 h",
                "Calls of models that the price table lacks: their cost is missing everywhere on this board.",
                "count",
                Query(
                    f"sort_desc(round(sum by (model) (increase({context.selector('ai.unpriced_calls')}[24h]))))",
                    "{{model}}",
                ),
                decimals=0,
                height=5,
            ),
        ),
    )


def _slowest(context: BoardContext) -> tuple[PlacedPanel, ...]:
    traces = traces_link("Slowest of these calls in Jaeger", tags=_OF_SERIES, minDuration="5s")
    p95 = context.quantile_of(DURATION, 0.95, by=[MODEL, OPERATION])
    return (
        timeseries_panel(
            "p95 by model and operation",
            "95th percentile of the duration by model and operation. A diamond is one call: click it to open its trace."
            " A click on a line finds the slowest traces of its model and operation.",
            "seconds",
            [Query(f"topk(10, {p95})", f"{{{{{MODEL}}}}} {{{{{OPERATION}}}}}", exemplars=True)],
            alert=context.threshold("AiLatency"),
            links=(traces,),
            calcs=("mean", "max"),
        ),
        timeseries_panel(
            "First token by model",
            "95th percentile of the time to the first part of a streamed answer.",
            "seconds",
            [Query(f"topk(10, {context.quantile_of(FIRST, 0.95, by=[MODEL])})", f"{{{{{MODEL}}}}}")],
            calcs=("mean", "max"),
        ),
        heatmap_panel(
            "Distribution of durations",
            "Each cell is a time and a range of durations; its colour is the number of calls. A second band: long answers, or retries.",
            f"sum by (le) ({context.rate(DURATION, suffix='_bucket')})",
            width=8,
        ),
    )


def _logs() -> PlacedPanel:
    return logs_panel(
        "Logs about AI providers",
        "Warnings and errors about AI providers, newest first. Click a trace id to open its trace.",
        '{service_name=~"$job"} |~ "(?i)provider|openai|gemini|anthropic" | detected_level=~"warn|error|critical"',
    )
