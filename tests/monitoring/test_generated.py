"""What is committed is what the code writes, for this service and for any other."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.generate import ROOT, stale
from monitoring.repository_files import repository_files


def test_every_file_in_a_generated_folder_is_generated() -> None:
    assert stale(repository_files(), ROOT) == []


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


def test_the_package_does_not_know_of_the_generator() -> None:
    sources = (ROOT / "blogauto_otel").rglob("*.py")
    assert [path for path in sources if re.search(r"^(?:from|import) monitoring", path.read_text(), re.MULTILINE)] == []
