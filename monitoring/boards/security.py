"""Security: who is refused, who guesses passwords, who probes."""

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
    """The board for people who mean harm, and for limits that hurt the others."""
    return context.board(
        "security",
        "Security",
        "Rate limit, blocked addresses, suspicious patterns and failed logins. No address is a label: they are in the logs.",
        (
            Row("", _answers(context)),
            Row("Rate limit", _rate_limit(context)),
            Row("Logins and patterns", _events(context)),
            Row("Refused answers", _refused(context)),
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
            "Rate limit refusals",
            "Requests refused per second over five minutes. Orange: somebody floods us, or the limit is too tight for real users.",
            "requests/s",
            f"sum(rate({context.selector('rate_limit.rejected')}[5m]))",
            alert=context.threshold("HighRateLimitRejections"),
            decimals=1,
            no_value="none",
            width=4,
        ),
        stat_panel(
            "Blocked addresses",
            "Addresses kept out now, the most that any worker knows. A sudden crowd: an attack, or a proxy that hides everybody behind one address.",
            "count",
            f"max({context.selector('blocked_ips_total')})",
            decimals=0,
            no_value="none",
            width=4,
        ),
        stat_panel(
            "Failed logins, 5 min",
            "Logins that failed, about. Orange, if they are also most of the logins: somebody guesses passwords.",
            "count",
            f"round(sum(increase({_failures(context)}[5m])))",
            alert=context.threshold("AuthFailureSpike"),
            decimals=0,
            no_value="none",
            width=4,
        ),
        stat_panel(
            "Share of logins that fail",
            "Failed logins among those tried in an hour. Near 100 %: guessing, or logging in is broken.",
            "ratio",
            context.ratio(f"increase({_failures(context)}[1h])", f"increase({logins}[1h])"),
            thresholds=[(None, "green"), (context.service.thresholds.auth_failure_ratio, "orange")],
            decimals=0,
            no_value="no logins",
            width=4,
        ),
        stat_panel(
            "Suspicious patterns, 1 h",
            "Requests that looked like an attack, about. They were refused; many of them mean that somebody searches for a hole.",
            "count",
            f"round(sum(increase({patterns}[1h])))",
            decimals=0,
            no_value="none",
            width=4,
        ),
        stat_panel(
            "Refused of all",
            "Share of requests answered with 401, 403 or 429.",
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
            "Refusals by endpoint",
            "Requests refused by the rate limit, per second.",
            "requests/s",
            [Query(f"topk(10, sum by (endpoint) ({context.rate('rate_limit.rejected')}))", "{{endpoint}}")],
            alert=context.threshold("HighRateLimitRejections"),
            links=(context.endpoint_link,),
            calcs=("mean", "max"),
        ),
        timeseries_panel(
            "Refused share of requests",
            "Of all requests, those that the rate limit refused. A few per cent of ordinary traffic: the limit is too tight.",
            "ratio",
            [Query(context.ratio(context.rate("rate_limit.rejected"), context.rate("api.requests")), "refused")],
        ),
        timeseries_panel(
            "Blocked addresses over time",
            "How many are kept out. It falls as blocks expire.",
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
            "What the application reported, per interval, about. A type never seen before deserves a look.",
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
            "Logins tried and failed, per second. Both rising together: guessing. Failed alone rising: a broken client.",
            "per second",
            [Query(f"sum({logins})", "tried"), Query(f"sum({failures})", "failed")],
            colours={"failed": "red", "tried": "blue"},
        ),
        bar_gauge_panel(
            "Events in 24 hours",
            "Security events by type, about.",
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
            "Answers per second: not logged in, not allowed, too many.",
            "requests/s",
            [Query(f"""sum by (status) ({context.rate("api.requests", 'status=~"401|403|429"')})""", "{{status}}")],
            colours={"401": "blue", "403": "red", "429": "orange"},
            width=12,
        ),
        table_panel(
            "Endpoints that refuse most",
            "Refused requests in 24 hours by endpoint and status, about.",
            {"endpoint": "Endpoint", "status": "Status"},
            [
                Column(
                    "Refused",
                    "count",
                    "sort_desc(topk(10, sum by (endpoint, status) "
                    f"""(round(increase({context.service.metric("api.requests")}{{{JOB},status=~"401|403|429"}}[24h])))))""",
                    decimals=0,
                )
            ],
            no_value="none",
            sort="Refused",
            width=12,
        ),
    )


def _logs() -> PlacedPanel:
    return logs_panel(
        "Refusals in the logs",
        "Lines about blocks, refused logins and suspicious patterns, with the address where the application logs it.",
        '{service_name=~"$job"} |~ "(?i)block|suspicious|refused|denied|forbidden" | detected_level=~"warn|error|critical"',
    )
