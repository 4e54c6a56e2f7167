"""Whether it is fine, and if not, where to look."""

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


def overview(context: BoardContext) -> dict[str, object]:
    """The board that opens first."""
    return context.board(
        "overview",
        "Overview",
        "One row of answers, then requests, then what is behind them. Colours and dashed lines are those of the alerts.",
        (
            Row("", _answers(context)),
            Row("Requests", _requests(context)),
            Row("What is wrong", _wrong(context)),
            Row("Host", _host(context)),
            Row("Business", _business(context)),
            Row("Logs", (_logs(),)),
        ),
        (context.job_variable,),
    )


def _answers(context: BoardContext) -> tuple[PlacedPanel, ...]:
    recorded, service = context.recorded, context.service
    api = service.board("api")
    return (
        stat_panel(
            "Backend",
            "DOWN: Prometheus cannot read /metrics of the backend; users see errors or nothing.",
            "number",
            f"min(up{{{JOB}}})",
            alert=context.threshold("BackendServiceDown", bad="below"),
            thresholds=[(None, "red"), (1, "green")],
            value_texts={"0": ("DOWN", "red"), "1": ("UP", "green")},
            no_value="not watched",
            sparkline=False,
        ),
        stat_panel(
            "Requests",
            "Requests answered per second. A sudden drop is as bad as errors: nobody gets through.",
            "requests/s",
            f"sum({context.rate('api.requests')})",
            no_value="no traffic",
            links=[board_link("By endpoint", api, job="${job}")],
        ),
        stat_panel(
            "Failing",
            "Share of requests answered with a 5xx status in five minutes. Red: users see errors.",
            "ratio",
            f"max({recorded.ratio('5m', of='errors')}{{{JOB}}})",
            alert=context.threshold("HighApiErrorRate"),
            decimals=1,
            no_value="no traffic",
            links=[board_link("By endpoint", api, job="${job}")],
        ),
        stat_panel(
            "Slowest endpoint",
            "The worst p95 of all endpoints over five minutes. Above the limit one user in twenty waits too long there.",
            "seconds",
            f"max({recorded.p95_by_endpoint}{{{JOB}}})",
            alert=context.threshold("HighApiResponseTime"),
            no_value="no traffic",
            links=[board_link("By endpoint", api, job="${job}")],
        ),
        stat_panel(
            "Error budget left",
            "What is left of the errors and slow answers that 30 days may have, the worse of both. Below 0: the objective is missed.",
            "ratio",
            f"min({recorded.budget_left(of='errors')}{{{JOB}}} or {recorded.budget_left(of='slow')}{{{JOB}}})",
            thresholds=[(None, "red"), (0, "orange"), (0.25, "green")],
            decimals=0,
            no_value="no traffic",
            links=[board_link("Burn rates", api, job="${job}")],
        ),
        stat_panel(
            "CPU",
            "CPU in use on the busiest host, averaged over five minutes. Above the limit answers get slower.",
            "percent",
            f"max(avg_over_time({context.selector('cpu.usage')}[5m]))",
            alert=context.threshold("HighCpuUsage"),
            decimals=0,
            no_value="no data",
        ),
        stat_panel(
            "Memory left",
            "Memory that can still be taken, as a share of all. Below the limit the kernel will soon kill a process.",
            "ratio",
            f"min(avg_over_time({context.selector('memory.available')}[5m]) / {context.selector('memory.total')})",
            alert=context.threshold("LowMemoryAvailable"),
            decimals=0,
            no_value="no data",
        ),
        stat_panel(
            "Disk",
            "Space in use on the root filesystem. When it is full, databases and logs stop.",
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
        traces_link("Slow traces in Jaeger", minDuration=f"{limit:g}s"),
        logs_link("Warnings and errors in Loki", '{service_name=~"${job}"} | detected_level=~"warn|error|critical"'),
    )
    return (
        timeseries_panel(
            "Requests by status class",
            "Answers per second. Red rising: the application fails. Orange rising: clients err, or somebody probes.",
            "requests/s",
            [Query(status_classes(context), "{{class}}")],
            stacked=True,
            colours=STATUS_COLOURS,
        ),
        timeseries_panel(
            "Failing requests",
            "Share of requests answered with a 5xx status. Above the dashed line for five minutes somebody is paged.",
            "ratio",
            [Query(context.ratio(context.rate("api.requests", FAILED), context.rate("api.requests")), "failing")],
            alert=context.threshold("HighApiErrorRate"),
        ),
        timeseries_panel(
            "Response time",
            "How long half, 95 % and 99 % of the answers take at most, all endpoints together. A diamond is one request: click it for its trace.",
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


def status_classes(context: BoardContext, *matchers: str) -> str:
    """Requests per second by 2xx, 3xx, 4xx and 5xx."""
    return f'sum by (class) (label_replace({context.rate("api.requests", *matchers)}, "class", "${{1}}xx", "status", "(.).."))'


def _wrong(context: BoardContext) -> tuple[PlacedPanel, ...]:
    service = context.service
    runbook = Link("Runbook", f"{service.runbooks_url}/${{__value.raw}}.md")
    firing = f'ALERTS{{alertstate="firing",service=~"{service.namespace}|telemetry",severity=~"critical|warning"}}'
    return (
        table_panel(
            "Alerts firing",
            "Every alert that fires now, of the application and of the monitoring itself. A click on a name opens its runbook.",
            {"alertname": "Alert", "severity": "Severity", "endpoint": "Endpoint"},
            [Column("Firing", "number", f"max by (alertname, severity, endpoint) ({firing})")],
            hidden=("Value",),
            no_value="nothing is wrong",
            links=(runbook,),
            width=8,
        ),
        table_panel(
            "Busiest endpoints",
            "The ten endpoints with the most traffic. Coloured: above the limit of the alert. A click on a name opens its board.",
            {"endpoint": "Endpoint"},
            [
                Column(
                    "Requests/s",
                    "requests/s",
                    f"topk(10, sum by (endpoint) ({context.rate('api.requests')}))",
                    decimals=2,
                ),
                Column(
                    "Failing",
                    "ratio",
                    f"sum by (endpoint) ({context.rate('api.requests', FAILED)}) / (sum by (endpoint) ({context.rate('api.requests')}) > 0)",
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
            sort="Requests/s",
            width=16,
        ),
    )


def _host(context: BoardContext) -> tuple[PlacedPanel, ...]:
    return (
        timeseries_panel(
            "CPU over time",
            "CPU in use, of the container's quota or of the host. Near 100 % everything waits.",
            "percent",
            [Query(f"max by (job) ({context.selector('cpu.usage')})", "CPU")],
            alert=context.threshold("HighCpuUsage"),
            maximum=100,
        ),
        timeseries_panel(
            "Memory over time",
            "Memory in use and all there is. What lies between them is left; below the alert's share the kernel starts to kill.",
            "bytes",
            [
                Query(f"max by (job) ({context.selector('memory.usage')})", "in use"),
                Query(f"max by (job) ({context.selector('memory.total')})", "all"),
            ],
            dashed=("all",),
        ),
        timeseries_panel(
            "Disk over time",
            "Space in use on the root filesystem. A steady climb says when it will be full.",
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
            "What was made",
            "Counts in each interval, about: Prometheus extrapolates. All at zero while requests come in: users get nothing done.",
            "count",
            [Query(f"sum(increase({context.selector(metric)}[{INTERVAL}]))", name) for metric, name in counted.items()],
            bars=True,
            stacked=True,
            decimals=0,
            interval="1m",
            calcs=("sum",),
            width=11,
        ),
        timeseries_panel(
            "WordPress posts",
            "Posts per interval by result. Red: articles are written and do not appear.",
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
        ),
        (
            stat_panel(
                "Failed posts",
                "Posts that did not reach WordPress in five minutes. Above the limit somebody is paged.",
                "count",
                f"round(sum(increase({context.selector('wordpress.posts.published', failed)}[5m])))",
                alert=context.threshold("WordPressPublishFailure"),
                decimals=0,
                no_value="no data",
                links=[board_link("Business", service.board("business"), job="${job}")],
            ),
            stat_panel(
                "Published today",
                "Posts that reached WordPress in 24 hours, about. Zero on a working day: nothing is published.",
                "count",
                f"round(sum(increase({context.selector('wordpress.posts.published', success)}[24h])))",
                decimals=0,
                no_value="no data",
                sparkline=False,
                links=[board_link("Business", service.board("business"), job="${job}")],
                height=5,
            ),
        ),
    )


def _logs() -> PlacedPanel:
    return logs_panel(
        "Warnings and errors",
        "What the service wrote, newest first. A line with a trace id leads to its trace. Many lines of one kind: begin there.",
        '{service_name=~"$job"} | detected_level=~"warn|error|critical|fatal"',
    )
