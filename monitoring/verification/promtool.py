"""Unit tests written as promtool's test files, all run by one process."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from monitoring.alerts.definition import BOARDS_URL, RUNBOOKS_URL, AlertDefinition, Case, ExpectedAlert

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten times as fast, where libyaml is installed


@dataclass(frozen=True)
class FileResult:
    """The result of one test file."""

    file: str
    passed: bool
    output: str


def test_file(alert: AlertDefinition, rules: str, *, groups: Sequence[str]) -> str:
    """The unit tests of an alert against a rule file. `groups` in order: what is recorded must exist before it is used."""
    document = {
        "rule_files": [rules],
        "evaluation_interval": alert.tests.cases[0].evaluation_interval,
        "group_eval_order": list(groups),
        "tests": [_test(alert, case) for case in alert.tests.cases],
    }
    return yaml.dump(document, Dumper=_DUMPER, sort_keys=False, width=1000)


def _test(alert: AlertDefinition, case: Case) -> dict[str, Any]:
    labels = {"alertname": alert.name, "alertstate": "pending", "severity": alert.tests.severity, **alert.rule.labels}
    matchers = ",".join(f'{name}="{value}"' for name, value in labels.items())
    pending = f"group(ALERTS{{{matchers}}})"
    samples = [{"labels": "{}", "value": 1}] if case.pending else []
    return {
        "name": f"{alert.title}: {case.name}",
        "interval": case.sample_interval,
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "alert_rule_test": [
            {
                "eval_time": case.at,
                "alertname": alert.name,
                "exp_alerts": [_firing(alert, one) for one in case.expected],
            }
        ],
        "promql_expr_test": [] if case.expected else [{"expr": pending, "eval_time": case.at, "exp_samples": samples}],
    }


def _firing(alert: AlertDefinition, expected: ExpectedAlert) -> dict[str, Any]:
    tests = alert.tests
    return {
        "exp_labels": {
            "severity": tests.severity,
            "service": tests.service,
            "category": tests.category,
            **expected.labels,
        },
        "exp_annotations": {
            "summary": expected.summary,
            "description": expected.description,
            "runbook_url": f"{RUNBOOKS_URL}/{alert.name}.md",
            "dashboard_url": f"{BOARDS_URL}/{tests.board}",
        },
    }


def run(promtool: Path, files: Mapping[str, str], folder: Path) -> list[FileResult]:
    """Write test files (name to text) into a folder and run them all; one result for each."""
    for name, text in files.items():
        (folder / name).write_text(text)
    command = [str(promtool), "test", "rules", *files]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    # For each file, in order: a line "  SUCCESS", or "  FAILED:" and the reasons.
    parts = re.split(r"^  (SUCCESS|FAILED:)$", done.stdout, flags=re.MULTILINE)[1:]
    verdicts = list(zip(parts[::2], parts[1::2], strict=True))
    if len(verdicts) != len(files):
        raise RuntimeError(f"promtool reported on {len(verdicts)} of {len(files)} files:\n{done.stdout}")
    return [FileResult(name, verdict == "SUCCESS", text) for name, (verdict, text) in zip(files, verdicts, strict=True)]


def check_rules(promtool: Path, files: Sequence[Path]) -> None:
    """`promtool check rules` with every lint.

    Raises:
        RuntimeError: promtool found a problem; the message is its output.
    """
    command = [str(promtool), "check", "rules", "--lint=all", "--lint-fatal", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
