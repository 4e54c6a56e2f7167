"""The board "API Performance": rate, errors and duration by endpoint, and the error budget."""

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
from monitoring.parameters import promql_number
from monitoring.promql import bucket_at


def api(context: BoardContext) -> dict[str, object]:
    """The board for one endpoint or all."""
    return context.board(
        "api",
        "API Performance",
        "Rate, errors and duration of the chosen endpoints, a table of endpoints, and the error budget.",
        (
            Row("", _answers(context)),
            Row("Rate and errors", _rate_and_errors(context)),
            Row("Duration", _duration(context)),
            Row("Endpoints", _endpoints(context)),
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
            "Requests per minute. A sudden drop: requests no longer arrive.",
            "requests/min",
            context.per_minute("api.requests", ENDPOINT),
            decimals=1,
            no_value="no traffic",
            width=4,
        ),
        stat_panel(
            "Failing (5xx)",
            "Ratio of requests that the application failed to answer.",
            "ratio",
            context.ratio(context.rate("api.requests", FAILED, ENDPOINT), everything),
            alert=context.threshold("HighApiErrorRate"),
            decimals=1,
            no_value="no traffic",
            width=4,
        ),
        stat_panel(
            "Client errors (4xx)",
            "Ratio of requests with a client error: unknown paths, missing logins, the rate limit. A jump after a release: a client is broken.",
            "ratio",
            context.ratio(context.rate("api.requests", 'status=~"4.."', ENDPOINT), everything),
            decimals=1,
            no_value="no traffic",
            width=4,
        ),
        stat_panel(
            "p95",
            "95th percentile of the duration: one request in twenty takes longer.",
            "seconds",
            f"{context.quantile(0.95, ENDPOINT)} >= 0",
            alert=context.threshold("HighApiResponseTime"),
            no_value="no traffic",
            width=4,
        ),
        stat_panel(
            f"Slower than {promql_number(limit)} s",
            "Ratio of requests that miss the latency objective. Above the allowed ratio, the error budget shrinks.",
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
            "Requests in progress now. Rising while the rate is constant: they wait for a resource.",
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
            "The ten busiest of the chosen endpoints. An endpoint that disappears: its route or its client is gone.",
            "requests/min",
            [Query(f"topk(10, {context.per_minute('api.requests', ENDPOINT, by='endpoint')})", "{{endpoint}}")],
            links=(context.endpoint_link,),
            calcs=(),
        ),
        timeseries_panel(
            "Status codes",
            "Requests per minute by status class, failures at the bottom. 5xx: failures of the application. 4xx: client errors.",
            "requests/min",
            status_classes(context, ENDPOINT),
            stacked=True,
            colours=STATUS_COLOURS,
        ),
        timeseries_panel(
            "Exceptions by class",
            "Requests that raised an exception, handled or not. A new class: look at the last release.",
            "per minute",
            [Query(f"topk(10, {context.per_minute('errors', ENDPOINT, by='type')})", "{{type}}")],
            no_value="none",
            calcs=("mean", "max"),
        ),
    )


def _duration(context: BoardContext) -> tuple[PlacedPanel, ...]:
    limit = context.service.thresholds.p95_seconds
    links = (
        traces_link("Slow traces in Jaeger", minDuration=f"{promql_number(limit)}s"),
        logs_link("Warnings and errors in Loki", '{service_name=~"${job}"} | detected_level=~"warn|error|critical"'),
    )
    return (
        timeseries_panel(
            "Response time",
            "Median, 95th and 99th percentile of the duration. A diamond is one request: click it to open its trace.",
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
            "Each cell is a time and a range of durations; its colour is the number of requests. A second band above the first:"
            " some requests take a slower path (a cold cache, a slow provider).",
            f"sum by (le) ({context.rate('api.request.duration', ENDPOINT, suffix='_bucket')})",
            unit="requests/s",
        ),
        timeseries_panel(
            "p95 by endpoint",
            "The ten slowest of the chosen endpoints. Above the dashed line for five minutes, the alert fires and names the endpoint.",
            "seconds",
            [Query(f"topk(10, {context.recorded.p95_by_endpoint}{{{JOB},{ENDPOINT}}})", "{{endpoint}}")],
            alert=context.threshold("HighApiResponseTime"),
            links=(context.endpoint_link,),
            calcs=(),
            width=12,
        ),
        timeseries_panel(
            "In progress by endpoint",
            "Requests in progress. If only one endpoint rises, its database query or its provider is slow.",
            "count",
            [
                Query(
                    f"topk(10, sum by (endpoint) ({context.selector('api.requests.in_progress', ENDPOINT)}))",
                    "{{endpoint}}",
                )
            ],
            calcs=(),
            decimals=0,
            width=12,
        ),
    )


def _endpoints(context: BoardContext) -> tuple[PlacedPanel, ...]:
    by = "sum by (endpoint)"
    everything = context.rate("api.requests", ENDPOINT)
    alert = context.threshold("HighApiResponseTime")
    return (
        table_panel(
            "All endpoints",
            "Coloured: above the threshold of an alert. Click a name to show only that endpoint.",
            {"endpoint": "Endpoint"},
            [
                Column(
                    "Requests/min",
                    "requests/min",
                    context.per_minute("api.requests", ENDPOINT, by="endpoint"),
                    decimals=1,
                ),
                Column(
                    "5xx",
                    "ratio",
                    context.ratio_by("endpoint", context.rate("api.requests", FAILED, ENDPOINT), everything),
                    alert=context.threshold("HighApiErrorRate"),
                    decimals=1,
                ),
                Column(
                    "4xx",
                    "ratio",
                    context.ratio_by("endpoint", context.rate("api.requests", 'status=~"4.."', ENDPOINT), everything),
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
            sort="Requests/min",
            height=10,
        ),
        bar_gauge_panel(
            "Time spent, by endpoint",
            "Seconds spent in each second: rate times duration. Optimising the first endpoint saves most.",
            "seconds",
            Query(
                f"sort_desc(topk(8, {by} ({context.rate('api.request.duration', ENDPOINT, suffix='_sum')})))",
                "{{endpoint}}",
            ),
            no_value="no traffic",
            long_names=True,
            height=10,
        ),
    )


def _objective(context: BoardContext) -> tuple[PlacedPanel, ...]:
    recorded, budget = context.recorded, context.service.objective.budget
    # One colour and one dash pattern for each window: in a young service several windows have the same value.
    windows = {"1h": ("red", (1, 0)), "6h": ("orange", (12, 4)), "1d": ("yellow", (6, 6)), "3d": ("blue", (2, 6))}
    return tuple(
        panel
        for of, what, alert in (
            ("errors", "errors", "ApiErrorBudgetBurn"),
            ("slow", "slow", "ApiLatencyBudgetBurn"),
        )
        for panel in (
            timeseries_panel(
                f"Burn rate: {what}",
                "How many times faster than allowed the error budget is spent, over windows of several lengths. At 1 it lasts 30 days;"
                " at the dashed line it is used up in two.",
                "number",
                [Query(f"max({recorded.ratio(window, of=of)}{{{JOB}}}) / {budget:g}", window) for window in windows],
                alert=context.threshold(alert, scale=1 / budget),
                colours={window: colour for window, (colour, _) in windows.items()},
                dashes={window: dashes for window, (_, dashes) in windows.items()},
                width=9,
                height=11,
            ),
            stat_panel(
                f"Budget, {what}",
                "The remaining error budget of the last 30 days. Below 0, the objective is missed.",
                "ratio",
                f"min({recorded.budget_left(of=of)}{{{JOB}}})",
                thresholds=[(None, "red"), (0, "orange"), (0.25, "green")],
                decimals=0,
                no_value="no traffic",
                width=3,
                height=11,
            ),
        )
    )


def _logs() -> PlacedPanel:
    return logs_panel(
        "Warnings and errors",
        "Log records of the service, newest first. Click a trace id to open its trace.",
        '{service_name=~"$job"} | detected_level=~"warn|error|critical|fatal"',
    )
