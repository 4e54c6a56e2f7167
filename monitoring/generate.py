"""All generated files and their paths."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from monitoring.alertmanager import configuration
from monitoring.boards.all import boards
from monitoring.languages import ENGLISH
from monitoring.parameters import Service
from monitoring.rule_files import rule_files
from monitoring.rules.write import rule_file
from monitoring.runbooks import runbooks

ROOT: Final = Path(__file__).resolve().parent.parent
BACKENDS: Final = "collector/backends"
RULES: Final = f"{BACKENDS}/prometheus/rules"
DASHBOARDS: Final = f"{BACKENDS}/grafana/dashboards"
RUNBOOKS: Final = "docs/runbooks"


def rules(service: Service) -> Mapping[str, str]:
    """The rule files by name: one of the service, one of the monitoring itself."""
    return {f"{file.name}.yml": rule_file(file, service) for file in rule_files(service)}


def generated_files(service: Service) -> Mapping[str, str]:
    """Every English file by its path in the repository."""
    return {
        **_below(f"{RULES}/{ENGLISH}", rules(service)),
        **_below(
            f"{DASHBOARDS}/{ENGLISH}",
            {f"{uid}.json": json.dumps(board, indent=1) + "\n" for uid, board in boards(service).items()},
        ),
        f"{BACKENDS}/alertmanager/alertmanager.yml": configuration(),
        **_below(RUNBOOKS, runbooks(service, rule_files(service))),
    }


def write(files: Mapping[str, str], folder: Path) -> list[Path]:
    """Write files below a folder; those that changed."""
    changed = []
    for name, text in files.items():
        path = folder / name
        if not path.is_file() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            changed.append(path)
    return changed


def stale(files: Mapping[str, str], folder: Path) -> list[Path]:
    """Files in the generated folders that nothing generates any more."""
    folders = {(folder / name).parent for name in files}
    expected = {folder / name for name in files}
    kinds = {".yml", ".json", ".md"}
    found = {path for found_in in folders if found_in.is_dir() for path in found_in.iterdir() if path.suffix in kinds}
    return sorted(found - expected)


def _below(folder: str, files: Mapping[str, str]) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in files.items()}
