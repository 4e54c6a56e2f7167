"""What ships: the wheel, in a clean environment with only the plain dependencies."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.children import ROOT, environment
from tests.support.environments import environment as clean_environment
from tests.support.environments import install

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, env=environment())
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"blogauto_otel", "blogauto_otel-0.1.0.dist-info"}
    assert "blogauto_otel/py.typed" in names


IMPORT = """
import sys, threading
before = set(sys.modules)
opened = []
def watch(event, args):
    if event == "open" and str(args[1]).startswith(("w", "a")):
        opened.append(args[0])
sys.addaudithook(watch)
import blogauto_otel
assert blogauto_otel.__file__.startswith(sys.prefix), blogauto_otel.__file__
assert threading.active_count() == 1
assert not opened, opened
frameworks = {"fastapi", "starlette", "sqlalchemy", "sentry_sdk", "psutil", "prometheus_client"} & set(sys.modules)
assert not frameworks, frameworks
telemetry = blogauto_otel.configure(traces_exporter="none", metrics_exporter="none", logs_exporter="none", strict=True)
blogauto_otel.metrics.business.keywords_analyzed.add(3)
print(telemetry.status())
telemetry.shutdown()
"""


def test_it_imports_and_configures_with_only_the_plain_dependencies(wheel: Path, tmp_path: Path) -> None:
    python = clean_environment("plain")
    install(python, "--force-reinstall", "--no-deps", str(wheel))
    install(python, str(wheel))
    done = subprocess.run([python, "-c", IMPORT], capture_output=True, text=True, cwd=tmp_path, env=_bare())
    assert done.returncode == 0, done.stderr
    assert "asgi missing" in done.stdout
    assert "sqlalchemy missing" in done.stdout


def test_the_launcher_of_the_wheel_finds_our_entry_points(wheel: Path, tmp_path: Path) -> None:
    python = clean_environment("plain")
    install(python, str(wheel))
    script = "import blogauto_otel._configure as c; t = c.current(); assert t is not None; print(t.status())"
    done = subprocess.run(
        [python.parent / "opentelemetry-instrument", python, "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**_bare(), "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"},
    )
    assert done.returncode == 0, done.stderr
    assert "blogauto-backend (development)" in done.stdout


def _bare() -> dict[str, str]:
    return {name: value for name, value in environment().items() if name != "PYTHONPATH"}
