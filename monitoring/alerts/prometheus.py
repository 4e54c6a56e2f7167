"""Alerts about Prometheus itself, and the Watchdog that always fires."""

from __future__ import annotations

from typing import Final

from monitoring.alerts.definition import AlertDefinition, Case, ExpectedAlert, Trigger, stop_command
from monitoring.alerts.samples import failing, telemetry_tests
from monitoring.parameters import PROMETHEUS_JOB, Service
from monitoring.rules.conditions import Comparison, Expr
from monitoring.rules.model import Alert


def prometheus_alerts(_service: Service) -> tuple[AlertDefinition, ...]:
    """The alerts of this group, in the order of the rule file."""
    return (
        _prometheus_rule_evaluation_failures(),
        _watchdog(),
    )


def _prometheus_rule_evaluation_failures() -> AlertDefinition:
    failures = f'prometheus_rule_evaluation_failures_total{{job="{PROMETHEUS_JOB}"}}'
    return AlertDefinition(
        Alert(
            name="PrometheusRuleEvaluationFailures",
            severity="warning",
            category="telemetry",
            condition=Comparison(f"sum by (job) (increase({failures}[5m]))", ">", 0),
            pending_for="5m",
            keep_firing_for="5m",
            summary="Prometheus fails to evaluate rules.",
            description="Some rules fail, so alerts may be missing. Prometheus lists them at /rules.",
            board="telemetry",
        ),
        Trigger(
            "add a rule with a many-to-many match in its own file, and remove the file afterwards",
            command="printf 'groups: [{name: broken, rules: [{record: broken, expr: \"up * on () up\"}]}]' > collector/backends/prometheus/rules/en/broken.yml",
        ),
        _PROMETHEUS_RULE_EVALUATION_FAILURES_TESTS,
    )


def _rule_failures(values: str) -> dict[str, str]:
    where = 'job="prometheus",instance="p:9090",rule_group="rules/x.yml;x"'
    return {f"prometheus_rule_evaluation_failures_total{{{where}}}": values}


_PROMETHEUS_RULE_EVALUATION_FAILURES_TESTS: Final = telemetry_tests(
    "warning",
    Case(
        "a rule fails at each evaluation",
        _rule_failures("0+1x400"),
        "12m",
        (
            ExpectedAlert(
                {"job": "prometheus"},
                "Prometheus fails to evaluate rules.",
                "Some rules fail, so alerts may be missing. Prometheus lists them at /rules.",
            ),
        ),
    ),
    Case("none fails", _rule_failures("7x400"), "12m"),
    Case("pending before five minutes", _rule_failures("0+1x400"), "4m", pending=True),
    Case("no data", {}, "12m"),
)


def _watchdog() -> AlertDefinition:
    return AlertDefinition(
        Alert(
            name="Watchdog",
            severity="none",
            category="telemetry",
            condition=Expr("vector(1)"),
            labels={"job": PROMETHEUS_JOB},
            summary="Alert delivery works.",
            description="This alert always fires. When it stops arriving, alert delivery is broken.",
            board="telemetry",
        ),
        Trigger("it always fires; to try its silence, stop Prometheus", command=stop_command("prometheus")),
        _WATCHDOG_TESTS,
    )


_ALWAYS: Final = (
    ExpectedAlert(
        {"job": "prometheus"},
        "Alert delivery works.",
        "This alert always fires. When it stops arriving, alert delivery is broken.",
    ),
)

_WATCHDOG_TESTS: Final = telemetry_tests(
    "none",
    Case("always", {}, "1m", _ALWAYS),
    Case("during failures", failing(1), "20m", _ALWAYS),
)
