"""The oldest SQLAlchemy we support, in an environment of its own: the same tests, and contrib where it accepts it."""

from __future__ import annotations

import subprocess

import pytest

from testkit.environments import environment
from testkit.processes import ROOT
from testkit.processes import environment as variables

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("version", ["2.0.0", "2.0.*"])
def test_the_same_tests_pass_with_sqlalchemy_2_0(version: str) -> None:
    python = environment(
        "sqlalchemy",
        f"sqlalchemy=={version}",
        "aiosqlite<0.22",
        "greenlet",
        "hypothesis",
        "opentelemetry-instrumentation-sqlalchemy>=0.66b1,<0.67",
        "opentelemetry-sdk>=1.45.1,<1.46",
        "pytest",
        "pytest-asyncio",
        "typing-extensions",
    )
    files = ["tests/instrumentation/sql/test_sqlalchemy.py", "tests/parity/test_sql.py"]
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, env=variables(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
