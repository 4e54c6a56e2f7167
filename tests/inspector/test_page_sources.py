"""The page's sources: typed, tested, and the bundle in the package is what they give."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from monitoring import node
from testkit.processes import ROOT

pytestmark = pytest.mark.slow

SOURCES = ROOT / "inspector-page"
STATIC = ROOT / "blogauto_otel" / "inspector" / "static"
FIX = "run: cd inspector-page && npm ci && npm run build"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources with their packages, installed once into the user's cache."""
    folder = tmp_path_factory.mktemp("page") / "inspector-page"
    shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("node_modules"))
    (folder / "node_modules").symlink_to(node.packages(SOURCES) / "node_modules")
    return folder


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_bundle_in_the_package_is_built_from_the_sources(sources: Path, tmp_path: Path) -> None:
    run(sources, "node", "build.mjs", str(tmp_path))
    built, committed = files(tmp_path), files(STATIC)
    assert built.keys() == committed.keys(), FIX
    assert [name for name in built if built[name] != committed[name]] == [], FIX


def test_the_types_are_sound(sources: Path) -> None:
    run(sources, "node_modules/.bin/tsc", "--noEmit")


def test_the_unit_tests_pass(sources: Path) -> None:
    passed = re.search(r"^# pass (\d+)$", run(sources, "node", "test.mjs"), re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) >= 30


def test_the_bundle_is_small_and_names_no_machine() -> None:
    content = b"".join(files(STATIC).values())
    assert len(content) < 300_000
    assert str(ROOT).encode() not in content
    assert set(re.findall(rb"https?://[a-z0-9.-]+", content)) <= {b"http://www.w3.org", b"http://127.0.0.1"}


def test_the_lock_file_names_no_registry_and_every_licence_is_permissive() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert [name for name, package in packages.items() if "resolved" in package] == []
    licences = {package.get("license") for package in packages.values()}
    assert licences <= {"MIT", "Apache-2.0", "ISC", "BSD-3-Clause"}
