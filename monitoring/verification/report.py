"""The report of `python -m monitoring report`: what was generated, how many checks ran, and what failed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from monitoring.alerts.all import all_alerts
from monitoring.boards.all import boards
from monitoring.generate import ROOT, generated_files
from monitoring.lint import boards as board_lint
from monitoring.lint import logql
from monitoring.lint import rules as rule_lint
from monitoring.lint.queries import expanded
from monitoring.metrics import known_metrics
from monitoring.parameters import BLOGAUTO
from monitoring.repository_files import repository_files
from monitoring.rule_files import rule_files
from monitoring.rules.model import RuleFile
from monitoring.runbooks import fenced, runbooks
from monitoring.verification import panels, promtool
from monitoring.verification.day import record_day
from monitoring.verification.rules import all_mutants, run_unit_tests, surviving_mutants
from monitoring.verification.store import prometheus_with
from stack.processes import ensure_programs


def report() -> int:
    """Run every check and print the counts; 1 when one fails, with a line for each failure."""
    wrong: list[str] = []
    for counted, found in _checks():
        print(counted, flush=True)
        wrong += found
    for line in wrong:
        print(f"WRONG: {line}")
    print(f"warnings {len(wrong)}")
    return 1 if wrong else 0


def _checks() -> Iterator[tuple[str, list[str]]]:
    files = rule_files(BLOGAUTO)
    yield _rules(files)
    yield from _tests()
    yield _mutants()
    yield _boards(files)
    yield _queries()
    yield _logql(files)
    changed = [
        f"{path} differs from what the code writes: run `python -m monitoring generate`"
        for path, text in repository_files().items()
        if _differs(path, text)
    ]
    yield f"generated files {len(repository_files())}", changed


def _rules(files: tuple[RuleFile, ...]) -> tuple[str, list[str]]:
    names = {alert.name for file in files for alert in file.alerts}
    rules = sum(len(file.alerts) for file in files)
    recordings = sum(len(file.recordings) for file in files)
    return f"alerts {len(names)} ({rules} rules), recording rules {recordings}", rule_lint.problems(files, BLOGAUTO)


def _tests() -> Iterator[tuple[str, list[str]]]:
    results = run_unit_tests(ensure_programs().promtool)
    failed = [result.output for result in results if not result.passed]
    yield f"unit tests {sum(len(alert.tests.cases) for alert in all_alerts())}", failed
    paths = [ROOT / path for path in generated_files(BLOGAUTO) if "/rules/" in path]
    promtool.check_rules(ensure_programs().promtool, paths)


def _mutants() -> tuple[str, list[str]]:
    tried = all_mutants()
    alive = surviving_mutants(ensure_programs().promtool, tried)
    return f"mutants killed {len(tried) - len(alive)} of {len(tried)}", [f"survived: {name}" for name in alive]


def _boards(files: tuple[RuleFile, ...]) -> tuple[str, list[str]]:
    built = boards(BLOGAUTO)
    recorded = rule_lint.recorded_labels(files, known_metrics(BLOGAUTO))
    alerts = [alert for file in files for alert in file.alerts]
    found = board_lint.problems(built, known_metrics(BLOGAUTO), recorded, alerts)
    return f"boards {len(built)}, panels {sum(len(board_lint.panels(board)) for board in built.values())}", found


def _queries() -> tuple[str, list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "recording").mkdir()
        recorded = record_day(Path(folder) / "recording")
        with prometheus_with(recorded, Path(folder) / "full") as prometheus:
            full = list(panels.run_queries(prometheus, boards(BLOGAUTO)))
        with prometheus_with(None, Path(folder) / "empty") as prometheus:
            empty = list(panels.run_queries(prometheus, boards(BLOGAUTO)))
    results = [*full, *empty]
    found = [f"{one.board}: {one.panel['title']}: {problem}" for one in results for problem in one.problems]
    found += [f"{name} shows nothing of the recorded traffic" for name in panels.empty_panels(full)]
    return f"queries run {len(results)} ({len(full)} on recorded traffic, {len(empty)} on an empty Prometheus)", found


def _logql(files: tuple[RuleFile, ...]) -> tuple[str, list[str]]:
    built = boards(BLOGAUTO).values()
    queries = [expanded(target["expr"]) for board in built for _, target in board_lint.targets(board, "loki")]
    queries += [query for page in runbooks(BLOGAUTO, files).values() for query in fenced(page, "logql")]
    return f"LogQL queries parsed {len(queries)}", logql.problems(queries)


def _differs(path: str, text: str) -> bool:
    found = ROOT / path
    return not found.is_file() or found.read_text() != text
