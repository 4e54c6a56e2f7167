"""OpenTelemetry renames a private member: application and telemetry work, and the status says what is slower."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from blogauto_otel.sdk import private, self_test
from testkit.processes import ROOT, environment

MEMBERS = sorted({member for feature in self_test.FEATURES.values() for member in feature.members})
# Members that a process imports or subclasses once need a process of their own.
OF_CLASSES = [it for it in MEMBERS if "." in it.partition(":")[2] and not it.endswith("._receive_metrics")]
OF_MODULES = [member for member in MEMBERS if member not in OF_CLASSES]


def rounds(*arguments: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.sdk.renamed_members", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@cache
def one_by_one() -> dict[str, dict[str, Any]]:
    """What each member's absence does: members of classes in one process, each name of a module in its own."""
    results = rounds("one", *OF_CLASSES)
    for member in OF_MODULES:
        results += rounds("one", member)
    return {result["members"][0]: result for result in results}


def goes_on(result: dict[str, Any]) -> None:
    assert result["answers"] == [200, 200]
    assert result["exposed"]
    assert result["flushed"]
    assert result["spans"] == ["GET /items/{item}", "find", "shop.find"]
    assert result["logs"] == ["found 7"]
    assert (result["items"], result["series"]) == (12, 11)
    assert result["swallowed"] == {}
    assert not result["leaked"]


def test_this_sdk_has_every_member() -> None:
    assert self_test.problems() == ()


@pytest.mark.slow
@pytest.mark.parametrize("member", MEMBERS)
def test_without_one_private_member_everything_arrives_and_the_status_says_so(member: str) -> None:
    result = one_by_one()[member]
    goes_on(result)
    features = [name for name, feature in self_test.FEATURES.items() if member in feature.members]
    said = " ".join(result["problems"])
    assert any(f"({feature}: " in said for feature in features), (features, said)


def test_without_any_private_member_everything_arrives_and_the_status_says_so() -> None:
    [result] = rounds("all", *MEMBERS)
    goes_on(result)
    missing = [name for name, feature in self_test.FEATURES.items() if feature.members]
    said = " ".join(result["problems"])
    assert [feature for feature in missing if f"({feature}: " not in said] == []


def test_an_object_without_a_lock_is_reported() -> None:
    class Lockless:
        pass

    assert private.replace_locks(object(), Lockless()) == ["Lockless"]


ALLOWED = {"_otel.py", "sdk/private.py", "sdk/self_test.py", "sdk/unstable.py", "distro.py"}


def test_nothing_else_in_the_package_names_a_private_module_or_member() -> None:
    package = Path(private.__file__).parents[1]
    found = [
        f"{path.relative_to(package)}: {line.strip()}"
        for path in sorted(package.rglob("*.py"))
        if str(path.relative_to(package)) not in ALLOWED
        for line in path.read_text().splitlines()
        if "opentelemetry" in line and re.search(r"opentelemetry[a-z_.]*\._[a-z]", line)
    ]
    assert found == []
