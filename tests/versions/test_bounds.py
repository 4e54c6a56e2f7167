"""The lowest and the highest versions that pyproject.toml allows: the same tests, in environments of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from testkit.environments import environment as made_with
from testkit.processes import ROOT, environment

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]


pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("versions")]

# What stands on the versions: the request path, SQL, the SDK's inner life, exposition. The rest does not touch them.
SUBJECTS: Final = (
    "tests/instrumentation/server",
    "tests/instrumentation/sql",
    "tests/sdk",
    "tests/api",
    "tests/integrations",
)

OLDEST: Final = (
    "fastapi==0.115.0",
    "sqlalchemy==2.0.36",
    "opentelemetry-api==1.45.1",
    "opentelemetry-sdk==1.45.1",
    "opentelemetry-semantic-conventions==0.66b1",
    "opentelemetry-instrumentation==0.66b1",
    "prometheus-client==0.20.0",
    "psutil==5.9.0",
    "opentelemetry-instrumentation-fastapi==0.66b1",
)

NEWEST: Final = (
    "fastapi",
    "sqlalchemy>=2.1",
    "opentelemetry-api==1.45.2",
    "opentelemetry-sdk==1.45.2",
    "opentelemetry-semantic-conventions==0.66b2",
    "opentelemetry-instrumentation==0.66b2",
    "opentelemetry-proto==1.45.2",
    "opentelemetry-instrumentation-fastapi==0.66b2",
    "prometheus-client",
    "psutil",
)


def tools() -> tuple[str, ...]:
    """The tests' own requirements, without those that the table above decides and without type checkers."""
    groups: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    decided = {re.split(r"[=<>\[]", line)[0] for line in (*OLDEST, *NEWEST)}
    unwanted = {"mypy", "ruff", "import-linter", "types-protobuf", "types-psutil", "types-PyYAML", "compose-lint"}
    return tuple(line for line in groups["dev"] if re.split(r"[=<>\[]", line)[0] not in decided | unwanted)


def passes(python: Path) -> None:
    command = [
        str(python),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "not slow and not stack",
        *SUBJECTS,
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_the_oldest_versions_we_allow() -> None:
    passes(made_with("oldest", *OLDEST, *tools()))


def test_the_newest_versions_we_allow() -> None:
    """OpenTelemetry 1.45.2, for which contrib's SQLAlchemy does not exist."""
    passes(made_with("newest", *NEWEST, *tools()))
