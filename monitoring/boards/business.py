"""Business: what users get done, by hour and by day, and what keeps them from it."""

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
    """The board for those who care about articles, not requests."""
    return context.board(
        "business",
        "Business",
        "Counts over named windows are about right, not exact: Prometheus extrapolates them.",
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
                f"{name.capitalize()} made in 24 hours. Zero on a working day: users get nothing done.",
                "count",
                _total(context, metric),
                decimals=0,
                no_value="no data",
                sparkline=False,
            )
            for metric, name in MADE.items()
        ),
        stat_panel(
            "Published",
            "Posts that reached WordPress in 24 hours.",
            "count",
            _total(context, posts, SUCCESS),
            decimals=0,
            no_value="no data",
            sparkline=False,
        ),
        stat_panel(
            "Failed posts, 5 min",
            "Posts that did not reach WordPress. Red: more than the limit in five minutes.",
            "count",
            _total(context, posts, FAILURE, window="5m"),
            alert=context.threshold("WordPressPublishFailure"),
            decimals=0,
            no_value="no data",
        ),
        stat_panel(
            "Generation failing",
            "Share of content generation requests that failed in ten minutes. Red: the AI provider or its key is the first suspect.",
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
            "Failed keys, 5 min",
            "Requests to the secure endpoints that failed. Red: users cannot store their API keys.",
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
            sparkline=False,
        ),
    )


def _content(context: BoardContext) -> tuple[PlacedPanel, ...]:
    def made(window: str) -> list[Query]:
        return [Query(f"sum(increase({context.selector(metric)}[{window}]))", name) for metric, name in MADE.items()]

    return (
        timeseries_panel(
            "By hour",
            "What was made in each hour, about. An hour without a bar while people work: look at the alerts.",
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
            "What was made on each of the last 30 days, about.",
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
            "Posts tried in each hour, about, by result. Red: they are written and do not appear.",
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
            "Of the posts tried in an hour, those that arrived. Below 100 %: a site refuses, or its password changed.",
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
            "From articles to posts",
            "Articles written and posts published in each hour, about. A widening gap: articles pile up unpublished.",
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
            "Keys stored, about, by the service they are for.",
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
            "How long one in twenty of the named operations takes at least. A provider that slows down shows here first.",
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
            "Named operations that ended in an exception, per second, by operation and class.",
            "per second",
            [Query(f"sum by (operation, type) ({context.rate('operation.errors')})", "{{operation}} {{type}}")],
            calcs=("mean", "max"),
        ),
    )


def _logs() -> PlacedPanel:
    return logs_panel(
        "Articles, posts and keys in the logs",
        "Errors about generating, publishing and storing, newest first. The line names the site or provider.",
        '{service_name=~"$job"} |~ "(?i)article|publish|key|provider" | detected_level=~"warn|error|critical"',
    )
