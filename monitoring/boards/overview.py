"""The board "Overview": the state of the service at one glance."""

from __future__ import annotations

from monitoring.boards.context import FAILED, JOB, BoardContext
from monitoring.boards.layout import (
    INTERVAL,
    STATUS_COLOURS,
    Column,
    Link,
    PlacedPanel,
    Query,
    Row,
    board_link,
    logs_link,
    logs_panel,
    stat_panel,
    table_panel,
    timeseries_panel,
    traces_link,
)
from monitoring.parameters import percent, promql_number


def overview(context: BoardContext) -> dict[str, object]:
    """The board that opens first."""
    return context.board(
        "overview",
        "Overview",
        "Current state, then requests, alerts, host and business. Colours and dashed lines are the thresholds of the alerts.",
        (
            Row("", _answers(context)),
            Row("Requests", _requests(context)),
            Row("Alerts and endpoints", _wrong(context)),
            Row("Host", _host(context)),
            Row("Business", _business(context)),
            Row("Logs", (_logs(),)),
        ),
        (context.job_variable,),
    )


def _answers(context: BoardContext) -> tuple[PlacedPanel, ...]:
    recorded, service = context.recorded, context.service
    api, limits = service.board("api"), service.thresholds
    return (
        stat_panel(
            "Backend",
            "DOWN: Prometheus cannot scrape /metrics of the backend; users see errors or no response.",
            "number",
            f"min(up{{{JOB}}})",
            alert=context.threshold("BackendServiceDown", bad="below"),
            thresholds=[(None, "red"), (1, "green")],
            value_texts={"0": ("DOWN", "red"), "1": ("UP", "green")},
            no_value="no target",
        ),
        stat_panel(
            "Requests",
            "Requests per minute. A sudden drop is as bad as errors: requests no longer arrive.",
            "requests/min",
            context.per_minute("api.requests"),
            decimals=1,
            no_value="no traffic",
            links=[board_link("By endpoint", api, job="${job}")],
        ),
        stat_panel(
            f"Failing, limit {percent(limits.error_ratio)}",
            "Ratio of requests answered with a 5xx status in five minutes. Red: users see errors. Orange: more than the"
            " objective allows, so the error budget shrinks. Alert: ApiErrorBudgetBurn.",
            "ratio",
            f"max({recorded.ratio('5m', of='errors')}{{{JOB}}})",
            alert=context.threshold("HighApiErrorRate"),
            thresholds=[(None, "green"), (service.objective.budget, "orange"), (limits.error_ratio, "red")],
            decimals=1,
            no_value="no traffic",
            links=[board_link("By endpoint", api, job="${job}")],
        ),
        stat_panel(
            "Slowest endpoint",
            "The highest p95 of all endpoints over five minutes. Above the limit, one request in twenty to that endpoint is too slow.",
            "seconds",
            f"topk(1, {recorded.p95_by_endpoint}{{{JOB}}})",
            legend="{{endpoint}}",
            alert=context.threshold("HighApiResponseTime"),
            no_value="no traffic",
            links=[board_link("By endpoint", api, job="${job}")],
        ),
        stat_panel(
            "Budget, 30 days",
            "The remaining error budget of 30 days, for errors or slow requests, whichever is lower. Red, below 0: more requests were bad than the objective allows.",
            "ratio",
            f"min({recorded.budget_left(of='errors')}{{{JOB}}} or {recorded.budget_left(of='slow')}{{{JOB}}})",
            thresholds=[(None, "red"), (0, "orange"), (0.25, "green")],
            decimals=0,
            no_value="no traffic",
            links=[board_link("Burn rates", api, job="${job}")],
        ),
        stat_panel(
            f"CPU, limit {promql_number(limits.cpu_percent)} %",
            "CPU usage of the busiest host, averaged over five minutes. Above the limit, responses get slower.",
            "percent",
            f"max(avg_over_time({context.selector('cpu.usage')}[5m]))",
            alert=context.threshold("HighCpuUsage"),
            decimals=0,
            no_value="no data",
        ),
        stat_panel(
            "Memory available",
            "Available memory as a ratio of all memory. Below the limit, the kernel may soon kill a process.",
            "ratio",
            f"min(avg_over_time({context.selector('memory.available')}[5m]) / {context.selector('memory.total')})",
            alert=context.threshold("LowMemoryAvailable"),
            decimals=0,
            no_value="no data",
        ),
        stat_panel(
            f"Disk, limit {promql_number(limits.disk_percent)} %",
            "Used space on the root filesystem. When it is full, databases and logs stop.",
            "percent",
            f"max({context.selector('disk.usage')})",
            alert=context.threshold("LowDiskSpace"),
            decimals=0,
            no_value="no data",
        ),
    )


def _requests(context: BoardContext) -> tuple[PlacedPanel, ...]:
    limit = context.service.thresholds.p95_seconds
    latency_links = (
        traces_link("Slow traces in Jaeger", minDuration=f"{promql_number(limit)}s"),
        logs_link("Warnings and errors in Loki", '{service_name=~"${job}"} | detected_level=~"warn|error|critical"'),
    )
    return (
        timeseries_panel(
            "Requests by status class",
            "Requests per minute by status class, failures at the bottom. More 5xx: the application fails. More 4xx: clients send wrong requests, or somebody probes.",
            "requests/min",
            status_classes(context),
            stacked=True,
            colours=STATUS_COLOURS,
        ),
        timeseries_panel(
            "Failing requests",
            "Ratio of requests answered with a 5xx status. Above the dashed line for five minutes, the alert pages.",
            "ratio",
            [Query(context.ratio(context.rate("api.requests", FAILED), context.rate("api.requests")), "failing")],
            alert=context.threshold("HighApiErrorRate"),
        ),
        timeseries_panel(
            "Response time",
            "Median, 95th and 99th percentile of the duration over all endpoints. A diamond is one request: click it to open its trace.",
            "seconds",
            [
                Query(context.quantile(0.5), "p50"),
                Query(context.quantile(0.95), "p95", exemplars=True),
                Query(context.quantile(0.99), "p99"),
            ],
            alert=context.threshold("HighApiResponseTime"),
            links=latency_links,
        ),
    )


def status_classes(context: BoardContext, *matchers: str) -> list[Query]:
    """Requests per minute by status class. Failures come first: stacked, they start at the zero line."""
    return [
        Query(context.per_minute("api.requests", f'status=~"{digit}.."', *matchers), f"{digit}xx") for digit in "5432"
    ]


def _wrong(context: BoardContext) -> tuple[PlacedPanel, ...]:
    service = context.service
    runbook = Link("Runbook", f"{service.runbooks_url}/${{__value.raw}}.md")
    firing = f'ALERTS{{alertstate="firing",service=~"{service.namespace}|telemetry",severity=~"critical|warning"}}'
    return (
        table_panel(
            "Alerts firing",
            "All alerts that fire now, about the application and the monitoring itself. Click a name to open its runbook.",
            {"alertname": "Alert", "severity": "Severity", "endpoint": "Endpoint"},
            [Column("Firing", "number", f"max by (alertname, severity, endpoint) ({firing})")],
            hidden=("Value",),
            no_value="no alert fires",
            links=(runbook,),
            width=8,
        ),
        table_panel(
            "Busiest endpoints",
            "The ten endpoints with the most traffic. Coloured: above the threshold of the alert. Click a name to open the endpoint's board.",
            {"endpoint": "Endpoint"},
            [
                Column(
                    "Requests/min",
                    "requests/min",
                    f"topk(10, {context.per_minute('api.requests', by='endpoint')})",
                    decimals=1,
                ),
                Column(
                    "Failing",
                    "ratio",
                    context.ratio_by("endpoint", context.rate("api.requests", FAILED), context.rate("api.requests")),
                    alert=context.threshold("HighApiErrorRate"),
                    decimals=1,
                ),
                Column(
                    "p95",
                    "seconds",
                    f"{context.quantile(0.95, by=['endpoint'])} >= 0",
                    alert=context.threshold("HighApiResponseTime"),
                ),
            ],
            alert=context.threshold("HighApiResponseTime"),
            no_value="no traffic",
            links=(
                Link(
                    "This endpoint",
                    f"/d/{service.board('api')}?var-job=${{job}}&var-endpoint=${{__value.raw:percentencode}}&${{__url_time_range}}",
                ),
            ),
            sort="Requests/min",
            width=16,
        ),
    )


def _host(context: BoardContext) -> tuple[PlacedPanel, ...]:
    return (
        timeseries_panel(
            "CPU over time",
            "CPU usage of the container's quota or of the host. Near 100 %, requests are delayed.",
            "percent",
            [Query(f"max by (job) ({context.selector('cpu.usage')})", "CPU")],
            alert=context.threshold("HighCpuUsage"),
            maximum=100,
        ),
        timeseries_panel(
            "Memory over time",
            "Used and total memory. When little is available, the kernel kills processes.",
            "bytes",
            [
                Query(f"max by (job) ({context.selector('memory.usage')})", "in use"),
                Query(f"max by (job) ({context.selector('memory.total')})", "all"),
            ],
            dashed=("all",),
        ),
        timeseries_panel(
            "Disk over time",
            "Used space on the root filesystem. Extend a steady increase to see when it will be full.",
            "percent",
            [Query(f"max by (job) ({context.selector('disk.usage')})", "disk")],
            alert=context.threshold("LowDiskSpace"),
            maximum=100,
        ),
    )


def _business(context: BoardContext) -> tuple[PlacedPanel | tuple[PlacedPanel, ...], ...]:
    service = context.service
    counted = {
        "keywords.analyzed": "keywords analyzed",
        "titles.generated": "titles generated",
        "content.generated": "articles generated",
        "api_keys.stored": "API keys stored",
    }
    success, failed = 'status="success"', 'status="failed"'
    return (
        timeseries_panel(
            "Business events",
            "Approximate counts in each interval (Prometheus extrapolates). All at zero while requests arrive: the features fail.",
            "count",
            [Query(f"sum(increase({context.selector(metric)}[{INTERVAL}]))", name) for metric, name in counted.items()],
            bars=True,
            stacked=True,
            decimals=0,
            interval="1m",
            calcs=("sum",),
            width=11,
            height=11,
        ),
        timeseries_panel(
            "WordPress posts",
            "Posts in each interval by result. Red: articles are not published.",
            "count",
            [
                Query(
                    f"sum by (status) (increase({context.selector('wordpress.posts.published')}[{INTERVAL}]))",
                    "{{status}}",
                )
            ],
            bars=True,
            stacked=True,
            decimals=0,
            interval="1m",
            colours={"success": "green", "failed": "red"},
            calcs=("sum",),
            width=10,
            height=11,
        ),
        (
            stat_panel(
                "Failed posts",
                "Posts that failed to publish in five minutes. Above the limit, the alert pages.",
                "count",
                f"round(sum(increase({context.selector('wordpress.posts.published', failed)}[5m])))",
                alert=context.threshold("WordPressPublishFailure"),
                decimals=0,
                no_value="no data",
                links=[board_link("Business", service.board("business"), job="${job}")],
                height=5,
            ),
            stat_panel(
                "Published today",
                "Posts published in 24 hours (approximate). Zero on a working day: publishing is broken.",
                "count",
                f"round(sum(increase({context.selector('wordpress.posts.published', success)}[24h])))",
                decimals=0,
                no_value="no data",
                links=[board_link("Business", service.board("business"), job="${job}")],
                height=6,
            ),
        ),
    )


def _logs() -> PlacedPanel:
    return logs_panel(
        "Warnings and errors",
        "Log records of the service, newest first. Click a trace id to open its trace.",
        '{service_name=~"$job"} | detected_level=~"warn|error|critical|fatal"',
    )
