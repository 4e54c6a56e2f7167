"""The lowest versions that pyproject.toml allows, some between, and the newest: the fast tests, in own environments."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from testkit.environments import environment as environment_with
from testkit.processes import ROOT, environment

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]


pytestmark = [pytest.mark.long, pytest.mark.xdist_group("versions")]

# Folders whose tests read files of the repository, run other programs, or do not import what is varied here.
WITHOUT: Final = (
    "architecture", "benchmarks", "compose", "docs", "examples", "faults", "monitoring", "packaging", "redaction",
    "spool", "stack", "tools", "typing", "versions",
    "parity",  # what differs from contrib's newest release
)  # fmt: skip
SUBJECTS: Final = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "tests").glob("[!_]*")
    if path.name not in {*WITHOUT, "conftest.py"} and (path.is_dir() or path.suffix == ".py")
)

_STABLE: Final = ("api", "sdk", "proto", "exporter-otlp-proto-http")
_BETA: Final = (
    "semantic-conventions",
    "instrumentation",
    "exporter-prometheus",
    *(f"instrumentation-{name}" for name in (
        "celery", "fastapi", "httpx", "logging", "redis", "requests", "sqlalchemy",
    )),
)  # fmt: skip


def opentelemetry(stable: str, beta: str) -> tuple[str, ...]:
    """One release of OpenTelemetry: its stable distributions, and the beta ones that belong to it."""
    return (
        *(f"opentelemetry-{name}=={stable}" for name in _STABLE),
        *(f"opentelemetry-{name}=={beta}" for name in _BETA),
    )


OLDEST: Final = (
    "fastapi==0.115.0",
    "sqlalchemy==2.0.36",
    "prometheus-client==0.20.0",
    "psutil==5.9.0",
    "grpcio==1.63.2",
    "pyyaml==6.0",
    "sentry-sdk==2.48.0",
    "mcp==2.0.0",
    "sqlparse==0.5.0",
    "uvicorn[standard]==0.31.1",
    *opentelemetry("1.39.0", "0.60b0"),
)

BETWEEN: Final = (
    "fastapi<0.130",
    "sqlalchemy<2.1",
    "prometheus-client",
    "psutil<7",
    "grpcio",
    "pyyaml",
    "sentry-sdk",
    "mcp",
    "sqlparse",
    "uvicorn[standard]",
    *opentelemetry("1.42.1", "0.63b1"),
)

NEWEST: Final = (
    "fastapi",
    "sqlalchemy>=2.1",
    "prometheus-client",
    "psutil",
    "grpcio",
    "pyyaml",
    "sentry-sdk",
    "mcp",
    "sqlparse",
    "uvicorn[standard]",
    *opentelemetry("1.45.2", "0.66b2"),
)


def tools() -> tuple[str, ...]:
    """The tests' own requirements, without those that the tables above name, and without linters and type checkers."""
    groups: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    decided = {re.split(r"[=<>\[]", line)[0] for line in OLDEST}
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
        "not slow and not stack and not long",
        *SUBJECTS,
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_the_oldest_versions_we_allow() -> None:
    passes(environment_with("oldest", *OLDEST, *tools()))


def test_versions_between() -> None:
    passes(environment_with("between", *BETWEEN, *tools()))


def test_the_newest_versions_we_allow() -> None:
    passes(environment_with("newest", *NEWEST, *tools()))
