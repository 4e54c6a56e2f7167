"""Every alert fires when it must and keeps quiet when it must, says what people need, and no careless edit passes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitoring.generate import ROOT
from monitoring.lint import rules as lint
from monitoring.parameters import BLOGAUTO
from monitoring.proof import promtool
from monitoring.proof.cases import TABLES, Table, cases
from monitoring.proof.rules import Mutant, all_mutants, find, isolated, rule_files, run_tables, survivors
from monitoring.rules.conditions import Compare, Every, Holds, mutants
from monitoring.rules.model import Alert, Recording, RuleFile
from monitoring.rules.write import rule_file
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
}


def test_the_promised_alerts_exist_with_their_severity(alerts: list[Alert]) -> None:
    severities = {alert.name: alert.severity for alert in alerts}
    assert {name: severities.get(name) for name in CONTRACT} == CONTRACT


def test_nothing_is_wrong_with_the_rules(files: tuple[RuleFile, RuleFile]) -> None:
    assert lint.problems(files, BLOGAUTO) == []


def test_nothing_is_wrong_with_the_rules_of_another_service() -> None:
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
    ("changes", "said"),
    [
        ({"condition": Holds("rate(blogauto_nonsense_total[5m]) > 1")}, "no metric is called blogauto_nonsense_total"),
        (
            {"condition": Holds('sum by (job) (rate(blogauto_errors_total{status="500"}[5m])) > 1')},
            "has no label status",
        ),
        ({"condition": Holds("sum(rate(blogauto_errors_total[5m])) > 1")}, "no label job"),
        ({"condition": Holds("sum by (job) (blogauto_errors_total) > 1")}, "is a counter and is read without rate()"),
        ({"condition": Holds("max by (job) (rate(blogauto_cpu_usage_percent[5m])) > 1")}, "which is a gauge"),
        ({"condition": Holds("sum by (job) (rate(blogauto_errors_total[30s])) > 1")}, "fewer than four scrapes"),
        ({"condition": Holds("sum without (instance) (rate(blogauto_errors_total[5m])) > 1")}, "aggregates `without`"),
        ({"condition": Holds("sum by (job) (rate(blogauto_errors_total[5m]))")}, "it compares nothing"),
        ({"condition": Holds("sum by (job ) rate(((")}, "not PromQL"),
        ({"condition": Holds('absent(up{job="x"})'), "wait": "30s"}, "absent() without a wait"),
        ({"labels": {"value": "{{ $value }}"}}, "a label with a template"),
        ({"summary": "{{ $labels.endpoint }} fails."}, "names the label endpoint"),
        ({"description": ""}, "no description"),
        ({"name": "high_error_rate"}, "its name or severity"),
        ({"name": "LowMemoryAvailable", "category": "saturation"}, "two rules write the same series"),
    ],
)
def test_lint_finds_what_is_wrong(files: tuple[RuleFile, RuleFile], changes: dict[str, Any], said: str) -> None:
    try:
        found = broken(files, **changes)
    except ValueError as error:  # what is not PromQL cannot be examined further
        found = [f"not PromQL: {error}"]
    assert any(said in problem for problem in found), found


@pytest.mark.parametrize(
    ("recording", "said"),
    [
        (Recording("blogauto_errors", "sum by (job) (rate(blogauto_errors_total[5m]))"), "level:metric:operations"),
        (Recording("job:x:rate5m", "sum by (job, type) (rate(blogauto_errors_total[5m]))"), "its name promises"),
        (
            Recording(
                "job:x:ratio",
                "sum by (job) (rate(blogauto_errors_total[5m])) / sum by (job) (rate(blogauto_errors_total[5m]))",
            ),
            "can be NaN",
        ),
    ],
)
def test_lint_finds_what_is_wrong_with_a_recording_rule(recording: Recording, said: str) -> None:
    file = replace(rule_files(BLOGAUTO)[0], groups=())
    group = replace(rule_files(BLOGAUTO)[0].groups[0], rules=(recording,))
    assert any(said in problem for problem in lint.problems((replace(file, groups=(group,)),), BLOGAUTO))


def test_every_rule_has_its_tests(alerts: list[Alert]) -> None:
    tested = Counter(id(find(table, BLOGAUTO)[1]) and (table.alert, *table.labels.values()) for table in TABLES)
    rules = Counter(
        (alert.name, *alert.labels.get("long", "").split(), *alert.labels.get("short", "").split()) for alert in alerts
    )
    assert tested == rules


@pytest.mark.parametrize("table", TABLES, ids=lambda table: "-".join((table.alert, *table.labels.values())))
def test_each_alert_is_tried_at_its_limit_below_it_while_it_waits_and_without_data(table: Table) -> None:
    if table.alert == "Watchdog":
        assert all(case.told for case in table.cases)
        return
    alert = find(table, BLOGAUTO)[1]
    fires = [case for case in table.cases if case.told]
    quiet = [case for case in table.cases if not case.told and not case.pending]
    assert len(table.cases) >= 4
    assert fires
    assert quiet
    assert alert.wait == "0s" or any(case.pending for case in table.cases)
    assert any(not case.series for case in table.cases) or table.alert == "BackendTelemetryAbsent"


@pytest.mark.stack
def test_promtool_accepts_the_committed_rules(programs: Programs) -> None:
    promtool.check_rules(programs.promtool, sorted((ROOT / "collector/backends/prometheus/rules").glob("*.yml")))


@pytest.mark.stack
@pytest.mark.slow
def test_every_alert_passes_its_unit_tests(programs: Programs) -> None:
    outcomes = run_tables(programs.promtool)
    assert [outcome.output for outcome in outcomes if not outcome.passed] == []
    print(f"unit tests {len(list(cases()))}")


@pytest.mark.stack
@pytest.mark.slow
def test_the_rules_of_another_service_pass_the_same_tests(programs: Programs, folder: Path) -> None:
    shop = BLOGAUTO.named("shop")
    outcomes = run_tables(programs.promtool, shop)
    assert [outcome.output for outcome in outcomes if not outcome.passed] == []
    path = folder / "shop.yml"
    path.write_text(rule_file(rule_files(shop)[0], shop))
    promtool.check_rules(programs.promtool, [path])


@pytest.mark.stack
@pytest.mark.slow
def test_no_wrong_rule_passes_the_unit_tests(programs: Programs) -> None:
    """Halved and doubled limits, flipped comparisons, dropped guards and waits, careless recordings: each must fail some test."""
    tried = all_mutants()
    alive = survivors(programs.promtool, tried)
    print(f"mutants killed {len(tried) - len(alive)} of {len(tried)}")
    assert alive == []
    assert len(tried) > 250


@pytest.mark.stack
def test_a_mutant_that_nobody_notices_would_be_reported(programs: Programs) -> None:
    table = next(table for table in TABLES if table.alert == "LowDiskSpace")
    harmless = Mutant("the rule as it is", ((table, isolated(table, BLOGAUTO)),))
    assert survivors(programs.promtool, [harmless]) == ["the rule as it is"]


def test_a_condition_is_mutated_in_each_of_its_parts() -> None:
    condition = Every((Compare("a", ">", 4), Compare("b", ">=", 1)))
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
