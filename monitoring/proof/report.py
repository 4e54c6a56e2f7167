"""One page of counts: what was generated, what was tried, and what was wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from monitoring.boards.all import boards
from monitoring.generate import ROOT, everything
from monitoring.lint import boards as board_lint
from monitoring.lint import logql
from monitoring.lint import rules as rule_lint
from monitoring.lint.queries import expanded
from monitoring.metrics import known
from monitoring.parameters import BLOGAUTO
from monitoring.proof import hour, panels, promtool
from monitoring.proof.cases import TABLES
from monitoring.proof.rules import all_mutants, rule_files, run_tables, survivors
from monitoring.proof.store import stored
from monitoring.rules.model import RuleFile
from monitoring.runbooks import fenced, runbooks
from stack.processes import ensure_programs


def report() -> int:
    """Prove and count; 1 when something is wrong, each thing on a line of its own."""
    wrong: list[str] = []
    for counted, found in _proofs():
        print(counted, flush=True)
        wrong += found
    for line in wrong:
        print(f"WRONG: {line}")
    print(f"warnings {len(wrong)}")
    return 1 if wrong else 0


def _proofs() -> Iterator[tuple[str, list[str]]]:
    files = rule_files(BLOGAUTO)
    yield _rules(files)
    yield from _tests()
    yield _mutants()
    yield _boards(files)
    yield _queries()
    yield _logql(files)
    changed = [f"{path} is not as the code says" for path, text in everything(BLOGAUTO).items() if _differs(path, text)]
    yield f"generated files {len(everything(BLOGAUTO))}", changed


def _rules(files: tuple[RuleFile, ...]) -> tuple[str, list[str]]:
    names = {alert.name for file in files for alert in file.alerts}
    rules = sum(len(file.alerts) for file in files)
    recordings = sum(len(file.recordings) for file in files)
    return f"alerts {len(names)} ({rules} rules), recording rules {recordings}", rule_lint.problems(files, BLOGAUTO)


def _tests() -> Iterator[tuple[str, list[str]]]:
    outcomes = run_tables(ensure_programs().promtool)
    failed = [outcome.output for outcome in outcomes if not outcome.passed]
    yield f"unit tests {sum(len(table.cases) for table in TABLES)}", failed
    paths = [ROOT / path for path in everything(BLOGAUTO) if "/rules/" in path]
    promtool.check_rules(ensure_programs().promtool, paths)


def _mutants() -> tuple[str, list[str]]:
    tried = all_mutants()
    alive = survivors(ensure_programs().promtool, tried)
    return f"mutants killed {len(tried) - len(alive)} of {len(tried)}", [f"survived: {name}" for name in alive]


def _boards(files: tuple[RuleFile, ...]) -> tuple[str, list[str]]:
    built = boards(BLOGAUTO)
    recorded = rule_lint.recorded_labels(files, known(BLOGAUTO))
    alerts = [alert for file in files for alert in file.alerts]
    found = board_lint.problems(built, known(BLOGAUTO), recorded, alerts)
    return f"boards {len(built)}, panels {sum(len(board_lint.panels(board)) for board in built.values())}", found


def _queries() -> tuple[str, list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "hour").mkdir()
        lived = hour.live(Path(folder) / "hour")
        with stored(Path(folder) / "full", lived) as prometheus:
            full = list(panels.ask(prometheus, boards(BLOGAUTO)))
        with stored(Path(folder) / "empty", None) as prometheus:
            empty = list(panels.ask(prometheus, boards(BLOGAUTO)))
    asked = [*full, *empty]
    found = [f"{one.board}: {one.panel['title']}: {problem}" for one in asked for problem in one.problems]
    found += [f"{name} shows nothing of the hour" for name in panels.missing(full)]
    return f"queries run {len(asked)} ({len(full)} with the replayed hour, {len(empty)} with nothing)", found


def _logql(files: tuple[RuleFile, ...]) -> tuple[str, list[str]]:
    built = boards(BLOGAUTO).values()
    queries = [expanded(target["expr"]) for board in built for _, target in board_lint.targets(board, "loki")]
    queries += [query for page in runbooks(BLOGAUTO, files).values() for query in fenced(page, "logql")]
    return f"LogQL queries parsed {len(queries)}", logql.problems(queries)


def _differs(path: str, text: str) -> bool:
    found = ROOT / path
    return not found.is_file() or found.read_text() != text
