"""What ships: the wheel, in a clean environment with only the plain dependencies."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest

from testkit.environments import environment as clean_environment
from testkit.environments import install
from testkit.ports import free_port
from testkit.processes import ROOT, environment, eventually, running

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

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
    assert {f"blogauto_otel/inspector/static/{name}" for name in ("index.html", "assets/app.js", "assets/app.css")} <= {
        *names
    }


def test_the_long_description_has_absolute_links_to_files_of_the_repository(wheel: Path) -> None:
    """An index shows it without the files beside it. The address is that of `[project.urls]`."""
    files = zipfile.ZipFile(wheel)
    (name,) = (name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
    text = files.read(name).decode().partition("\n\n")[2]
    links = re.findall(r"\]\((?!#)([^)]+)\)", text)
    urls = pyproject()["project"]["urls"]
    ours = [link.removeprefix(urls["Repository"]) for link in links if link.startswith(urls["Repository"])]
    assert len(ours) > 20
    assert [link for link in links if "://" not in link] == []
    assert [link for link in ours if not (ROOT / re.sub(r"^/(?:blob|raw)/main/|#.*$", "", link)).exists()] == []
    assert {url.startswith(urls["Repository"]) for url in urls.values()} == {True}


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


PAIR = """
from importlib.metadata import version
api = version("opentelemetry-api")
assert version("opentelemetry-sdk") == api, api
assert version("opentelemetry-instrumentation-httpx") == version("opentelemetry-instrumentation")
import httpx, blogauto_otel
telemetry = blogauto_otel.configure(traces_exporter="none", metrics_exporter="none", logs_exporter="none", strict=True)
print(telemetry.status().as_dict()["instrumentation"]["clients"])
"""


@pytest.mark.parametrize("page", ["README.md", "README.ko.md"])
def test_the_installation_of_the_page_works_as_it_stands(page: str, tmp_path: Path) -> None:
    """In an environment with the application's libraries, and line by line, as a newcomer types it."""
    section = (ROOT / page).read_text().split("```bash\n")
    commands = [line.strip() for block in section[1:] for line in block.partition("```")[0].splitlines()]
    installing = [line for line in commands if line.startswith("pip install") and "." in line]
    assert [line.split()[2] for line in installing[:2]] == [".", '".[httpx]"']
    python = clean_environment("newcomer", "httpx>=0.27,<1", "fastapi")
    for line in installing[:2]:
        command = f"cd {ROOT} && {python} -m {line} --quiet"
        subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True, env=_bare())
    subprocess.run([python, "-m", "pip", "check"], check=True, capture_output=True, env=_bare())
    done = subprocess.run([python, "-c", PAIR], capture_output=True, text=True, cwd=tmp_path, env=_bare())
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("on (httpx")
    for line in [line for line in commands if line.startswith("blogauto-otel ")]:
        done = subprocess.run(["bash", "-c", f"{python.parent}/{line}"], capture_output=True, text=True, env=_bare())
        assert "Traceback" not in done.stderr
        alone = line.split()[1] in ("check", "doctor")  # there is no Collector, and no application
        assert done.returncode == 0 or alone, line


STRANGER = """
from fastapi import FastAPI

app = FastAPI()


@app.get("/hello")
def hello():
    return {"hello": "world"}
"""


def test_the_extra_dev_shows_the_application_of_a_stranger(wheel: Path, tmp_path: Path) -> None:
    """In an environment that has nothing else, and within five seconds of its first request."""
    python = clean_environment("stranger", "fastapi")
    install(python, "--force-reinstall", "--no-deps", str(wheel))
    install(python, f"{wheel}[dev]")
    (tmp_path / "main.py").write_text(STRANGER)
    port = free_port()
    command = [str(python), "-m", "blogauto_otel", "dev", "--port", "0", "--"]
    served = [str(python.with_name("uvicorn")), "main:app", "--port", str(port), "--app-dir", str(tmp_path)]
    with running([*command, *served], tmp_path / "log", port=port, PYTHONPATH="") as child:
        child.wait_until_it_answers("/hello")
        began = time.monotonic()
        base, token = re.findall(r"(http://127\.0\.0\.1:\d+)/\?token=(\S+)", child.output)[0]
        request = urllib.request.Request(f"{base}/api/requests", headers={"Authorization": f"Bearer {token}"})
        eventually(lambda: urllib.request.urlopen(request).read(), lambda body: b"/hello" in body, timeout=5)
        assert time.monotonic() - began < 5


AI = ("openai", "google-genai", "anthropic")  # with bounds of their own, and not in `all` (docs/decisions/0070)


def test_each_client_that_is_named_as_missing_has_its_extra() -> None:
    from blogauto_otel.instrumentation.clients import EXPECTED, EXTRAS

    extras = pyproject()["project"]["optional-dependencies"]
    for library, point in EXPECTED.items():
        extra = EXTRAS.get(library, library)
        if extra in AI:
            assert any(one.startswith(f"opentelemetry-instrumentation-{extra}") for one in extras[extra])
            continue
        assert extras[extra] == [f"opentelemetry-instrumentation-{EXTRAS.get(point, point)}>=0.60b0,<1"]
        assert extra in extras["all"][0]


def pyproject() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


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
