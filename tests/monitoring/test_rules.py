"""Rules: lint, unit tests run by promtool, and mutation tests."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitoring.alerts.all import APPLICATION, TELEMETRY, all_alerts
from monitoring.alerts.definition import AlertDefinition
from monitoring.generate import ROOT
from monitoring.lint import rules as lint
from monitoring.parameters import BLOGAUTO
from monitoring.rule_files import rule_files
from monitoring.rules.conditions import And, Comparison, Expr, mutants
from monitoring.rules.model import Alert, RecordingRule, RuleFile
from monitoring.rules.write import rule_file
from monitoring.verification import promtool
from monitoring.verification.rules import Mutant, all_mutants, file_with_only, run_unit_tests, surviving_mutants
from stack.processes import Programs

CONTRACT = {
    "HighApiResponseTime": "warning",
    "HighApiErrorRate": "critical",
    "HighRateLimitRejections": "warning",
    "ApiKeyStorageFailure": "critical",
    "ContentGenerationFailure": "critical",
    "WordPressPublishFailure": "critical",
    "HighCpuUsage": "warning",
    "LowMemoryAvailable": "critical",
    "LowDiskSpace": "warning",
    "BackendServiceDown": "critical",
    "DatabaseConnectionDown": "critical",
    "RedisConnectionDown": "critical",
    "FrontendServiceDown": "critical",
    "BackendRestarting": "warning",
    "AiProviderErrors": "warning",
    "AiProviderRateLimited": "warning",
    "AiCostBudget": "warning",
    "AiLatency": "warning",
    "DatabasePoolExhausted": "critical",
    "SlowDatabase": "warning",
    "EventLoopBlocked": "warning",
}


def test_the_promised_alerts_exist_with_their_severity(alerts: list[Alert]) -> None:
    severities = {alert.name: alert.severity for alert in alerts}
    assert {name: severities.get(name) for name in CONTRACT} == CONTRACT


def test_lint_finds_nothing_in_the_rules(files: tuple[RuleFile, RuleFile]) -> None:
    assert lint.problems(files, BLOGAUTO) == []


def test_lint_finds_nothing_in_the_rules_of_another_service() -> None:
    shop = BLOGAUTO.named("shop")
    assert lint.problems(rule_files(shop), shop) == []


def broken(files: tuple[RuleFile, RuleFile], **changes: Any) -> list[str]:
    """What lint says when the first alert is changed."""
    file = files[0]
    alert = next(alert for alert in file.alerts if alert.name == "HighApiErrorRate")
    groups = tuple(
        replace(group, rules=tuple(replace(rule, **changes) if rule is alert else rule for rule in group.rules))
        for group in file.groups
    )
    return lint.problems((replace(file, groups=groups), files[1]), BLOGAUTO)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"condition": Expr("rate(blogauto_nonsense_total[5m]) > 1")}, "no metric is called blogauto_nonsense_total"),
        (
            {"condition": Expr('sum by (job) (rate(blogauto_errors_total{status="500"}[5m])) > 1')},
            "has no label status",
        ),
        ({"condition": Expr("sum(rate(blogauto_errors_total[5m])) > 1")}, "no label job"),
        ({"condition": Expr("sum by (job) (blogauto_errors_total) > 1")}, "is a counter and is read without rate()"),
        ({"condition": Expr("max by (job) (rate(blogauto_cpu_usage_percent[5m])) > 1")}, "which is a gauge"),
        ({"condition": Expr("sum by (job) (rate(blogauto_errors_total[30s])) > 1")}, "fewer than four scrapes"),
        ({"condition": Expr("sum without (instance) (rate(blogauto_errors_total[5m])) > 1")}, "aggregates `without`"),
        ({"condition": Expr("sum by (job) (rate(blogauto_errors_total[5m]))")}, "it compares nothing"),
        ({"condition": Expr("sum by (job ) rate(((")}, "not PromQL"),
        ({"condition": Expr('absent(up{job="x"})'), "pending_for": "30s"}, "absent() without a wait"),
        ({"labels": {"value": "{{ $value }}"}}, "a label with a template"),
        ({"summary": "{{ $labels.endpoint }} fails."}, "names the label endpoint"),
        ({"description": ""}, "no description"),
        ({"name": "high_error_rate"}, "its name is not CamelCase"),
        ({"name": "LowMemoryAvailable", "category": "saturation"}, "two rules write the same series"),
    ],
)
def test_lint_finds_what_is_wrong(files: tuple[RuleFile, RuleFile], changes: dict[str, Any], message: str) -> None:
    try:
        found = broken(files, **changes)
    except ValueError as error:  # what is not PromQL cannot be examined further
        found = [f"not PromQL: {error}"]
    assert any(message in problem for problem in found), found


@pytest.mark.parametrize(
    ("recording", "message"),
    [
        (RecordingRule("blogauto_errors", "sum by (job) (rate(blogauto_errors_total[5m]))"), "level:metric:operations"),
        (RecordingRule("job:x:rate5m", "sum by (job, type) (rate(blogauto_errors_total[5m]))"), "its name promises"),
        (
            RecordingRule(
                "job:x:ratio",
                "sum by (job) (rate(blogauto_errors_total[5m])) / sum by (job) (rate(blogauto_errors_total[5m]))",
            ),
            "can be NaN",
        ),
    ],
)
def test_lint_finds_what_is_wrong_with_a_recording_rule(recording: RecordingRule, message: str) -> None:
    file = replace(rule_files(BLOGAUTO)[0], groups=())
    group = replace(rule_files(BLOGAUTO)[0].groups[0], rules=(recording,))
    assert any(message in problem for problem in lint.problems((replace(file, groups=(group,)),), BLOGAUTO))


def test_every_group_module_is_registered() -> None:
    """An alert in a module that is not registered would never reach Prometheus."""
    modules = {path.stem for path in (ROOT / "monitoring/alerts").glob("*.py")} - {
        "__init__",
        "all",
        "definition",
        "samples",
    }
    registered = {
        make.__module__.rsplit(".", 1)[1]
        for groups in (APPLICATION, TELEMETRY)
        for makers in groups.values()
        for make in makers
    }
    missing = [
        f"monitoring/alerts/{name}.py has no row in monitoring/alerts/all.py" for name in sorted(modules - registered)
    ]
    assert missing == []


def test_every_alert_of_a_module_is_listed() -> None:
    """A function that defines an alert and is missing from its module's list would never reach Prometheus."""
    listed = {alert.name for alert in all_alerts()}
    for path in (ROOT / "monitoring/alerts").glob("*.py"):
        for name in re.findall(r'^ +name="(\w+)",$', path.read_text(), re.MULTILINE):
            assert name in listed, f"{path.relative_to(ROOT)} defines {name}, and its *_alerts() does not return it"


def test_every_alert_is_in_a_rule_file(alerts: list[Alert]) -> None:
    assert sorted(alert.title for alert in all_alerts()) == sorted(
        " ".join((alert.name, *alert.labels.values())) for alert in alerts
    )


@pytest.mark.parametrize("alert", all_alerts(), ids=lambda alert: alert.title)
def test_each_alert_has_a_firing_a_quiet_a_pending_and_an_empty_case(alert: AlertDefinition) -> None:
    cases = alert.tests.cases
    if alert.name == "Watchdog":
        assert all(case.expected for case in cases)
        return
    assert len(cases) >= 4, f"{alert.name} needs at least four cases in {module_of(alert)}"
    assert any(case.expected for case in cases), f"no case of {alert.name} in {module_of(alert)} expects it to fire"
    assert any(not case.expected and not case.pending for case in cases), f"no quiet case in {module_of(alert)}"
    assert alert.rule.pending_for == "0s" or any(case.pending for case in cases), (
        f"no pending case in {module_of(alert)}"
    )
    assert any(not case.series for case in cases) or alert.name == "BackendTelemetryAbsent", (
        f"no case without data in {module_of(alert)}"
    )


def module_of(alert: AlertDefinition) -> str:
    """The file that defines an alert."""
    for path in sorted((ROOT / "monitoring/alerts").glob("*.py")):
        if f'"{alert.name}"' in path.read_text():
            return str(path.relative_to(ROOT))
    return "monitoring/alerts"


@pytest.mark.stack
def test_promtool_accepts_the_committed_rules(programs: Programs) -> None:
    promtool.check_rules(programs.promtool, sorted((ROOT / "collector/backends/prometheus/rules").glob("*/*.yml")))


@pytest.mark.stack
@pytest.mark.slow
def test_every_alert_passes_its_unit_tests(programs: Programs) -> None:
    results = run_unit_tests(programs.promtool)
    assert [result.output for result in results if not result.passed] == []
    print(f"unit tests {sum(len(alert.tests.cases) for alert in all_alerts())}")


@pytest.mark.stack
@pytest.mark.slow
def test_the_rules_of_another_service_pass_the_same_tests(programs: Programs, folder: Path) -> None:
    shop = BLOGAUTO.named("shop")
    results = run_unit_tests(programs.promtool, shop)
    assert [result.output for result in results if not result.passed] == []
    path = folder / "shop.yml"
    path.write_text(rule_file(rule_files(shop)[0], shop))
    promtool.check_rules(programs.promtool, [path])


@pytest.mark.stack
@pytest.mark.slow
def test_every_mutant_is_killed_by_a_unit_test(programs: Programs) -> None:
    """Halved and doubled limits, flipped comparisons, dropped guards and waits, careless recordings: each must fail some test."""
    tried = all_mutants()
    survived = surviving_mutants(programs.promtool, tried)
    print(f"mutants killed {len(tried) - len(survived)} of {len(tried)}")
    assert survived == []
    assert len(tried) > 250


@pytest.mark.stack
def test_a_mutant_that_no_test_kills_is_reported(programs: Programs) -> None:
    alert = next(alert for alert in all_alerts() if alert.name == "LowDiskSpace")
    harmless = Mutant("the rule as it is", ((alert, file_with_only(alert, BLOGAUTO)),))
    assert surviving_mutants(programs.promtool, [harmless]) == ["the rule as it is"]


def test_a_condition_is_mutated_in_each_of_its_parts() -> None:
    condition = And((Comparison("a", ">", 4), Comparison("b", ">=", 1)))
    assert {name: str(wrong) for name, wrong in mutants(condition)} == {
        "without 'a > 4'": "b >= 1",
        "without 'b >= 1'": "a > 4",
        "half of 'a > 4'": "a > 2 and b >= 1",
        "twice 'a > 4'": "a > 8 and b >= 1",
        "'a > 4' flipped": "a < 4 and b >= 1",
        "half of 'b >= 1'": "a > 4 and b >= 0.5",
        "twice 'b >= 1'": "a > 4 and b >= 2",
        "'b >= 1' flipped": "a > 4 and b < 1",
    }
