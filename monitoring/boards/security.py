"""Security: who is refused, who guesses passwords, who probes."""

from __future__ import annotations

from monitoring.boards.context import JOB, BoardContext
from monitoring.boards.layout import INTERVAL, Column, Query, Row, Tile, columns, figure, lines, ranking, series


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
    return context.select("security.events", 'type="auth_failure"')


def _answers(context: BoardContext) -> tuple[Tile, ...]:
    logins = context.select("api.requests", f'endpoint=~"{context.service.login_endpoints}"')
    patterns = context.select("security.events", 'type="suspicious_pattern"')
    return (
        figure(
            "Rate limit refusals",
            "Requests refused per second over five minutes. Orange: somebody floods us, or the limit is too tight for real users.",
            "requests/s",
            f"sum(rate({context.select('rate_limit.rejected')}[5m]))",
            watch=context.watch("HighRateLimitRejections"),
            decimals=1,
            empty="none",
            width=4,
        ),
        figure(
            "Blocked addresses",
            "Addresses kept out now, the most that any worker knows. A sudden crowd: an attack, or a proxy that hides everybody behind one address.",
            "count",
            f"max({context.select('blocked_ips_total')})",
            decimals=0,
            empty="none",
            width=4,
        ),
        figure(
            "Failed logins, 5 min",
            "Logins that failed, about. Orange, if they are also most of the logins: somebody guesses passwords.",
            "count",
            f"round(sum(increase({_failures(context)}[5m])))",
            watch=context.watch("AuthFailureSpike"),
            decimals=0,
            empty="none",
            width=4,
        ),
        figure(
            "Share of logins that fail",
            "Failed logins among those tried in an hour. Near 100 %: guessing, or logging in is broken.",
            "ratio",
            context.share(f"increase({_failures(context)}[1h])", f"increase({logins}[1h])"),
            thresholds=[(None, "green"), (context.service.thresholds.auth_failure_ratio, "orange")],
            decimals=0,
            empty="no logins",
            width=4,
        ),
        figure(
            "Suspicious patterns, 1 h",
            "Requests that looked like an attack, about. They were refused; many of them mean that somebody searches for a hole.",
            "count",
            f"round(sum(increase({patterns}[1h])))",
            decimals=0,
            empty="none",
            width=4,
        ),
        figure(
            "Refused of all",
            "Share of requests answered with 401, 403 or 429.",
            "ratio",
            context.share(context.rate("api.requests", 'status=~"401|403|429"'), context.rate("api.requests")),
            decimals=1,
            empty="no traffic",
            width=4,
        ),
    )


def _rate_limit(context: BoardContext) -> tuple[Tile, ...]:
    return (
        series(
            "Refusals by endpoint",
            "Requests refused by the rate limit, per second.",
            "requests/s",
            [Query(f"topk(10, sum by (endpoint) ({context.rate('rate_limit.rejected')}))", "{{endpoint}}")],
            watch=context.watch("HighRateLimitRejections"),
            links=(context.endpoint_link,),
            calcs=("mean", "max"),
        ),
        series(
            "Refused share of requests",
            "Of all requests, those that the rate limit refused. A few per cent of ordinary traffic: the limit is too tight.",
            "ratio",
            [Query(context.share(context.rate("rate_limit.rejected"), context.rate("api.requests")), "refused")],
        ),
        series(
            "Blocked addresses over time",
            "How many are kept out. It falls as blocks expire.",
            "count",
            [Query(f"max by (job) ({context.select('blocked_ips_total')})", "blocked")],
            decimals=0,
        ),
    )


def _events(context: BoardContext) -> tuple[Tile, ...]:
    logins = context.rate("api.requests", f'endpoint=~"{context.service.login_endpoints}"')
    failures = f"rate({_failures(context)}[{INTERVAL}])"
    return (
        series(
            "Security events by type",
            "What the application reported, per interval, about. A type never seen before deserves a look.",
            "count",
            [Query(f"sum by (type) (increase({context.select('security.events')}[{INTERVAL}]))", "{{type}}")],
            bars=True,
            stacked=True,
            decimals=0,
            interval="1m",
            calcs=("sum", "max"),
        ),
        series(
            "Logins",
            "Logins tried and failed, per second. Both rising together: guessing. Failed alone rising: a broken client.",
            "per second",
            [Query(f"sum({logins})", "tried"), Query(f"sum({failures})", "failed")],
            colours={"failed": "red", "tried": "blue"},
        ),
        ranking(
            "Events in 24 hours",
            "Security events by type, about.",
            "count",
            Query(f"sort_desc(sum by (type) (round(increase({context.select('security.events')}[24h]))))", "{{type}}"),
            decimals=0,
            empty="none",
        ),
    )


def _refused(context: BoardContext) -> tuple[Tile, ...]:
    return (
        series(
            "401, 403 and 429",
            "Answers per second: not logged in, not allowed, too many.",
            "requests/s",
            [Query(f"""sum by (status) ({context.rate("api.requests", 'status=~"401|403|429"')})""", "{{status}}")],
            colours={"401": "blue", "403": "red", "429": "orange"},
            width=12,
        ),
        columns(
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
            empty="none",
            sort="Refused",
            width=12,
        ),
    )


def _logs() -> Tile:
    return lines(
        "Refusals in the logs",
        "Lines about blocks, refused logins and suspicious patterns, with the address where the application logs it.",
        '{service_name=~"$job"} |~ "(?i)block|suspicious|refused|denied|forbidden" | detected_level=~"warn|error|critical"',
    )
