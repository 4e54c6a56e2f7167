"""API performance: which endpoint is slow or fails, since when, and what it costs the objective."""

from __future__ import annotations

from monitoring.boards.context import ENDPOINT, FAILED, JOB, BoardContext
from monitoring.boards.layout import (
    STATUS_COLOURS,
    Column,
    Link,
    PlacedPanel,
    Query,
    Row,
    bar_gauge_panel,
    heatmap_panel,
    logs_link,
    logs_panel,
    stat_panel,
    table_panel,
    timeseries_panel,
    traces_link,
)
from monitoring.boards.overview import status_classes
from monitoring.promql import bucket_at


def api(context: BoardContext) -> dict[str, object]:
    """The board for one endpoint or all."""
    return context.board(
        "api",
        "API Performance",
        "Rate, errors and duration of the chosen endpoints; then endpoint by endpoint; then the objective.",
        (
            Row("", _answers(context)),
            Row("Rate and errors", _rate_and_errors(context)),
            Row("Duration", _duration(context)),
            Row("Endpoint by endpoint", _endpoints(context)),
            Row("Objective: 99 % good requests in 30 days", _objective(context)),
            Row("Logs", (_logs(),)),
        ),
        (context.job_variable, context.endpoint_variable),
    )


def _answers(context: BoardContext) -> tuple[PlacedPanel, ...]:
    everything = context.rate("api.requests", ENDPOINT)
    limit = context.service.objective.seconds
    return (
        stat_panel(
            "Requests",
            "Requests answered per second. A sudden drop: nobody gets through.",
            "requests/s",
            f"sum({everything})",
            no_value="no traffic",
            width=4,
        ),
        stat_panel(
            "Failing (5xx)",
            "Share of requests that the application failed to answer.",
            "ratio",
            context.ratio(context.rate("api.requests", FAILED, ENDPOINT), everything),
            alert=context.threshold("HighApiErrorRate"),
            decimals=1,
            no_value="no traffic",
            width=4,
        ),
        stat_panel(
            "Refused (4xx)",
            "Share of requests with a client's mistake: unknown paths, missing logins, the rate limit. A jump after a release: we broke a client.",
            "ratio",
            context.ratio(context.rate("api.requests", 'status=~"4.."', ENDPOINT), everything),
            decimals=1,
            no_value="no traffic",
            width=4,
        ),
        stat_panel(
            "p95",
            "One request in twenty takes longer than this.",
            "seconds",
            f"{context.quantile(0.95, ENDPOINT)} >= 0",
            alert=context.threshold("HighApiResponseTime"),
            no_value="no traffic",
            width=4,
        ),
        stat_panel(
            f"Slower than {limit:g} s",
            "Share of requests that the latency objective calls bad. Above the allowed share the budget shrinks.",
            "ratio",
            "clamp_min(1 - "
            f"sum({context.rate('api.request.duration', ENDPOINT, bucket_at(limit), suffix='_bucket')}) / "
            f"(sum({context.rate('api.request.duration', ENDPOINT, suffix='_count')}) > 0), 0)",
            thresholds=[(None, "green"), (context.service.objective.budget, "orange")],
            decimals=1,
            no_value="no traffic",
            width=4,
        ),
        stat_panel(
            "In progress",
            "Requests being answered now. Climbing while the rate stands still: they wait for something.",
            "count",
            f"sum({context.selector('api.requests.in_progress', ENDPOINT)})",
            decimals=0,
            no_value="no data",
            width=4,
        ),
    )


def _rate_and_errors(context: BoardContext) -> tuple[PlacedPanel, ...]:
    return (
        timeseries_panel(
            "Throughput by endpoint",
            "The ten busiest of the chosen endpoints. One that vanishes: a route or a client is gone.",
            "requests/s",
            [Query(f"topk(10, sum by (endpoint) ({context.rate('api.requests', ENDPOINT)}))", "{{endpoint}}")],
            links=(context.endpoint_link,),
            calcs=("mean", "max"),
        ),
        timeseries_panel(
            "Status codes",
            "Answers per second by class. Red: our failures. Orange: the clients'.",
            "requests/s",
            [Query(status_classes(context, ENDPOINT), "{{class}}")],
            stacked=True,
            colours=STATUS_COLOURS,
        ),
        timeseries_panel(
            "Exceptions by class",
            "Requests that ended in an exception, handled or not. A class never seen before: look at what was released.",
            "per second",
            [Query(f"topk(10, sum by (type) ({context.rate('errors', ENDPOINT)}))", "{{type}}")],
            calcs=("mean", "max"),
        ),
    )


def _duration(context: BoardContext) -> tuple[PlacedPanel, ...]:
    limit = context.service.thresholds.p95_seconds
    links = (
        traces_link("Slow traces in Jaeger", minDuration=f"{limit:g}s"),
        logs_link("Warnings and errors in Loki", '{service_name=~"${job}"} | detected_level=~"warn|error|critical"'),
    )
    return (
        timeseries_panel(
            "Response time",
            "How long half, 95 % and 99 % of the answers take at most. A diamond is one request: click it for its trace.",
            "seconds",
            [
                Query(context.quantile(0.5, ENDPOINT), "p50"),
                Query(context.quantile(0.95, ENDPOINT), "p95", exemplars=True),
                Query(context.quantile(0.99, ENDPOINT), "p99"),
            ],
            alert=context.threshold("HighApiResponseTime"),
            links=links,
            width=12,
        ),
        heatmap_panel(
            "Distribution of response times",
            "Each column is a moment, each cell a range of durations, its colour how many requests. A second band above the first:"
            " some requests take another way (a cold cache, a slow provider).",
            f"sum by (le) ({context.rate('api.request.duration', ENDPOINT, suffix='_bucket')})",
        ),
        timeseries_panel(
            "p95 by endpoint",
            "The ten slowest of the chosen endpoints. Above the dashed line for five minutes the alert names the endpoint.",
            "seconds",
            [Query(f"topk(10, {context.recorded.p95_by_endpoint}{{{JOB},{ENDPOINT}}})", "{{endpoint}}")],
            alert=context.threshold("HighApiResponseTime"),
            links=(context.endpoint_link,),
            calcs=("mean", "max"),
            width=12,
        ),
        timeseries_panel(
            "In progress by endpoint",
            "Requests being answered. One endpoint that climbs alone waits for its own database query or provider.",
            "count",
            [
                Query(
                    f"topk(10, sum by (endpoint) ({context.selector('api.requests.in_progress', ENDPOINT)}))",
                    "{{endpoint}}",
                )
            ],
            calcs=("mean", "max"),
            decimals=0,
            width=12,
        ),
    )


def _endpoints(context: BoardContext) -> tuple[PlacedPanel, ...]:
    by = "sum by (endpoint)"
    everything = f"{by} ({context.rate('api.requests', ENDPOINT)})"
    alert = context.threshold("HighApiResponseTime")
    return (
        table_panel(
            "Every endpoint",
            "Coloured: above the limit of an alert. A click on a name narrows the board to it.",
            {"endpoint": "Endpoint"},
            [
                Column("Requests/s", "requests/s", everything, decimals=2),
                Column(
                    "5xx",
                    "ratio",
                    f"{by} ({context.rate('api.requests', FAILED, ENDPOINT)}) / ({everything} > 0)",
                    alert=context.threshold("HighApiErrorRate"),
                    decimals=1,
                ),
                Column(
                    "4xx",
                    "ratio",
                    f"""{by} ({context.rate("api.requests", 'status=~"4.."', ENDPOINT)}) / ({everything} > 0)""",
                    decimals=1,
                ),
                Column("p50", "seconds", f"{context.quantile(0.5, ENDPOINT, by=['endpoint'])} >= 0"),
                Column("p95", "seconds", f"{context.quantile(0.95, ENDPOINT, by=['endpoint'])} >= 0", alert=alert),
                Column("p99", "seconds", f"{context.quantile(0.99, ENDPOINT, by=['endpoint'])} >= 0", alert=alert),
            ],
            alert=alert,
            no_value="no traffic",
            links=(
                Link(
                    "Only this endpoint",
                    f"/d/{context.service.board('api')}?var-job=${{job}}&var-endpoint=${{__value.raw:percentencode}}&${{__url_time_range}}",
                ),
            ),
            sort="Requests/s",
            height=10,
        ),
        bar_gauge_panel(
            "Time spent, by endpoint",
            "How long it answers in each second: rate times duration. The first is where work on speed pays most.",
            "seconds",
            Query(
                f"sort_desc(topk(8, {by} ({context.rate('api.request.duration', ENDPOINT, suffix='_sum')})))",
                "{{endpoint}}",
            ),
            no_value="no traffic",
            height=10,
        ),
    )


def _objective(context: BoardContext) -> tuple[PlacedPanel, ...]:
    recorded, budget = context.recorded, context.service.objective.budget
    windows = ("1h", "6h", "1d", "3d")
    return tuple(
        tile
        for of, what, alert in (
            ("errors", "errors", "ApiErrorBudgetBurn"),
            ("slow", "slow", "ApiLatencyBudgetBurn"),
        )
        for tile in (
            timeseries_panel(
                f"Burn rate: {what}",
                "How many times faster than allowed the budget is spent, over growing windows. 1 lasts exactly 30 days;"
                " at the dashed line it is gone in two.",
                "number",
                [Query(f"max({recorded.ratio(window, of=of)}{{{JOB}}}) / {budget:g}", window) for window in windows],
                alert=context.threshold(alert, scale=1 / budget),
                width=9,
            ),
            stat_panel(
                f"Left: {what}",
                "The share of bad requests that is still allowed in the 30 days that end now. Below 0 the objective is missed.",
                "ratio",
                f"min({recorded.budget_left(of=of)}{{{JOB}}})",
                thresholds=[(None, "red"), (0, "orange"), (0.25, "green")],
                decimals=0,
                no_value="no traffic",
                width=3,
                height=9,
            ),
        )
    )


def _logs() -> PlacedPanel:
    return logs_panel(
        "Warnings and errors",
        "What the service wrote, newest first. A line with a trace id leads to its trace.",
        '{service_name=~"$job"} | detected_level=~"warn|error|critical|fatal"',
    )
