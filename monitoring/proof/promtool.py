"""promtool at work: the tables as its test files, all run by one process."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from monitoring.proof.cases import BOARDS, RUNBOOKS, Case, Table, Told

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten times as fast, where libyaml is there


@dataclass(frozen=True)
class Outcome:
    """What promtool said about one test file."""

    file: str
    passed: bool
    output: str


def test_file(table: Table, rules: str, *, groups: Sequence[str]) -> str:
    """The tests of a table against a rule file. `groups` in order: what is recorded must exist before it is used."""
    document = {
        "rule_files": [rules],
        "evaluation_interval": table.cases[0].every,
        "group_eval_order": list(groups),
        "tests": [_test(table, case) for case in table.cases],
    }
    return yaml.dump(document, Dumper=_DUMPER, sort_keys=False, width=1000)


def _test(table: Table, case: Case) -> dict[str, Any]:
    pending = [{"labels": "{}", "value": 1}] if case.pending else []
    waiting = (
        f'group(ALERTS{{alertname="{table.alert}",alertstate="pending",severity="{table.severity}"{_static(table)}}})'
    )
    return {
        "name": f"{table.alert}{''.join(f' {value}' for value in table.labels.values())}: {case.name}",
        "interval": case.step,
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "alert_rule_test": [
            {"eval_time": case.at, "alertname": table.alert, "exp_alerts": [_alert(table, told) for told in case.told]}
        ],
        "promql_expr_test": [] if case.told else [{"expr": waiting, "eval_time": case.at, "exp_samples": pending}],
    }


def _static(table: Table) -> str:
    return "".join(f',{name}="{value}"' for name, value in table.labels.items())


def _alert(table: Table, told: Told) -> dict[str, Any]:
    static = {"severity": table.severity, "service": table.service, "category": table.category}
    return {
        "exp_labels": {**static, **told.labels},
        "exp_annotations": {
            "summary": told.summary,
            "description": told.description,
            "runbook_url": f"{RUNBOOKS}/{table.alert}.md",
            "dashboard_url": f"{BOARDS}/{table.board}",
        },
    }


def run(promtool: Path, files: Mapping[str, str], folder: Path) -> list[Outcome]:
    """Write test files (name to text) into a folder and run them all; one outcome a file."""
    for name, text in files.items():
        (folder / name).write_text(text)
    command = [str(promtool), "test", "rules", *files]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    # Each file gives a line "  SUCCESS", or "  FAILED:" and its reasons, in order.
    parts = re.split(r"^  (SUCCESS|FAILED:)$", done.stdout, flags=re.MULTILINE)[1:]
    verdicts = list(zip(parts[::2], parts[1::2], strict=True))
    if len(verdicts) != len(files):
        raise RuntimeError(f"promtool judged {len(verdicts)} of {len(files)} files:\n{done.stdout}")
    return [Outcome(name, verdict == "SUCCESS", text) for name, (verdict, text) in zip(files, verdicts, strict=True)]


def check_rules(promtool: Path, files: Sequence[Path]) -> None:
    """`promtool check rules` with every lint.

    Raises:
        RuntimeError: what promtool said.
    """
    command = [str(promtool), "check", "rules", "--lint=all", "--lint-fatal", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
