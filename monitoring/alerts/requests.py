"""Alerts about requests: slow answers, failures, refusals by the rate limit and failed logins."""

from __future__ import annotations

from typing import Final

from monitoring.alerts.definition import AlertDefinition, Case, ExpectedAlert, Trigger, UnitTests
from monitoring.alerts.samples import BACKEND, IDLE, JOB, alive, duration, failing, requests
from monitoring.parameters import Service, percent, promql_number
from monitoring.rules.conditions import And, Comparison
from monitoring.rules.model import Alert
from monitoring.rules.recorded import Recorded


def request_alerts(service: Service) -> tuple[AlertDefinition, ...]:
    """The alerts of this group, in the order of the rule file."""
    return (
        _high_api_response_time(service),
        _high_api_error_rate(service),
        _high_rate_limit_rejections(service),
        _auth_failure_spike(service),
    )


def _high_api_response_time(service: Service) -> AlertDefinition:
    recorded = Recorded(service)
    limits = service.thresholds
    endpoint = {"endpoint": "{{ $labels.endpoint | urlquery }}"}
    return AlertDefinition(
        Alert(
            name="HighApiResponseTime",
            severity="warning",
            category="latency",
            condition=And(
                (
                    Comparison(recorded.p95_by_endpoint, ">", limits.p95_seconds),
                    Comparison(f"{recorded.requests_by_endpoint} * 300", ">", limits.minimum_requests),
                )
            ),
            pending_for="5m",
            keep_firing_for="5m",
            summary="{{ $labels.endpoint }} is slow.",
            description=(
                f"The 95th percentile of the response time of {{{{ $labels.endpoint }}}} is {{{{ $value | humanizeDuration }}}};"
                f" the limit is {promql_number(limits.p95_seconds)} s."
            ),
            board="api",
            variables=endpoint,
            comment="Needs a minimum of traffic: one slow request to a rare endpoint is no incident.",
        ),
        Trigger("requests for articles while the AI provider is slow", ("slow",), drill=True),
        _HIGH_API_RESPONSE_TIME_TESTS,
    )


def _slow(share: float, rate: float = 3) -> dict[str, str]:
    """`rate` requests a step, of which `share` take 2 to 3 seconds."""
    return {
        **alive(),
        **requests("200", "/a", f"0+{rate}x400"),
        **duration("/a", f"0+{rate * (1 - share):g}x400", f"0+{rate:g}x400"),
    }


_HIGH_API_RESPONSE_TIME_TESTS: Final = UnitTests(
    "warning",
    "latency",
    "blogauto-api?var-endpoint=%2Fa",
    cases=(
        Case(
            "six of a hundred take longer than two seconds",
            _slow(0.06),
            "20m",
            (
                ExpectedAlert(
                    {**BACKEND, "endpoint": "/a"},
                    "/a is slow.",
                    "The 95th percentile of the response time of /a is 2.167s; the limit is 2 s.",
                ),
            ),
        ),
        Case("four of a hundred are below the limit", _slow(0.04), "20m"),
        Case(
            "all take nearly two seconds", {**_slow(0), **duration("/a", "0+3x400", "0+3x400", faster="0x400")}, "20m"
        ),
        Case(
            "twelve requests are enough",
            _slow(1, rate=0.6),
            "20m",
            (
                ExpectedAlert(
                    {**BACKEND, "endpoint": "/a"},
                    "/a is slow.",
                    "The 95th percentile of the response time of /a is 2.95s; the limit is 2 s.",
                ),
            ),
        ),
        Case("pending before five minutes", _slow(0.06), "4m", pending=True),
        Case("too few requests to a rare endpoint", _slow(1, rate=0.4), "20m"),
        Case(
            "bucket bounds as OTLP writes them",
            {
                **alive(),
                **requests("200", "/a", "0+3x400"),
                **duration("/a", "0+2.7x400", "0+3x400", zero=""),
            },
            "20m",
            (
                ExpectedAlert(
                    {**BACKEND, "endpoint": "/a"},
                    "/a is slow.",
                    "The 95th percentile of the response time of /a is 2.5s; the limit is 2 s.",
                ),
            ),
        ),
        Case("no traffic", IDLE, "20m"),
        Case("no data", {}, "20m"),
    ),
)


def _high_api_error_rate(service: Service) -> AlertDefinition:
    recorded = Recorded(service)
    limits = service.thresholds
    return AlertDefinition(
        Alert(
            name="HighApiErrorRate",
            severity="critical",
            category="errors",
            condition=And(
                (
                    Comparison(recorded.ratio("5m", of="errors"), ">", limits.error_ratio),
                    Comparison(f"{recorded.requests} * 300", ">", limits.minimum_requests),
                )
            ),
            pending_for="5m",
            keep_firing_for="5m",
            summary="{{ $value | humanizePercentage }} of the requests to {{ $labels.job }} fail.",
            description=(
                f"{{{{ $value | humanizePercentage }}}} of the requests were answered with a 5xx status in the last 5 minutes;"
                f" the limit is {percent(limits.error_ratio)}."
            ),
            board="api",
            comment="A ratio over all requests: errors of several endpoints and codes add up.",
        ),
        Trigger("requests to a page that answers 500", ("bugs",), drill=True, drill_phase=2),
        _HIGH_API_ERROR_RATE_TESTS,
    )


_HIGH_API_ERROR_RATE_TESTS: Final = UnitTests(
    "critical",
    "errors",
    "blogauto-api",
    cases=(
        Case(
            "six of a hundred fail",
            failing(0.06),
            "20m",
            (
                ExpectedAlert(
                    BACKEND,
                    "6% of the requests to blogauto-backend fail.",
                    "6% of the requests were answered with a 5xx status in the last 5 minutes; the limit is 5 %.",
                ),
            ),
        ),
        Case("exactly the limit is not above it", failing(0.0499), "20m"),
        Case("pending before five minutes", failing(0.06), "4m", pending=True),
        Case(
            "errors spread over endpoints and codes add up",
            {
                **alive(),
                **requests("200", "/a", "0+18x400"),
                **requests("500", "/a", "0+0.5x400"),
                **requests("502", "/b", "0+0.5x400"),
                **requests("503", "/c", "0+0.5x400"),
                **requests("504", "/d", "0+0.5x400"),
            },
            "20m",
            (
                ExpectedAlert(
                    BACKEND,
                    "10% of the requests to blogauto-backend fail.",
                    "10% of the requests were answered with a 5xx status in the last 5 minutes; the limit is 5 %.",
                ),
            ),
        ),
        Case(
            "twelve requests are enough",
            failing(0.5, rate=0.6),
            "20m",
            (
                ExpectedAlert(
                    BACKEND,
                    "50% of the requests to blogauto-backend fail.",
                    "50% of the requests were answered with a 5xx status in the last 5 minutes; the limit is 5 %.",
                ),
            ),
        ),
        Case("4xx responses do not count", {**alive(), **requests("404", "/a", "0+10x400")}, "20m"),
        Case("two requests a minute are too few", failing(1, rate=0.4), "20m"),
        Case("no traffic", IDLE, "20m"),
        Case("no data", {}, "20m"),
    ),
)


def _high_rate_limit_rejections(service: Service) -> AlertDefinition:
    limits = service.thresholds
    rejected = service.metric("rate_limit.rejected")
    return AlertDefinition(
        Alert(
            name="HighRateLimitRejections",
            severity="warning",
            category="security",
            condition=Comparison(f"sum by (job) (rate({rejected}[5m]))", ">", limits.rejections_per_second),
            pending_for="5m",
            keep_firing_for="5m",
            summary="The rate limit of {{ $labels.job }} rejects many requests.",
            description=(
                "{{ $value | humanize }} requests per second were rejected with status 429 in the last 5 minutes;"
                f" the limit is {promql_number(limits.rejections_per_second)}."
            ),
            board="security",
        ),
        Trigger(
            "requests faster than the rate limit",
            ("rate_limited",),
            drill=True,
            threshold=("rejections_per_second", 1, 1e6),  # a busy machine does not answer ten a second beside the rest
        ),
        _HIGH_RATE_LIMIT_REJECTIONS_TESTS,
    )


def _rejected(rate: float) -> dict[str, str]:
    half = rate * 15 / 2
    return {
        f'blogauto_rate_limit_rejected_total{{{JOB},endpoint="{endpoint}"}}': f"0+{half:g}x400"
        for endpoint in ("/a", "/b")
    }


_HIGH_RATE_LIMIT_REJECTIONS_TESTS: Final = UnitTests(
    "warning",
    "security",
    "blogauto-security",
    cases=(
        Case(
            "eleven a second over two endpoints",
            _rejected(11),
            "20m",
            (
                ExpectedAlert(
                    BACKEND,
                    "The rate limit of blogauto-backend rejects many requests.",
                    "11 requests per second were rejected with status 429 in the last 5 minutes; the limit is 10.",
                ),
            ),
        ),
        Case("nine and a half", _rejected(9.5), "20m"),
        Case("pending before five minutes", _rejected(11), "8m", pending=True),
        Case("nobody is refused", _rejected(0), "20m"),
        Case("no data", {}, "20m"),
    ),
)


def _auth_failure_spike(service: Service) -> AlertDefinition:
    limits = service.thresholds
    events = service.metric("security.events")
    logins = f'{service.metric("api.requests")}{{endpoint=~"{service.login_endpoints}"}}'
    failures = f'sum by (job) (increase({events}{{type="auth_failure"}}[5m]))'
    return AlertDefinition(
        Alert(
            name="AuthFailureSpike",
            severity="warning",
            category="security",
            condition=And(
                (
                    Comparison(failures, ">", limits.auth_failures),
                    Comparison(f"{failures} / sum by (job) (increase({logins}[5m]))", ">", limits.auth_failure_ratio),
                )
            ),
            pending_for="2m",
            keep_firing_for="5m",
            summary="Many logins to {{ $labels.job }} fail.",
            description=(
                "About {{ $value | humanize }} logins failed in 5 minutes, more than"
                f" {percent(limits.auth_failure_ratio)} of all attempts: somebody guesses passwords, or login is broken."
            ),
            board="security",
        ),
        Trigger("logins with wrong passwords", ("failed_logins",), drill=True),
        _AUTH_FAILURE_SPIKE_TESTS,
    )


def _logins(failed: float, tried: float) -> dict[str, str]:
    """Counts in five minutes."""
    return {
        f'blogauto_security_events_total{{{JOB},type="auth_failure"}}': f"0+{failed / 20:g}x400",
        **requests("401", "/api/auth/login", f"0+{failed / 20:g}x400", method="POST"),
        **requests("200", "/api/auth/login", f"0+{(tried - failed) / 20:g}x400", method="POST"),
    }


_AUTH_FAILURE_SPIKE_TESTS: Final = UnitTests(
    "warning",
    "security",
    "blogauto-security",
    cases=(
        Case(
            "forty of sixty logins fail",
            _logins(40, 60),
            "20m",
            (
                ExpectedAlert(
                    BACKEND,
                    "Many logins to blogauto-backend fail.",
                    "About 40 logins failed in 5 minutes, more than 50 % of all attempts:"
                    " somebody guesses passwords, or login is broken.",
                ),
            ),
        ),
        Case("twenty-eight failures are few", _logins(28, 40), "20m"),
        Case("forty failures among a hundred logins are usual", _logins(40, 100), "20m"),
        Case("pending before two minutes", {**alive(), **_logins(600, 650)}, "1m", pending=True),
        Case("nobody logs in", _logins(0, 0), "20m"),
        Case("no data", {}, "20m"),
    ),
)
