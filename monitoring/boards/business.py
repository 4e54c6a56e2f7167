"""The board "Business": articles, posts and keys by hour and day, and their failures."""

from __future__ import annotations

from monitoring.boards.context import FAILED, BoardContext
from monitoring.boards.layout import (
    INTERVAL,
    PlacedPanel,
    Query,
    Row,
    bar_gauge_panel,
    logs_panel,
    stat_panel,
    timeseries_panel,
)

MADE = {
    "content.generated": "articles",
    "titles.generated": "titles",
    "keywords.analyzed": "keywords",
}
SUCCESS, FAILURE = 'status="success"', 'status="failed"'


def business(context: BoardContext) -> dict[str, object]:
    """The board about articles and posts instead of requests."""
    return context.board(
        "business",
        "Business",
        "Counts are approximate: Prometheus extrapolates them.",
        (
            Row("Last 24 hours", _today(context)),
            Row("Content", _content(context)),
            Row("WordPress", _wordpress(context)),
            Row("Providers and keys", _providers(context)),
            Row("Logs", (_logs(),)),
        ),
        (context.job_variable,),
        time_from="now-24h",
    )


def _total(context: BoardContext, metric: str, *matchers: str, window: str = "24h") -> str:
    return f"round(sum(increase({context.selector(metric, *matchers)}[{window}])))"


def _today(context: BoardContext) -> tuple[PlacedPanel, ...]:
    posts = "wordpress.posts.published"
    generate = f'endpoint=~"{context.service.content_endpoints}"'
    return (
        *(
            stat_panel(
                name.capitalize(),
                f"{name.capitalize()} made in 24 hours. Zero on a working day: the feature is broken.",
                "count",
                _total(context, metric),
                decimals=0,
                no_value="no data",
            )
            for metric, name in MADE.items()
        ),
        stat_panel(
            "Published",
            "Posts published to WordPress in 24 hours.",
            "count",
            _total(context, posts, SUCCESS),
            decimals=0,
            no_value="no data",
        ),
        stat_panel(
            "Failed posts, 5 m",
            "Posts that failed to publish in five minutes. Red: above the limit.",
            "count",
            _total(context, posts, FAILURE, window="5m"),
            alert=context.threshold("WordPressPublishFailure"),
            decimals=0,
            no_value="no data",
        ),
        stat_panel(
            "Generation failing",
            "Ratio of content generation requests that failed in ten minutes. Red: check the AI provider and its key first.",
            "ratio",
            context.ratio(
                f"increase({context.selector('api.requests', FAILED, generate)}[10m])",
                f"increase({context.selector('api.requests', generate)}[10m])",
            ),
            alert=context.threshold("ContentGenerationFailure"),
            decimals=0,
            no_value="none tried",
        ),
        stat_panel(
            "Failed keys, 5 m",
            "Requests to the secure endpoints that failed in five minutes. Red: users cannot store API keys.",
            "count",
            f'round(max({context.recorded.secure_failures}{{job=~"$job"}}))',
            alert=context.threshold("ApiKeyStorageFailure"),
            decimals=0,
            no_value="none",
        ),
        stat_panel(
            "Keys stored",
            "API keys stored in 24 hours.",
            "count",
            _total(context, "api_keys.stored"),
            decimals=0,
            no_value="no data",
        ),
    )


def _content(context: BoardContext) -> tuple[PlacedPanel, ...]:
    def made(window: str) -> list[Query]:
        return [Query(f"sum(increase({context.selector(metric)}[{window}]))", name) for metric, name in MADE.items()]

    return (
        timeseries_panel(
            "By hour",
            "Approximate counts for each hour. An hour without a bar during working hours: look at the alerts.",
            "count",
            made("1h"),
            bars=True,
            stacked=True,
            decimals=0,
            interval="1h",
            calcs=("sum", "max"),
            width=12,
        ),
        timeseries_panel(
            "By day",
            "Approximate counts for each of the last 30 days.",
            "count",
            made("1d"),
            bars=True,
            stacked=True,
            decimals=0,
            interval="1d",
            time_from="30d",
            calcs=("sum", "max"),
            width=12,
        ),
    )


def _wordpress(context: BoardContext) -> tuple[PlacedPanel, ...]:
    posts = "wordpress.posts.published"
    return (
        timeseries_panel(
            "Posts by hour",
            "Attempts to publish in each hour by result (approximate). Red: articles are not published.",
            "count",
            [Query(f"sum by (status) (increase({context.selector(posts)}[1h]))", "{{status}}")],
            bars=True,
            stacked=True,
            decimals=0,
            interval="1h",
            colours={"success": "green", "failed": "red"},
            calcs=("sum",),
        ),
        timeseries_panel(
            "Success rate",
            "Ratio of successful attempts to publish in an hour. Below 100 %: a site rejects posts, or its password changed.",
            "ratio",
            [
                Query(
                    context.ratio(
                        f"increase({context.selector(posts, SUCCESS)}[1h])", f"increase({context.selector(posts)}[1h])"
                    ),
                    "success",
                )
            ],
            maximum=1,
            colours={"success": "green"},
        ),
        timeseries_panel(
            "Articles and posts",
            "Articles generated and posts published in each hour (approximate). A growing difference: articles stay unpublished.",
            "count",
            [
                Query(f"sum(increase({context.selector('content.generated')}[1h]))", "articles"),
                Query(f"sum(increase({context.selector(posts, SUCCESS)}[1h]))", "posts"),
            ],
            decimals=0,
            interval="5m",
        ),
    )


def _providers(context: BoardContext) -> tuple[PlacedPanel, ...]:
    durations = context.selector("operation.duration", suffix="_bucket")
    return (
        bar_gauge_panel(
            "API keys by service, 30 days",
            "API keys stored, by their service (approximate).",
            "count",
            Query(
                f"sort_desc(sum by (service) (round(increase({context.selector('api_keys.stored')}[30d]))))",
                "{{service}}",
            ),
            decimals=0,
            no_value="none",
            time_from="30d",
        ),
        timeseries_panel(
            "Operations: p95",
            "95th percentile of the duration of named operations. A slow provider shows here first.",
            "seconds",
            [
                Query(
                    f"histogram_quantile(0.95, sum by (operation, le) (rate({durations}[{INTERVAL}])))",
                    "{{operation}}",
                )
            ],
            calcs=("mean", "max"),
        ),
        timeseries_panel(
            "Operations: errors",
            "Named operations that raised an exception, per minute, by operation and class.",
            "per minute",
            [Query(context.per_minute("operation.errors", by="operation, type"), "{{operation}} {{type}}")],
            no_value="none",
            calcs=("mean", "max"),
        ),
    )


def _logs() -> PlacedPanel:
    return logs_panel(
        "Logs about articles, posts and keys",
        "Warnings and errors about generating, publishing and storing, newest first. The line names the site or provider.",
        '{service_name=~"$job"} |~ "(?i)article|publish|key|provider" | detected_level=~"warn|error|critical"',
    )
