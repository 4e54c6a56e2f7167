"""The proof of the rules: every table against its rule alone, and against wrong versions of it that a test must notice."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from monitoring.parameters import BLOGAUTO, Service
from monitoring.proof import promtool
from monitoring.proof.cases import TABLES, Table
from monitoring.rules.application import application_rules
from monitoring.rules.conditions import Every, Holds, mutants
from monitoring.rules.model import Alert, Recording, RuleFile
from monitoring.rules.telemetry import telemetry_rules
from monitoring.rules.write import rule_file

# Careless edits of what is recorded: text, its replacement, and what that would mean.
CARELESS: Final = (
    ('status=~"5.."', 'status="500"', "only 500 counts as an error"),
    (" or 0 * ", " unless 0 * ", "the zero of a healthy service is lost"),
    ("2|2[.]0", "2[.]0", "only scraped buckets are found"),
    ("2|2[.]0", "2", "only pushed buckets are found"),
    ("unless", "and", "a new counter does not count with its first value"),
    ("and on (job, instance)", "or on (job, instance)", "an old counter seen for the first time counts as new"),
    ("histogram_quantile(0.95", "histogram_quantile(0.9", "another quantile"),
    ("sum by (job) (rate(", "max by (job) (rate(", "errors of several endpoints do not add up"),
    ("max by (job)", "min by (job)", "the oldest process instead of the newest"),
)

# The service's name in the tables; metrics of the SDK about itself are called the same in every service.
_OURS: Final = re.compile(r"blogauto(?!_otel)")


@dataclass(frozen=True)
class Mutant:
    """One wrong version of a rule, in the file of each table that may notice; one of them must."""

    name: str
    trials: tuple[tuple[Table, RuleFile], ...]


def rule_files(service: Service) -> tuple[RuleFile, RuleFile]:
    """All rules: of the service, and of the monitoring itself."""
    return application_rules(service), telemetry_rules(service)


def run_tables(promtool_path: Path, service: Service = BLOGAUTO) -> list[promtool.Outcome]:
    """Every unit test; tables and rules of another service differ by its namespace."""
    work = [(table, isolated(table, service)) for table in TABLES]
    return _judge(promtool_path, work, service)


def survivors(promtool_path: Path, tried: list[Mutant]) -> list[str]:
    """The names of the mutants that no test noticed."""
    work = [trial for mutant in tried for trial in mutant.trials]
    outcomes = iter(_judge(promtool_path, work, BLOGAUTO))
    verdicts = [(mutant.name, [next(outcomes).passed for _ in mutant.trials]) for mutant in tried]
    return [name for name, passed in verdicts if all(passed)]


def find(table: Table, service: Service) -> tuple[RuleFile, Alert]:
    """The rule that a table tests, and its file.

    Raises:
        LookupError: there is none of that name and those labels.
    """
    for file in rule_files(service):
        for alert in file.alerts:
            if alert.name == table.alert and table.labels.items() <= alert.labels.items():
                return file, alert
    raise LookupError(f"no rule for the tests of {table.alert} {dict(table.labels)}")


def isolated(table: Table, service: Service, *, instead: Alert | None = None) -> RuleFile:
    """The rule that a table tests, or another in its place, and what it reads, except for what the table gives as recorded already."""
    file, alert = find(table, service)
    given = {_OURS.sub(service.namespace, series.split("{")[0]) for case in table.cases for series in case.series}
    alone = file.only(alert, instead=instead)
    groups = (
        replace(group, rules=tuple(rule for rule in group.rules if rule.name not in given)) for group in alone.groups
    )
    return replace(alone, groups=tuple(group for group in groups if group.rules))


def all_mutants() -> list[Mutant]:
    """Every wrong version that is tried."""
    return [*_wrong_alerts(), *_wrong_recordings()]


def _wrong_alerts() -> Iterator[Mutant]:
    for table in TABLES:
        for name, wrong in _versions(find(table, BLOGAUTO)[1]):
            yield Mutant(f"{_title(table)}: {name}", ((table, isolated(table, BLOGAUTO, instead=wrong)),))


def _versions(alert: Alert) -> Iterator[tuple[str, Alert]]:
    for name, condition in mutants(alert.condition):
        yield name, replace(alert, condition=condition)
    if isinstance(alert.condition, Holds) and "absent" in str(alert.condition):
        yield "absent() dropped", replace(alert, condition=Holds(str(alert.condition)[len("absent(") : -1]))
    if isinstance(alert.condition, Every):
        joined = " or ".join(map(str, alert.condition.parts))
        yield "'and' became 'or'", replace(alert, condition=Holds(joined))
    if alert.wait != "0s":
        yield "it does not wait", replace(alert, wait="0s")
    yield "another severity", replace(alert, severity="none" if alert.severity != "none" else "warning")


def _wrong_recordings() -> Iterator[Mutant]:
    trials: dict[str, list[tuple[Table, RuleFile]]] = {}
    for table in TABLES:
        for name, wrong in _careless(isolated(table, BLOGAUTO)):
            trials.setdefault(name, []).append((table, wrong))
    for name, tried in trials.items():
        yield Mutant(name, tuple(tried))


def _careless(file: RuleFile) -> Iterator[tuple[str, RuleFile]]:
    for recording in file.recordings:
        for old, new, meaning in CARELESS:
            if old in recording.expression:
                wrong = replace(recording, expression=recording.expression.replace(old, new))
                yield f"{_name(recording)}: {meaning}", _exchanged(file, recording, wrong)


def _name(recording: Recording) -> str:
    return " ".join((recording.name, *recording.labels.values()))


def _exchanged(file: RuleFile, recording: Recording, wrong: Recording) -> RuleFile:
    groups = (
        replace(group, rules=tuple(wrong if rule is recording else rule for rule in group.rules))
        for group in file.groups
    )
    return replace(file, groups=tuple(groups))


def _title(table: Table) -> str:
    return " ".join((table.alert, *table.labels.values()))


def _judge(path: Path, work: list[tuple[Table, RuleFile]], service: Service) -> list[promtool.Outcome]:
    half = (len(work) + 1) // 2
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        parts = [(Path(folder, str(index)), part) for index, part in enumerate((work[::2], work[1::2])) if part]
        outcomes = list(pool.map(lambda part: _judge_part(path, part[0], part[1], service), parts))
    assert len(outcomes[0]) == half
    return [outcome for pair in _interleaved(outcomes) for outcome in pair]


def _interleaved(parts: list[list[promtool.Outcome]]) -> Iterator[list[promtool.Outcome]]:
    for index in range(len(parts[0])):
        yield [part[index] for part in parts if index < len(part)]


def _judge_part(
    path: Path, folder: Path, work: list[tuple[Table, RuleFile]], service: Service
) -> list[promtool.Outcome]:
    folder.mkdir()
    tests = {}
    for number, (table, file) in enumerate(work):
        (folder / f"{number}.rules.yml").write_text(rule_file(file, service))
        text = promtool.test_file(table, f"{number}.rules.yml", groups=[group.name for group in file.groups])
        tests[f"{number}.test.yml"] = _OURS.sub(service.namespace, text)
    return promtool.run(path, tests, folder)
