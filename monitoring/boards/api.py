"""API performance: which endpoint is slow or fails, since when, and what it costs the objective."""

from __future__ import annotations

from monitoring.boards.context import ENDPOINT, FAILED, JOB, BoardContext
from monitoring.boards.layout import (
    STATUS_COLOURS,
    Column,
    Link,
    Query,
    Row,
    Tile,
    columns,
    distribution,
    figure,
    lines,
    logs_link,
    ranking,
    series,
    traces_link,
)
from monitoring.boards.overview import status_classes
from monitoring.promql import edge


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


def _answers(context: BoardContext) -> tuple[Tile, ...]:
    everything = context.rate("api.requests", ENDPOINT)
    limit = context.service.objective.seconds
    return (
        figure(
            "Requests",
            "Requests answered per second. A sudden drop: nobody gets through.",
            "requests/s",
            f"sum({everything})",
            empty="no traffic",
            width=4,
        ),
        figure(
            "Failing (5xx)",
            "Share of requests that the application failed to answer.",
            "ratio",
            context.share(context.rate("api.requests", FAILED, ENDPOINT), everything),
            watch=context.watch("HighApiErrorRate"),
            decimals=1,
            empty="no traffic",
            width=4,
        ),
        figure(
            "Refused (4xx)",
            "Share of requests with a client's mistake: unknown paths, missing logins, the rate limit. A jump after a release: we broke a client.",
            "ratio",
            context.share(context.rate("api.requests", 'status=~"4.."', ENDPOINT), everything),
            decimals=1,
            empty="no traffic",
            width=4,
        ),
        figure(
            "p95",
            "One request in twenty takes longer than this.",
            "seconds",
            f"{context.quantile(0.95, ENDPOINT)} >= 0",
            watch=context.watch("HighApiResponseTime"),
            empty="no traffic",
            width=4,
        ),
        figure(
            f"Slower than {limit:g} s",
            "Share of requests that the latency objective calls bad. Above the allowed share the budget shrinks.",
            "ratio",
            "clamp_min(1 - "
            f"sum({context.rate('api.request.duration', ENDPOINT, edge(limit), suffix='_bucket')}) / "
            f"(sum({context.rate('api.request.duration', ENDPOINT, suffix='_count')}) > 0), 0)",
            thresholds=[(None, "green"), (context.service.objective.budget, "orange")],
            decimals=1,
            empty="no traffic",
            width=4,
        ),
        figure(
            "In progress",
            "Requests being answered now. Climbing while the rate stands still: they wait for something.",
            "count",
            f"sum({context.select('api.requests.in_progress', ENDPOINT)})",
            decimals=0,
            empty="no data",
            width=4,
        ),
    )


def _rate_and_errors(context: BoardContext) -> tuple[Tile, ...]:
    return (
        series(
            "Throughput by endpoint",
            "The ten busiest of the chosen endpoints. One that vanishes: a route or a client is gone.",
            "requests/s",
            [Query(f"topk(10, sum by (endpoint) ({context.rate('api.requests', ENDPOINT)}))", "{{endpoint}}")],
            links=(context.endpoint_link,),
            calcs=("mean", "max"),
        ),
        series(
            "Status codes",
            "Answers per second by class. Red: our failures. Orange: the clients'.",
            "requests/s",
            [Query(status_classes(context, ENDPOINT), "{{class}}")],
            stacked=True,
            colours=STATUS_COLOURS,
        ),
        series(
            "Exceptions by class",
            "Requests that ended in an exception, handled or not. A class never seen before: look at what was released.",
            "per second",
            [Query(f"topk(10, sum by (type) ({context.rate('errors', ENDPOINT)}))", "{{type}}")],
            calcs=("mean", "max"),
        ),
    )


def _duration(context: BoardContext) -> tuple[Tile, ...]:
    limit = context.service.thresholds.p95_seconds
    links = (
        traces_link("Slow traces in Jaeger", minDuration=f"{limit:g}s"),
        logs_link("Warnings and errors in Loki", '{service_name=~"${job}"} | detected_level=~"warn|error|critical"'),
    )
    return (
        series(
            "Response time",
            "How long half, 95 % and 99 % of the answers take at most. A diamond is one request: click it for its trace.",
            "seconds",
            [
                Query(context.quantile(0.5, ENDPOINT), "p50"),
                Query(context.quantile(0.95, ENDPOINT), "p95", exemplars=True),
                Query(context.quantile(0.99, ENDPOINT), "p99"),
            ],
            watch=context.watch("HighApiResponseTime"),
            links=links,
            width=12,
        ),
        distribution(
            "Distribution of response times",
            "Each column is a moment, each cell a range of durations, its colour how many requests. A second band above the first:"
            " some requests take another way (a cold cache, a slow provider).",
            f"sum by (le) ({context.rate('api.request.duration', ENDPOINT, suffix='_bucket')})",
        ),
        series(
            "p95 by endpoint",
            "The ten slowest of the chosen endpoints. Above the dashed line for five minutes the alert names the endpoint.",
            "seconds",
            [Query(f"topk(10, {context.recorded.p95_by_endpoint}{{{JOB},{ENDPOINT}}})", "{{endpoint}}")],
            watch=context.watch("HighApiResponseTime"),
            links=(context.endpoint_link,),
            calcs=("mean", "max"),
            width=12,
        ),
        series(
            "In progress by endpoint",
            "Requests being answered. One endpoint that climbs alone waits for its own database query or provider.",
            "count",
            [
                Query(
                    f"topk(10, sum by (endpoint) ({context.select('api.requests.in_progress', ENDPOINT)}))",
                    "{{endpoint}}",
                )
            ],
            calcs=("mean", "max"),
            decimals=0,
            width=12,
        ),
    )


def _endpoints(context: BoardContext) -> tuple[Tile, ...]:
    by = "sum by (endpoint)"
    everything = f"{by} ({context.rate('api.requests', ENDPOINT)})"
    watch = context.watch("HighApiResponseTime")
    return (
        columns(
            "Every endpoint",
            "Coloured: above the limit of an alert. A click on a name narrows the board to it.",
            {"endpoint": "Endpoint"},
            [
                Column("Requests/s", "requests/s", everything, decimals=2),
                Column(
                    "5xx",
                    "ratio",
                    f"{by} ({context.rate('api.requests', FAILED, ENDPOINT)}) / ({everything} > 0)",
                    watch=context.watch("HighApiErrorRate"),
                    decimals=1,
                ),
                Column(
                    "4xx",
                    "ratio",
                    f"""{by} ({context.rate("api.requests", 'status=~"4.."', ENDPOINT)}) / ({everything} > 0)""",
                    decimals=1,
                ),
                Column("p50", "seconds", f"{context.quantile(0.5, ENDPOINT, by=['endpoint'])} >= 0"),
                Column("p95", "seconds", f"{context.quantile(0.95, ENDPOINT, by=['endpoint'])} >= 0", watch=watch),
                Column("p99", "seconds", f"{context.quantile(0.99, ENDPOINT, by=['endpoint'])} >= 0", watch=watch),
            ],
            watch=watch,
            empty="no traffic",
            links=(
                Link(
                    "Only this endpoint",
                    f"/d/{context.service.board('api')}?var-job=${{job}}&var-endpoint=${{__value.raw:percentencode}}&${{__url_time_range}}",
                ),
            ),
            sort="Requests/s",
            height=10,
        ),
        ranking(
            "Time spent, by endpoint",
            "How long it answers in each second: rate times duration. The first is where work on speed pays most.",
            "seconds",
            Query(
                f"sort_desc(topk(8, {by} ({context.rate('api.request.duration', ENDPOINT, suffix='_sum')})))",
                "{{endpoint}}",
            ),
            empty="no traffic",
            height=10,
        ),
    )


def _objective(context: BoardContext) -> tuple[Tile, ...]:
    recorded, budget = context.recorded, context.service.objective.budget
    windows = ("1h", "6h", "1d", "3d")
    return tuple(
        tile
        for of, what, alert in (
            ("errors", "errors", "ApiErrorBudgetBurn"),
            ("slow", "slow", "ApiLatencyBudgetBurn"),
        )
        for tile in (
            series(
                f"Burn rate: {what}",
                "How many times faster than allowed the budget is spent, over growing windows. 1 lasts exactly 30 days;"
                " at the dashed line it is gone in two.",
                "number",
                [Query(f"max({recorded.ratio(window, of=of)}{{{JOB}}}) / {budget:g}", window) for window in windows],
                watch=context.watch(alert, scale=1 / budget),
                width=9,
            ),
            figure(
                f"Left: {what}",
                "The share of bad requests that is still allowed in the 30 days that end now. Below 0 the objective is missed.",
                "ratio",
                f"min({recorded.budget_left(of=of)}{{{JOB}}})",
                thresholds=[(None, "red"), (0, "orange"), (0.25, "green")],
                decimals=0,
                empty="no traffic",
                width=3,
                height=9,
            ),
        )
    )


def _logs() -> Tile:
    return lines(
        "Warnings and errors",
        "What the service wrote, newest first. A line with a trace id leads to its trace.",
        '{service_name=~"$job"} | detected_level=~"warn|error|critical|fatal"',
    )
