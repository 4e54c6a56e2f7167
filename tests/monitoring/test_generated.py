"""What is committed is what the code writes, for this service and for any other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.generate import ROOT, generated_files, stale
from monitoring.parameters import BLOGAUTO


def test_the_committed_files_are_what_the_code_writes() -> None:
    differing = [path for path, text in generated_files(BLOGAUTO).items() if (ROOT / path).read_text() != text]
    assert differing == [], "run `python -m monitoring generate`"


def test_every_file_in_a_generated_folder_is_generated() -> None:
    assert stale(generated_files(BLOGAUTO), ROOT) == []


def test_a_board_survives_grafanas_own_types(boards: Mapping[str, dict[str, Any]]) -> None:
    """Our JSON, read and written again, is the same: no field is misspelt, none has a wrong type."""
    for uid, board in boards.items():
        again = json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))
        assert _flat(board) <= _flat(again), uid


def _flat(value: object, path: str = "") -> set[tuple[str, str]]:
    if isinstance(value, dict):
        return set().union(*(_flat(entry, f"{path}.{key}") for key, entry in value.items()), set())
    if isinstance(value, list):
        return set().union(*(_flat(entry, f"{path}[{index}]") for index, entry in enumerate(value)), set())
    return {(path, repr(value))}


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", "monitoring", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_another_service_gets_its_rules_with_one_command(tmp_path: Path) -> None:
    assert "shop.yml" in run("rules", "--namespace", "shop", "--out", str(tmp_path))

    text = (tmp_path / "shop.yml").read_text()
    assert 'shop_api_requests_total{status=~"5.."}' in text
    assert 'up{job="shop-backend"} == 0' in text
    assert re.sub("blogauto_otel", "", text).count("blogauto") == 0
    names = [
        rule.get("alert") for group in yaml.safe_load(text)["groups"] for rule in group["rules"] if "alert" in rule
    ]
    ours = yaml.safe_load((ROOT / "collector/backends/prometheus/rules/blogauto.yml").read_text())
    assert names == [rule["alert"] for group in ours["groups"] for rule in group["rules"] if "alert" in rule]


def test_another_service_gets_its_boards_with_one_command(tmp_path: Path) -> None:
    run("boards", "--namespace", "shop", "--out", str(tmp_path))

    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert sorted(written) == [
        f"shop-{name}.json"
        for name in ("ai", "api", "business", "database", "dependencies", "overview", "security", "telemetry")
    ]
    for text in written.values():
        assert "blogauto_api" not in text
        assert json.loads(text)["tags"] == ["shop"]


def test_the_package_does_not_know_of_the_generator() -> None:
    sources = (ROOT / "blogauto_otel").rglob("*.py")
    assert [path for path in sources if re.search(r"^(?:from|import) monitoring", path.read_text(), re.MULTILINE)] == []
