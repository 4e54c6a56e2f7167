"""A wrong attribute is an error before it runs: mypy is asked, as a user's CI would ask it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def mypy(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores", "--follow-imports=silent", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=300)


@pytest.mark.slow
def test_mypy_reports_every_wrong_call_and_no_right_one() -> None:
    found = mypy(str(HERE / "api.py"))
    assert found.returncode == 0, found.stdout


PROGRAM = """
from blogauto_otel import configure, metrics

configure(servce_name="shop")
metrics.business.wordpress_posts_published.add(status="sucess")
metrics.business.wordpress_posts_published.add(state="success")
metrics.business.wordpress_posts_published.add()
"""


@pytest.mark.slow
def test_the_messages_name_what_is_wrong(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    said = mypy(str(program)).stdout
    assert 'Unexpected keyword argument "servce_name" for "configure"; did you mean "service_name"?' in said
    assert "expected \"Literal['success', 'failed']\"" in said
    assert 'Unexpected keyword argument "state"' in said
    assert 'Missing named argument "status"' in said
