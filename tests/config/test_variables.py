"""Every `OTEL_*` variable of the specification and of OpenTelemetry Python is obeyed, or named at start."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import opentelemetry
import pytest

from blogauto_otel import config
from blogauto_otel.config import variables
from testkit.processes import environment

# The constants of the installed packages: what a user of OpenTelemetry Python may have set.
INSTALLED = Path(next(iter(opentelemetry.__path__)))
SOURCES = [
    *INSTALLED.glob("environment_variables/*.py"),
    *INSTALLED.glob("sdk/environment_variables/*.py"),
    *INSTALLED.glob("util/http/*.py"),
    *INSTALLED.glob("instrumentation/environment_variables.py"),
    *INSTALLED.glob("instrumentation/logging/environment_variables.py"),
]


class RecordingEnvironment(Mapping[str, str]):
    """An environment that remembers which variables were asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def known() -> set[str]:
    return {*variables.OF_SETTINGS, *variables.READ_ELSEWHERE, *variables.NOT_SUPPORTED}


def test_every_variable_of_the_installed_packages_is_in_the_list() -> None:
    assert SOURCES
    named = {name for path in SOURCES for name in re.findall(r'= *\(?\s*"(OTEL_[A-Z_0-9]+)"', path.read_text())}
    assert len(named) > 60
    assert named - known() == set()


def test_no_variable_has_two_entries() -> None:
    assert len(known()) == sum(map(len, (variables.OF_SETTINGS, variables.READ_ELSEWHERE, variables.NOT_SUPPORTED)))


def test_every_obeyed_variable_is_read_and_every_other_is_asked_for_to_be_named() -> None:
    environ = RecordingEnvironment()
    config.read(environ)
    assert known() - environ.asked == set(variables.READ_ELSEWHERE) - {variables.AI_CONTENT}


@pytest.mark.parametrize("variable", variables.NOT_SUPPORTED)
def test_a_variable_that_is_not_supported_is_named_with_the_page_that_helps(variable: str) -> None:
    [problem] = config.read({variable: "secret-value"}).problems
    assert problem == f"not supported and without effect: {variable}; docs/settings.md lists what to use instead"


@pytest.mark.parametrize(
    ("captured", "leaves", "notes"),
    [("true", False, 1), ("SPAN_ONLY", False, 1), ("NO_CONTENT", False, 0), ("", False, 0), ("true", True, 0)],
)
def test_prompts_that_are_recorded_but_do_not_leave_are_named(captured: str, leaves: bool, notes: int) -> None:
    loaded = config.read({variables.AI_CONTENT: captured}, ai_content=leaves, service_name="shop")
    expected = f"{variables.AI_CONTENT} has no effect without BLOGAUTO_OTEL_AI_CONTENT=true"
    assert loaded.notes == (expected,) * notes
    assert loaded.problems == ()


def test_at_start_all_of_them_are_one_line() -> None:
    script = "import blogauto_otel; blogauto_otel.configure(traces_exporter='none', metrics_exporter='none')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(**dict.fromkeys(variables.NOT_SUPPORTED, "1"), OTEL_LOGS_EXPORTER="none"),
        capture_output=True,
        text=True,
    )
    [line] = [line for line in done.stderr.splitlines() if "not supported and without effect" in line]
    assert all(name in line for name in variables.NOT_SUPPORTED)
    assert done.returncode == 0


def test_the_page_has_a_row_for_each() -> None:
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    rows = set(re.findall(r"^\| `(OTEL_\w+)` \| (?:yes|no) \|", page, re.MULTILINE))
    assert rows == {name for name in known() if name.startswith("OTEL_")}
