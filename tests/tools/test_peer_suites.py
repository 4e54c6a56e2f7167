"""The comparison of other projects' suites: what fails only with telemetry must be listed."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from tools.peer_suites import Suite, compare, expand, load_suites, run_tests


def suite(**expected: str) -> Suite:
    return Suite(name="x", version="1", requirements=[], arguments=[], expected=expected)


@pytest.mark.parametrize(("reruns_files", "selection"), [(False, ["a.py::test_1", "a.py::test_2"]), (True, ["a.py"])])
def test_failures_run_again_by_id_or_by_file(reruns_files: bool, selection: list[str]) -> None:
    one = dataclasses.replace(suite(), reruns_files=reruns_files)
    assert one.selection({"a.py::test_2", "a.py::test_1"}) == selection


def test_failures_of_both_runs_do_not_count() -> None:
    found = compare(suite(), 5, failed_with={"broken"}, failed_without={"broken"})
    assert found.passed
    assert (found.tests, found.failed_without) == (5, 1)


def test_what_fails_in_the_whole_suite_only_does_not_count_and_is_named() -> None:
    found = compare(suite(), 5, failed_with=set(), failed_without=set(), passed_alone={"b", "a"})
    assert found.passed
    assert found.passed_alone == ["a", "b"]


def test_a_failure_with_telemetry_only_is_unexpected() -> None:
    found = compare(suite(), 5, failed_with={"a", "broken"}, failed_without={"broken"})
    assert not found.passed
    assert found.unexpected == ["a"]


def test_a_listed_failure_is_expected() -> None:
    assert compare(suite(**{"b*": "reason"}), 5, failed_with={"b[1]", "b[2]"}, failed_without=set()).passed


def test_a_listed_failure_that_does_not_happen_is_reported() -> None:
    assert compare(suite(c="reason"), 5, failed_with=set(), failed_without=set()).unused == ["c"]


def test_patterns_of_paths_are_expanded_and_other_arguments_are_not(tmp_path: Path) -> None:
    for name in ("test_b.py", "test_a.py", "conftest.py"):
        (tmp_path / name).touch()
    assert expand(tmp_path, ["-k", "not x", "test_*.py"]) == ["-k", "not x", "test_a.py", "test_b.py"]


def run(tmp_path: Path, **files: str) -> dict[str, list[str]]:
    return run_with(tmp_path, files, configure=False)


def run_with(tmp_path: Path, files: dict[str, str], *, configure: bool) -> dict[str, list[str]]:
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "pytest.ini").touch()
    for name, text in files.items():
        (folder / (name if "." in name else f"{name}.py")).write_text(text)
    return run_tests(Path(sys.executable), folder, ["."], configure=configure)


def test_a_file_that_cannot_be_collected_fails_and_the_others_run(tmp_path: Path) -> None:
    found = run(tmp_path, test_broken="import absent_package", test_sound="def test_it(): pass")
    assert found == {"passed": ["test_sound.py::test_it"], "failed": ["test_broken.py"], "skipped": []}


@pytest.mark.parametrize(("configure", "result"), [(True, "passed"), (False, "failed")])
def test_telemetry_is_active_if_wanted(tmp_path: Path, configure: bool, result: str) -> None:
    recording = "from opentelemetry import trace\n"
    recording += "def test_it(): assert trace.get_tracer('suite').start_span('x').is_recording()"
    found = run_with(tmp_path, {"test_recording": recording}, configure=configure)
    assert found[result] == ["test_recording.py::test_it"]


def test_the_programs_of_the_environment_are_found(tmp_path: Path) -> None:
    programs = "import shutil, sys\nfrom pathlib import Path\n"
    programs += "def test_it(): assert Path(shutil.which('pytest')).parent == Path(sys.executable).parent"
    assert run(tmp_path, test_programs=programs)["passed"] == ["test_programs.py::test_it"]


INTERRUPTED = "import pytest\ndef test_it(): pytest.exit('stop')"
EXITED = "import os\ndef test_it(): os._exit(0)"
INTERNAL_ERROR = "def pytest_collection_modifyitems(): 1 / 0"


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ({"test_a": "def test_it(): pass", "test_b": INTERRUPTED}, "exit status 2, interrupted"),
        ({"test_a": "def test_it(): pass", "conftest": INTERNAL_ERROR}, "exit status 3, internal error"),
        ({"test_a": "def test_it(): pass", "conftest": "import absent"}, "exit status 4, usage error"),
        ({}, "exit status 5, no tests"),
        ({"test_a": "def test_it(): pass", "test_b": EXITED}, "exit status 0, without results"),
    ],
)
def test_a_run_that_does_not_end_is_no_result(tmp_path: Path, files: dict[str, str], status: str) -> None:
    with pytest.raises(RuntimeError, match=status):
        run(tmp_path, **files)


def test_a_suite_that_asks_to_stop_at_the_first_failure_runs_on(tmp_path: Path) -> None:
    tests = "def test_1(): assert 0\ndef test_2(): pass"
    found = run(tmp_path, **{"pytest.ini": "[pytest]\naddopts = -x", "test_a": tests})
    assert found["passed"] == ["test_a.py::test_2"]


@pytest.mark.parametrize("name", load_suites())
def test_each_expected_failure_has_a_reason(name: str) -> None:
    assert all(len(reason) > 10 for reason in load_suites()[name].expected.values())


@pytest.mark.parametrize("name", load_suites())
def test_each_suite_has_its_result_in_the_documentation(name: str) -> None:
    documented = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    assert f"| {name} {load_suites()[name].version} |" in documented
