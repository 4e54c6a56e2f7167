"""The board "Security": rate limit, logins, suspicious requests and rejected requests."""

from __future__ import annotations

from monitoring.boards.context import JOB, BoardContext
from monitoring.boards.layout import (
    INTERVAL,
    Column,
    PlacedPanel,
    Query,
    Row,
    bar_gauge_panel,
    logs_panel,
    stat_panel,
    table_panel,
    timeseries_panel,
)


def security(context: BoardContext) -> dict[str, object]:
    """The board about attacks and about limits that affect real users."""
    return context.board(
        "security",
        "Security",
        "Rate limit, blocked addresses, suspicious patterns and failed logins. Addresses are in the logs, never in labels.",
        (
            Row("", _answers(context)),
            Row("Rate limit", _rate_limit(context)),
            Row("Logins and patterns", _events(context)),
            Row("Rejected requests", _refused(context)),
            Row("Logs", (_logs(),)),
        ),
        (context.job_variable,),
    )


def _failures(context: BoardContext) -> str:
    return context.selector("security.events", 'type="auth_failure"')


def _answers(context: BoardContext) -> tuple[PlacedPanel, ...]:
    logins = context.selector("api.requests", f'endpoint=~"{context.service.login_endpoints}"')
    patterns = context.selector("security.events", 'type="suspicious_pattern"')
    return (
        stat_panel(
            "Rate limit rejections",
            "Requests rejected per minute over five minutes. Orange: a flood of requests, or a limit too low for real users.",
            "requests/min",
            f"60 * sum(rate({context.selector('rate_limit.rejected')}[5m]))",
            alert=context.threshold("HighRateLimitRejections", scale=60),
            decimals=1,
            no_value="none",
            width=4,
        ),
        stat_panel(
            "Blocked addresses",
            "Addresses blocked now, the highest number of any worker. A sudden increase: an attack, or a proxy that hides all users behind one address.",
            "count",
            f"max({context.selector('blocked_ips_total')})",
            decimals=0,
            no_value="none",
            width=4,
        ),
        stat_panel(
            "Failed logins, 5 min",
            "Failed logins in five minutes (approximate). Orange: if most logins fail, somebody guesses passwords.",
            "count",
            f"round(sum(increase({_failures(context)}[5m])))",
            alert=context.threshold("AuthFailureSpike"),
            decimals=0,
            no_value="none",
            width=4,
        ),
        stat_panel(
            "Failed logins, 1 h",
            "Ratio of logins that failed in an hour. Near 100 %: somebody guesses passwords, or login is broken.",
            "ratio",
            context.ratio(f"increase({_failures(context)}[1h])", f"increase({logins}[1h])"),
            thresholds=[(None, "green"), (context.service.thresholds.auth_failure_ratio, "orange")],
            decimals=0,
            no_value="no logins",
            width=4,
        ),
        stat_panel(
            "Suspicious patterns, 1 h",
            "Rejected requests that looked like an attack (approximate). Many: somebody searches for a vulnerability.",
            "count",
            f"round(sum(increase({patterns}[1h])))",
            decimals=0,
            no_value="none",
            width=4,
        ),
        stat_panel(
            "Rejected requests",
            "Ratio of requests answered with 401, 403 or 429.",
            "ratio",
            context.ratio(context.rate("api.requests", 'status=~"401|403|429"'), context.rate("api.requests")),
            decimals=1,
            no_value="no traffic",
            width=4,
        ),
    )


def _rate_limit(context: BoardContext) -> tuple[PlacedPanel, ...]:
    return (
        timeseries_panel(
            "Rejections by endpoint",
            "Requests rejected by the rate limit, per minute.",
            "requests/min",
            [Query(f"topk(10, {context.per_minute('rate_limit.rejected', by='endpoint')})", "{{endpoint}}")],
            alert=context.threshold("HighRateLimitRejections", scale=60),
            links=(context.endpoint_link,),
            calcs=("mean", "max"),
        ),
        timeseries_panel(
            "Rejected by the rate limit",
            "Ratio of requests that the rate limit rejected. A few per cent in normal traffic: the limit is too low.",
            "ratio",
            [Query(context.ratio(context.rate("rate_limit.rejected"), context.rate("api.requests")), "rejected")],
        ),
        timeseries_panel(
            "Blocked addresses over time",
            "Blocked addresses. The number falls as blocks expire.",
            "count",
            [Query(f"max by (job) ({context.selector('blocked_ips_total')})", "blocked")],
            decimals=0,
        ),
    )


def _events(context: BoardContext) -> tuple[PlacedPanel, ...]:
    logins = context.rate("api.requests", f'endpoint=~"{context.service.login_endpoints}"')
    failures = f"rate({_failures(context)}[{INTERVAL}])"
    return (
        timeseries_panel(
            "Security events by type",
            "Security events in each interval (approximate). Investigate a new type.",
            "count",
            [Query(f"sum by (type) (increase({context.selector('security.events')}[{INTERVAL}]))", "{{type}}")],
            bars=True,
            stacked=True,
            decimals=0,
            interval="1m",
            calcs=("sum", "max"),
        ),
        timeseries_panel(
            "Logins",
            "Login attempts and failed logins, per minute. Both rise: password guessing. Only failures rise: a broken client.",
            "per minute",
            [Query(f"60 * sum({logins})", "attempts"), Query(f"60 * sum({failures})", "failures")],
            colours={"failures": "red", "attempts": "blue"},
        ),
        bar_gauge_panel(
            "Events in 24 hours",
            "Security events by type (approximate).",
            "count",
            Query(
                f"sort_desc(sum by (type) (round(increase({context.selector('security.events')}[24h]))))", "{{type}}"
            ),
            decimals=0,
            no_value="none",
        ),
    )


def _refused(context: BoardContext) -> tuple[PlacedPanel, ...]:
    return (
        timeseries_panel(
            "401, 403 and 429",
            "Requests per minute answered with not logged in, not allowed, too many requests.",
            "requests/min",
            [Query(context.per_minute("api.requests", 'status=~"401|403|429"', by="status"), "{{status}}")],
            colours={"401": "blue", "403": "red", "429": "orange"},
            width=12,
        ),
        table_panel(
            "Endpoints with most rejections",
            "Rejected requests in 24 hours by endpoint and status (approximate).",
            {"endpoint": "Endpoint", "status": "Status"},
            [
                Column(
                    "Rejected",
                    "count",
                    "sort_desc(topk(10, sum by (endpoint, status) "
                    f"""(round(increase({context.service.metric("api.requests")}{{{JOB},status=~"401|403|429"}}[24h])))))""",
                    decimals=0,
                )
            ],
            no_value="none",
            sort="Rejected",
            width=12,
        ),
    )


def _logs() -> PlacedPanel:
    return logs_panel(
        "Logs about rejections",
        "Log records about blocks, rejected logins and suspicious patterns, with the address if the application logs it.",
        '{service_name=~"$job"} |~ "(?i)block|suspicious|refused|denied|forbidden" | detected_level=~"warn|error|critical"',
    )
