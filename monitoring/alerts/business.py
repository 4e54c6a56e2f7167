"""Alerts about what users want done: API keys stored, articles generated, posts published."""

from __future__ import annotations

from typing import Final

from monitoring.alerts.definition import AlertDefinition, Case, ExpectedAlert, Trigger, UnitTests
from monitoring.alerts.samples import BACKEND, JOB, alive, requests
from monitoring.parameters import Service, percent, promql_number
from monitoring.rules.conditions import And, Comparison
from monitoring.rules.model import Alert
from monitoring.rules.recorded import Recorded


def business_alerts(service: Service) -> tuple[AlertDefinition, ...]:
    """The alerts of this group, in the order of the rule file."""
    return (
        _api_key_storage_failure(service),
        _content_generation_failure(service),
        _wordpress_publish_failure(service),
        _wordpress_publishing_stopped(service),
    )


def _api_key_storage_failure(service: Service) -> AlertDefinition:
    recorded = Recorded(service)
    limits = service.thresholds
    return AlertDefinition(
        Alert(
            name="ApiKeyStorageFailure",
            severity="critical",
            category="business",
            condition=Comparison(f"round({recorded.secure_failures})", ">", limits.secure_failures),
            pending_for="1m",
            keep_firing_for="5m",
            summary="API keys cannot be stored in {{ $labels.job }}.",
            description=(
                "{{ $value }} requests to the secure endpoints failed with a 5xx status in 5 minutes;"
                f" the limit is {promql_number(limits.secure_failures)}."
            ),
            board="business",
            comment="5xx only: a wrong key (400) or a missing login (401) is the user's error. Counts are rounded because"
            " increase() extrapolates: five become 5.26. `for` is short: a burst leaves the window after 5 minutes.",
        ),
        Trigger("API keys that cannot be verified", ("api_key_failures",), drill=True),
        _API_KEY_STORAGE_FAILURE_TESTS,
    )


def _secure(failures: str, status: str = "502") -> dict[str, str]:
    return {**alive(), **requests(status, "/api/secure/api-keys", failures, method="POST")}


_API_KEY_STORAGE_FAILURE_TESTS: Final = UnitTests(
    "critical",
    "business",
    "blogauto-business",
    cases=(
        Case(
            "the counter appears with six failures",
            _secure("_x40 6x400"),
            "12m",
            (
                ExpectedAlert(
                    BACKEND,
                    "API keys cannot be stored in blogauto-backend.",
                    "6 requests to the secure endpoints failed with a 5xx status in 5 minutes; the limit is 5.",
                ),
            ),
        ),
        Case(
            "six more within five minutes",
            _secure("3x40 3+2x3 9x400"),
            "13m",
            (
                ExpectedAlert(
                    BACKEND,
                    "API keys cannot be stored in blogauto-backend.",
                    "6 requests to the secure endpoints failed with a 5xx status in 5 minutes; the limit is 5.",
                ),
            ),
        ),
        Case("five are not more than five", _secure("_x40 5x400"), "12m"),
        Case("five more, which increase() alone calls 5.26", _secure("3x40 8x400"), "13m"),
        Case("pending before one minute", _secure("_x40 6x400"), "10m30s", pending=True),
        Case("4xx responses do not count", _secure("_x40 60x400", status="400"), "12m"),
        Case(
            "an old process that Prometheus sees for the first time",
            {
                f"blogauto_keywords_analyzed_total{{{JOB}}}": "_x40 0x400",
                **requests("502", "/api/secure/api-keys", "_x40 600x400", method="POST"),
            },
            "12m",
        ),
        Case("no traffic", _secure("600x400"), "20m"),
        Case("no data", {}, "20m"),
    ),
)


def _content_generation_failure(service: Service) -> AlertDefinition:
    recorded = Recorded(service)
    limits = service.thresholds
    return AlertDefinition(
        Alert(
            name="ContentGenerationFailure",
            severity="critical",
            category="business",
            condition=And(
                (
                    Comparison(
                        f"{recorded.generation_failures} / {recorded.generations}", ">", limits.content_failure_ratio
                    ),
                    Comparison(f"round({recorded.generations})", ">=", limits.minimum_generations),
                )
            ),
            pending_for="2m",
            keep_firing_for="5m",
            summary="{{ $value | humanizePercentage }} of the content generation requests fail.",
            description=(
                "{{ $value | humanizePercentage }} of the content generation requests failed with a 5xx status in 10 minutes;"
                f" the limit is {percent(limits.content_failure_ratio)}."
            ),
            board="business",
            comment="Failures and requests come from one counter, so the ratio never exceeds 1.",
        ),
        Trigger("requests for articles that the AI provider rejects", ("content_failures",), drill=True, drill_phase=2),
        _CONTENT_GENERATION_FAILURE_TESTS,
    )


def _generated(failed: str, succeeded: str) -> dict[str, str]:
    where = "/api/content/generate"
    return {
        **alive(),
        **requests("502", where, failed, method="POST"),
        **requests("200", where, succeeded, method="POST"),
    }


_CONTENT_GENERATION_FAILURE_TESTS: Final = UnitTests(
    "critical",
    "business",
    "blogauto-business",
    cases=(
        Case(
            "one of eight fails",
            _generated("0+0.25x400", "0+1.75x400"),
            "30m",
            (
                ExpectedAlert(
                    BACKEND,
                    "12.5% of the content generation requests fail.",
                    "12.5% of the content generation requests failed with a 5xx status in 10 minutes; the limit is 10 %.",
                ),
            ),
        ),
        Case(
            "both counters appear within the window",
            _generated("_x80 2x400", "_x80 4x400"),
            "24m",
            (
                ExpectedAlert(
                    BACKEND,
                    "33.33% of the content generation requests fail.",
                    "33.33% of the content generation requests failed with a 5xx status in 10 minutes; the limit is 10 %.",
                ),
            ),
        ),
        Case("one of eleven is usual", _generated("0+0.2x400", "0+2x400"), "30m"),
        Case("pending before two minutes", _generated("_x80 2x400", "_x80 4x400"), "21m", pending=True),
        Case(
            "an old process that Prometheus sees for the first time",
            {
                f"blogauto_keywords_analyzed_total{{{JOB}}}": "_x80 0x400",
                **requests("502", "/api/content/generate", "_x80 600x400", method="POST"),
                **requests("200", "/api/content/generate", "_x80 600+1x400", method="POST"),
            },
            "24m",
        ),
        Case(
            "an old process, seen for the first time, fails now",
            {
                f"blogauto_keywords_analyzed_total{{{JOB}}}": "_x80 0x400",
                **requests("502", "/api/content/generate", "_x80 600+1x400", method="POST"),
                **requests("200", "/api/content/generate", "_x80 600x400", method="POST"),
            },
            "25m",
            (
                ExpectedAlert(
                    BACKEND,
                    "100% of the content generation requests fail.",
                    "100% of the content generation requests failed with a 5xx status in 10 minutes; the limit is 10 %.",
                ),
            ),
        ),
        Case("three requests are too few", _generated("_x80 3x400", "_x80 0x400"), "24m"),
        Case("no traffic", _generated("60x400", "60x400"), "30m"),
        Case("no data", {}, "30m"),
    ),
)


def _wordpress_publish_failure(service: Service) -> AlertDefinition:
    limits = service.thresholds
    published = service.metric("wordpress.posts.published")
    failed = f'{published}{{status="failed"}}'
    return AlertDefinition(
        Alert(
            name="WordPressPublishFailure",
            severity="critical",
            category="business",
            condition=Comparison(f"round(sum by (job) (increase({failed}[5m])))", ">", limits.publish_failures),
            pending_for="1m",
            keep_firing_for="5m",
            summary="Publishing to WordPress fails.",
            description=(
                f"{{{{ $value }}}} posts could not be published in 5 minutes; the limit is {promql_number(limits.publish_failures)}."
            ),
            board="business",
        ),
        Trigger("posts that the WordPress site rejects", ("wordpress_failures",), drill=True),
        _WORDPRESS_PUBLISH_FAILURE_TESTS,
    )


def _published(failed: str, succeeded: str) -> dict[str, str]:
    name = "blogauto_wordpress_posts_published_total"
    return {f'{name}{{{JOB},status="failed"}}': failed, f'{name}{{{JOB},status="success"}}': succeeded}


_WORDPRESS_PUBLISH_FAILURE_TESTS: Final = UnitTests(
    "critical",
    "business",
    "blogauto-business",
    cases=(
        Case(
            "four posts fail in five minutes",
            _published("0x40 0+1x4 4x400", "0+1x400"),
            "13m",
            (
                ExpectedAlert(
                    BACKEND,
                    "Publishing to WordPress fails.",
                    "4 posts could not be published in 5 minutes; the limit is 3.",
                ),
            ),
        ),
        Case("three, which increase() alone calls 3.16", _published("0x40 0+1x3 3x400", "0+1x400"), "13m"),
        Case("pending before one minute", _published("0x40 4x400", "0+1x400"), "10m30s", pending=True),
        Case("posts are published", _published("0x400", "0+1x400"), "20m"),
        Case("no traffic", _published("9x400", "9x400"), "20m"),
        Case("no data", {}, "20m"),
    ),
)


def _wordpress_publishing_stopped(service: Service) -> AlertDefinition:
    limits = service.thresholds
    published = service.metric("wordpress.posts.published")
    failed, succeeded = f'{published}{{status="failed"}}', f'{published}{{status="success"}}'
    return AlertDefinition(
        Alert(
            name="WordPressPublishingStopped",
            severity="warning",
            category="business",
            condition=And(
                (
                    Comparison(f"round(sum by (job) (increase({failed}[1h])))", ">=", limits.publish_attempts),
                    Comparison(f"sum by (job) (increase({succeeded}[1h]))", "==", 0),
                )
            ),
            pending_for="2m",
            keep_firing_for="15m",
            summary="Nothing was published for an hour.",
            description="{{ $value }} attempts to publish a post failed in the last hour, and none succeeded.",
            board="business",
            comment="For blogs that publish a few posts an hour, which never reach the limit of WordPressPublishFailure.",
        ),
        Trigger("only posts that the site rejects, for an hour", ("wordpress_failures",)),
        _WORDPRESS_PUBLISHING_STOPPED_TESTS,
    )


_WORDPRESS_PUBLISHING_STOPPED_TESTS: Final = UnitTests(
    "warning",
    "business",
    "blogauto-business",
    cases=(
        Case(
            "three failed posts in an hour and none that arrived",
            _published("0x60 1x60 2x60 3x400", "7x600"),
            "65m",
            (
                ExpectedAlert(
                    BACKEND,
                    "Nothing was published for an hour.",
                    "3 attempts to publish a post failed in the last hour, and none succeeded.",
                ),
            ),
        ),
        Case("two failed posts are below the limit", _published("0x60 1x60 2x400", "7x600"), "65m"),
        Case("one post was published", _published("0x60 1x60 2x60 3x400", "7x100 8x600"), "65m"),
        Case("pending before two minutes", _published("0x60 1x60 2x60 3x400", "7x600"), "46m30s", pending=True),
        Case("nobody publishes", _published("3x600", "7x600"), "65m"),
        Case("no data", {}, "65m"),
    ),
)
