"""Whether it is fine, and if not, where to look."""

from __future__ import annotations

from monitoring.boards.context import FAILED, JOB, BoardContext
from monitoring.boards.layout import (
    INTERVAL,
    STATUS_COLOURS,
    Column,
    Link,
    Query,
    Row,
    Tile,
    board_link,
    columns,
    figure,
    lines,
    logs_link,
    series,
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


def _answers(context: BoardContext) -> tuple[Tile, ...]:
    recorded, service = context.recorded, context.service
    api = service.board("api")
    return (
        figure(
            "Backend",
            "DOWN: Prometheus cannot read /metrics of the backend; users see errors or nothing.",
            "number",
            f"min(up{{{JOB}}})",
            watch=context.watch("BackendServiceDown", bad="below"),
            thresholds=[(None, "red"), (1, "green")],
            words={"0": ("DOWN", "red"), "1": ("UP", "green")},
            empty="not watched",
            spark=False,
        ),
        figure(
            "Requests",
            "Requests answered per second. A sudden drop is as bad as errors: nobody gets through.",
            "requests/s",
            f"sum({context.rate('api.requests')})",
            empty="no traffic",
            links=[board_link("By endpoint", api, job="${job}")],
        ),
        figure(
            "Failing",
            "Share of requests answered with a 5xx status in five minutes. Red: users see errors.",
            "ratio",
            f"max({recorded.ratio('5m', of='errors')}{{{JOB}}})",
            watch=context.watch("HighApiErrorRate"),
            decimals=1,
            empty="no traffic",
            links=[board_link("By endpoint", api, job="${job}")],
        ),
        figure(
            "Slowest endpoint",
            "The worst p95 of all endpoints over five minutes. Above the limit one user in twenty waits too long there.",
            "seconds",
            f"max({recorded.p95_by_endpoint}{{{JOB}}})",
            watch=context.watch("HighApiResponseTime"),
            empty="no traffic",
            links=[board_link("By endpoint", api, job="${job}")],
        ),
        figure(
            "Error budget left",
            "What is left of the errors and slow answers that 30 days may have, the worse of both. Below 0: the objective is missed.",
            "ratio",
            f"min({recorded.budget_left(of='errors')}{{{JOB}}} or {recorded.budget_left(of='slow')}{{{JOB}}})",
            thresholds=[(None, "red"), (0, "orange"), (0.25, "green")],
            decimals=0,
            empty="no traffic",
            links=[board_link("Burn rates", api, job="${job}")],
        ),
        figure(
            "CPU",
            "CPU in use on the busiest host, averaged over five minutes. Above the limit answers get slower.",
            "percent",
            f"max(avg_over_time({context.select('cpu.usage')}[5m]))",
            watch=context.watch("HighCpuUsage"),
            decimals=0,
            empty="no data",
        ),
        figure(
            "Memory left",
            "Memory that can still be taken, as a share of all. Below the limit the kernel will soon kill a process.",
            "ratio",
            f"min(avg_over_time({context.select('memory.available')}[5m]) / {context.select('memory.total')})",
            watch=context.watch("LowMemoryAvailable"),
            decimals=0,
            empty="no data",
        ),
        figure(
            "Disk",
            "Space in use on the root filesystem. When it is full, databases and logs stop.",
            "percent",
            f"max({context.select('disk.usage')})",
            watch=context.watch("LowDiskSpace"),
            decimals=0,
            empty="no data",
        ),
    )


def _requests(context: BoardContext) -> tuple[Tile, ...]:
    limit = context.service.thresholds.p95_seconds
    latency_links = (
        traces_link("Slow traces in Jaeger", minDuration=f"{limit:g}s"),
        logs_link("Warnings and errors in Loki", '{service_name=~"${job}"} | detected_level=~"warn|error|critical"'),
    )
    return (
        series(
            "Requests by status class",
            "Answers per second. Red rising: the application fails. Orange rising: clients err, or somebody probes.",
            "requests/s",
            [Query(status_classes(context), "{{class}}")],
            stacked=True,
            colours=STATUS_COLOURS,
        ),
        series(
            "Failing requests",
            "Share of requests answered with a 5xx status. Above the dashed line for five minutes somebody is paged.",
            "ratio",
            [Query(context.share(context.rate("api.requests", FAILED), context.rate("api.requests")), "failing")],
            watch=context.watch("HighApiErrorRate"),
        ),
        series(
            "Response time",
            "How long half, 95 % and 99 % of the answers take at most, all endpoints together. A diamond is one request: click it for its trace.",
            "seconds",
            [
                Query(context.quantile(0.5), "p50"),
                Query(context.quantile(0.95), "p95", exemplars=True),
                Query(context.quantile(0.99), "p99"),
            ],
            watch=context.watch("HighApiResponseTime"),
            links=latency_links,
        ),
    )


def status_classes(context: BoardContext, *matchers: str) -> str:
    """Requests per second by 2xx, 3xx, 4xx and 5xx."""
    return f'sum by (class) (label_replace({context.rate("api.requests", *matchers)}, "class", "${{1}}xx", "status", "(.).."))'


def _wrong(context: BoardContext) -> tuple[Tile, ...]:
    service = context.service
    runbook = Link("Runbook", f"{service.runbooks_url}/${{__value.raw}}.md")
    firing = f'ALERTS{{alertstate="firing",service=~"{service.namespace}|telemetry",severity=~"critical|warning"}}'
    return (
        columns(
            "Alerts firing",
            "Every alert that fires now, of the application and of the monitoring itself. A click on a name opens its runbook.",
            {"alertname": "Alert", "severity": "Severity", "endpoint": "Endpoint"},
            [Column("Firing", "number", f"max by (alertname, severity, endpoint) ({firing})")],
            hidden=("Value",),
            empty="nothing is wrong",
            links=(runbook,),
            width=8,
        ),
        columns(
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
                    watch=context.watch("HighApiErrorRate"),
                    decimals=1,
                ),
                Column(
                    "p95",
                    "seconds",
                    f"{context.quantile(0.95, by=['endpoint'])} >= 0",
                    watch=context.watch("HighApiResponseTime"),
                ),
            ],
            watch=context.watch("HighApiResponseTime"),
            empty="no traffic",
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


def _host(context: BoardContext) -> tuple[Tile, ...]:
    return (
        series(
            "CPU over time",
            "CPU in use, of the container's quota or of the host. Near 100 % everything waits.",
            "percent",
            [Query(f"max by (job) ({context.select('cpu.usage')})", "CPU")],
            watch=context.watch("HighCpuUsage"),
            top=100,
        ),
        series(
            "Memory over time",
            "Memory in use and all there is. What lies between them is left; below the alert's share the kernel starts to kill.",
            "bytes",
            [
                Query(f"max by (job) ({context.select('memory.usage')})", "in use"),
                Query(f"max by (job) ({context.select('memory.total')})", "all"),
            ],
            dashed=("all",),
        ),
        series(
            "Disk over time",
            "Space in use on the root filesystem. A steady climb says when it will be full.",
            "percent",
            [Query(f"max by (job) ({context.select('disk.usage')})", "disk")],
            watch=context.watch("LowDiskSpace"),
            top=100,
        ),
    )


def _business(context: BoardContext) -> tuple[Tile | tuple[Tile, ...], ...]:
    service = context.service
    counted = {
        "keywords.analyzed": "keywords analyzed",
        "titles.generated": "titles generated",
        "content.generated": "articles generated",
        "api_keys.stored": "API keys stored",
    }
    success, failed = 'status="success"', 'status="failed"'
    return (
        series(
            "What was made",
            "Counts in each interval, about: Prometheus extrapolates. All at zero while requests come in: users get nothing done.",
            "count",
            [Query(f"sum(increase({context.select(metric)}[{INTERVAL}]))", name) for metric, name in counted.items()],
            bars=True,
            stacked=True,
            decimals=0,
            interval="1m",
            calcs=("sum",),
            width=11,
        ),
        series(
            "WordPress posts",
            "Posts per interval by result. Red: articles are written and do not appear.",
            "count",
            [
                Query(
                    f"sum by (status) (increase({context.select('wordpress.posts.published')}[{INTERVAL}]))",
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
            figure(
                "Failed posts",
                "Posts that did not reach WordPress in five minutes. Above the limit somebody is paged.",
                "count",
                f"round(sum(increase({context.select('wordpress.posts.published', failed)}[5m])))",
                watch=context.watch("WordPressPublishFailure"),
                decimals=0,
                empty="no data",
                links=[board_link("Business", service.board("business"), job="${job}")],
            ),
            figure(
                "Published today",
                "Posts that reached WordPress in 24 hours, about. Zero on a working day: nothing is published.",
                "count",
                f"round(sum(increase({context.select('wordpress.posts.published', success)}[24h])))",
                decimals=0,
                empty="no data",
                spark=False,
                links=[board_link("Business", service.board("business"), job="${job}")],
                height=5,
            ),
        ),
    )


def _logs() -> Tile:
    return lines(
        "Warnings and errors",
        "What the service wrote, newest first. A line with a trace id leads to its trace. Many lines of one kind: begin there.",
        '{service_name=~"$job"} | detected_level=~"warn|error|critical|fatal"',
    )
