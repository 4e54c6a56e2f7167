"""What the tests of boards and rules share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from monitoring.boards.all import boards as built
from monitoring.parameters import BLOGAUTO
from monitoring.rule_files import rule_files
from monitoring.rules.model import Alert, RuleFile
from stack.processes import Programs, ensure_programs


@pytest.fixture(scope="session")
def files() -> tuple[RuleFile, RuleFile]:
    """The rules of the service and of the monitoring."""
    return rule_files(BLOGAUTO)


@pytest.fixture(scope="session")
def alerts(files: tuple[RuleFile, RuleFile]) -> list[Alert]:
    """Every alerting rule."""
    return [alert for file in files for alert in file.alerts]


@pytest.fixture
def boards() -> Mapping[str, dict[str, Any]]:
    """All boards, fresh: tests may break them."""
    return built(BLOGAUTO)


@pytest.fixture(scope="session")
def programs() -> Programs:
    """The real programs."""
    return ensure_programs()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for one test."""
    return tmp_path
