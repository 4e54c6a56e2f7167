"""Unit tests of the rules, and mutation tests: each alert is tested alone, and wrong versions of it must fail a test."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from monitoring.alerts.all import all_alerts
from monitoring.alerts.definition import AlertDefinition
from monitoring.parameters import BLOGAUTO, Service
from monitoring.rule_files import rule_files
from monitoring.rules.conditions import And, Expr, mutants
from monitoring.rules.model import Alert, RecordingRule, RuleFile
from monitoring.rules.write import rule_file
from monitoring.verification import promtool

# Careless edits of recording rules: a text, its replacement, and what that would mean.
RECORDING_MUTATIONS: Final = (
    ('status=~"5.."', 'status="500"', "only 500 counts as an error"),
    (" or 0 * ", " unless 0 * ", "the zero of a healthy service is lost"),
    ("2|2[.]0", "2[.]0", "only scraped buckets are found"),
    ("2|2[.]0", "2", "only pushed buckets are found"),
    ("unless", "and", "a new counter does not count with its first value"),
    ("and on (job, instance)", "or on (job, instance)", "an old counter seen for the first time counts as new"),
    ("histogram_quantile(0.95", "histogram_quantile(0.9", "another quantile"),
    ("sum by (job) (rate(", "max by (job) (rate(", "errors of several endpoints do not add up"),
    ("max by (job)", "min by (job)", "the oldest process instead of the newest"),
    ("group_left () max by", "group_left () min by", "the lag of the former reader counts"),
    ('outcome="success"', 'outcome=~".*"', "what Kafka did not take counts as written"),
    ('tier=~"gateway|sampler"', 'tier=~".*"', "agents should receive equally much"),
)

# The service's name in test files; the SDK's metrics about itself have the same name in every service.
_NAMESPACE: Final = re.compile(r"blogauto(?!_otel)")


@dataclass(frozen=True)
class Mutant:
    """One wrong version of a rule, in the file of each alert whose tests may fail; one of them must."""

    name: str
    trials: tuple[tuple[AlertDefinition, RuleFile], ...]


def run_unit_tests(promtool_path: Path, service: Service = BLOGAUTO) -> list[promtool.FileResult]:
    """Every unit test; those of another service differ by its namespace."""
    work = [(alert, file_with_only(alert, service)) for alert in all_alerts()]
    return _run(promtool_path, work, service)


def surviving_mutants(promtool_path: Path, tried: list[Mutant]) -> list[str]:
    """The names of the mutants that no test killed."""
    work = [trial for mutant in tried for trial in mutant.trials]
    results = iter(_run(promtool_path, work, BLOGAUTO))
    passed = [(mutant.name, [next(results).passed for _ in mutant.trials]) for mutant in tried]
    return [name for name, each in passed if all(each)]


def find(alert: AlertDefinition, service: Service) -> tuple[RuleFile, Alert]:
    """The rule of a service for an alert, and its file.

    Raises:
        LookupError: no rule has that name and those labels.
    """
    for file in rule_files(service):
        for rule in file.alerts:
            if rule.name == alert.name and alert.rule.labels.items() <= rule.labels.items():
                return file, rule
    raise LookupError(f"no rule file has {alert.title}: add its group to monitoring/alerts/all.py")


def file_with_only(alert: AlertDefinition, service: Service, *, instead: Alert | None = None) -> RuleFile:
    """One alert, or another in its place, and the recording rules it reads that the tests do not give as input."""
    file, rule = find(alert, service)
    given = {
        _NAMESPACE.sub(service.namespace, series.split("{")[0]) for case in alert.tests.cases for series in case.series
    }
    alone = file.only(rule, instead=instead)
    groups = (
        replace(group, rules=tuple(entry for entry in group.rules if entry.name not in given)) for group in alone.groups
    )
    return replace(alone, groups=tuple(group for group in groups if group.rules))


def all_mutants() -> list[Mutant]:
    """Every wrong version that is tried."""
    return [*_mutated_alerts(), *_mutated_recordings()]


def _mutated_alerts() -> Iterator[Mutant]:
    for alert in all_alerts():
        for name, wrong in _wrong_versions(alert.rule):
            yield Mutant(f"{alert.title}: {name}", ((alert, file_with_only(alert, BLOGAUTO, instead=wrong)),))


def _wrong_versions(rule: Alert) -> Iterator[tuple[str, Alert]]:
    for name, condition in mutants(rule.condition):
        yield name, replace(rule, condition=condition)
    if isinstance(rule.condition, Expr) and "absent" in str(rule.condition):
        yield "absent() dropped", replace(rule, condition=Expr(str(rule.condition)[len("absent(") : -1]))
    if isinstance(rule.condition, And):
        joined = " or ".join(map(str, rule.condition.parts))
        yield "'and' became 'or'", replace(rule, condition=Expr(joined))
    if rule.pending_for != "0s":
        yield "it fires at once", replace(rule, pending_for="0s")
    yield "another severity", replace(rule, severity="none" if rule.severity != "none" else "warning")


def _mutated_recordings() -> Iterator[Mutant]:
    trials: dict[str, list[tuple[AlertDefinition, RuleFile]]] = {}
    for alert in all_alerts():
        for name, wrong in _wrong_recordings(file_with_only(alert, BLOGAUTO)):
            trials.setdefault(name, []).append((alert, wrong))
    for name, tried in trials.items():
        yield Mutant(name, tuple(tried))


def _wrong_recordings(file: RuleFile) -> Iterator[tuple[str, RuleFile]]:
    for recording in file.recordings:
        for old, new, meaning in RECORDING_MUTATIONS:
            if old in recording.expression:
                wrong = replace(recording, expression=recording.expression.replace(old, new))
                name = " ".join((recording.name, *recording.labels.values()))
                yield f"{name}: {meaning}", _replaced(file, recording, wrong)


def _replaced(file: RuleFile, recording: RecordingRule, wrong: RecordingRule) -> RuleFile:
    groups = (
        replace(group, rules=tuple(wrong if rule is recording else rule for rule in group.rules))
        for group in file.groups
    )
    return replace(file, groups=tuple(groups))


def _run(path: Path, work: list[tuple[AlertDefinition, RuleFile]], service: Service) -> list[promtool.FileResult]:
    """Two processes of promtool, each with every second file."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        parts = [(Path(folder, str(index)), part) for index, part in enumerate((work[::2], work[1::2])) if part]
        results = list(pool.map(lambda part: _run_part(path, part[0], part[1], service), parts))
    return [result for pair in _interleaved(results) for result in pair]


def _interleaved(parts: list[list[promtool.FileResult]]) -> Iterator[list[promtool.FileResult]]:
    for index in range(len(parts[0])):
        yield [part[index] for part in parts if index < len(part)]


def _run_part(
    path: Path, folder: Path, work: list[tuple[AlertDefinition, RuleFile]], service: Service
) -> list[promtool.FileResult]:
    folder.mkdir()
    tests = {}
    for number, (alert, file) in enumerate(work):
        (folder / f"{number}.rules.yml").write_text(rule_file(file, service))
        text = promtool.test_file(alert, f"{number}.rules.yml", groups=[group.name for group in file.groups])
        tests[f"{number}.test.yml"] = _NAMESPACE.sub(service.namespace, text)
    return promtool.run(path, tests, folder)
