"""`blogauto-otel dev`: real commands under it, with their signals, exit status and reload."""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from blogauto_otel.cli import dev as dev_command
from blogauto_otel.inspector import child
from blogauto_otel.inspector.command import Command
from testkit.browser import chromium
from testkit.otlp import post, traces
from testkit.ports import free_port
from testkit.processes import ROOT, Process, environment, eventually, python, running
from tests.inspector.server import get

PLAIN = """
from fastapi import FastAPI
from sqlalchemy import create_engine, text

app = FastAPI()
engine = create_engine("sqlite:///shop.db")


@app.get("/posts/{number}")
def posts(number: int):
    with engine.connect() as connection:
        for _ in range(number):
            connection.execute(text("SELECT 1"))
    return {"version": 1}
"""
CONFIGURED = PLAIN.replace(
    "from fastapi", 'import blogauto_otel\nblogauto_otel.configure(service_name="configured")\nfrom fastapi'
)


@dataclass(frozen=True)
class Dev:
    """The command, its page and the port of the application."""

    process: Process
    client: httpx.Client
    app_port: int

    def requests(self, query: str = "") -> list[Any]:
        return list(self.client.get("/api/requests", params={"q": query}).json()["requests"])

    def visit(self, path: str) -> httpx.Response:
        """Ask the application, once it answers."""
        for _ in range(600):
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"http://127.0.0.1:{self.app_port}{path}", timeout=10)
            time.sleep(0.05)
        raise AssertionError(self.process.output)


def address(output: Callable[[], str]) -> tuple[str, str]:
    """Base URL and token of the page."""
    found = eventually(lambda: re.search(r"(http://127\.0\.0\.1:\d+)/\?token=(\S+?);?\s", output()), timeout=30)
    assert found
    return found[1], found[2]


@contextlib.contextmanager
def dev(folder: Path, *options: str, app: str = PLAIN, command: tuple[str, ...] | None = None) -> Iterator[Dev]:
    """The command around uvicorn in a folder with an application, or around another command."""
    project = folder / "shop"
    project.mkdir(exist_ok=True)
    (project / "main.py").write_text(app)
    port = free_port()
    served = command if command is not None else ("uvicorn", "main:app", "--port", str(port))
    line = python("-m", "blogauto_otel", "dev", "--port", "0", *options, *(["--", *served] if served else []))
    in_project = ["bash", "-c", 'cd "$1" && shift && exec "$@"', "bash", str(project), *line]
    with running(in_project, folder / "dev.log", port=port) as process:
        base, token = address(lambda: process.output)
        with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
            yield Dev(process, client, port)


def run(*arguments: str, folder: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    line = python("-m", "blogauto_otel", "dev", *arguments)
    return subprocess.run(line, capture_output=True, text=True, env=environment(**variables), timeout=60, cwd=folder)


pytestmark = pytest.mark.slow


def reported_status(running_dev: Dev, service: str) -> Any:
    """What the process of a service has last reported about itself."""
    processes = running_dev.client.get("/api/status").json()["instrumentation"]
    known = [one["status"] for one in processes if one["service"] == service and one["status"]]
    return next((status for status in known if status["delivery"]["traces"]["accepted"]), None)


# --- the application --------------------------------------------------------------------------------------------------


def test_an_application_without_telemetry_is_shown_with_its_statements(tmp_path: Path) -> None:
    with dev(tmp_path) as running_dev:
        assert running_dev.visit("/posts/12").status_code == 200
        began = time.monotonic()
        (found,) = eventually(running_dev.requests, timeout=10)
        assert time.monotonic() - began < 5
        assert (found["service"], found["route"], found["status"]) == ("shop", "/posts/{number}", 200)
        assert (found["statements"], found["repeated"]) == (12, 12)
        status = running_dev.client.get("/api/status").json()
        assert status["command"]["running"] is True
        assert status["command"]["argv"][0] == "uvicorn"
        reported = eventually(lambda: reported_status(running_dev, "shop"), timeout=15)
        assert reported["instrumentation"]["sqlalchemy"].startswith("on")
        assert reported["delivery"]["traces"]["accepted"] >= 13


def test_an_application_that_configures_itself_keeps_its_own_configuration(tmp_path: Path) -> None:
    with dev(tmp_path, app=CONFIGURED) as running_dev:
        running_dev.visit("/posts/3")
        (found,) = eventually(running_dev.requests, timeout=10)
        assert (found["service"], found["statements"], found["spans"]) == ("configured", 3, 4)
        eventually(lambda: running_dev.client.get("/api/logs").json()["logs"], timeout=10)
        services = {one["service"] for one in running_dev.client.get("/api/logs").json()["logs"]}
        assert services == {"configured"}
        assert eventually(lambda: reported_status(running_dev, "configured"), timeout=15)["service"] == "configured"
        assert len(instances(running_dev)) == 1


def instances(running_dev: Dev) -> list[tuple[str, str]]:
    """The service and id of each instance that has sent anything."""
    status = running_dev.client.get("/api/status").json()
    return [(one["service"], one["instance"]) for one in status["instrumentation"]]


def test_an_application_that_configures_itself_late_is_one_instance(tmp_path: Path) -> None:
    """What was recorded while it was imported becomes that of its own handle."""
    slow = CONFIGURED.replace(
        "import blogauto_otel\n", "import logging, time, blogauto_otel\nlogging.warning('early'); time.sleep(4)\n"
    )
    with dev(tmp_path, app=slow) as running_dev:
        running_dev.visit("/posts/1")
        assert eventually(running_dev.requests, timeout=10)[0]["service"] == "configured"
        early = eventually(lambda: running_dev.client.get("/api/logs?q=early").json()["logs"], timeout=10)
        assert [one["service"] for one in early] == ["configured"]
        eventually(lambda: reported_status(running_dev, "configured"), timeout=15)
        assert len(instances(running_dev)) == 1


@pytest.mark.xdist_group("chromium")
def test_reload_goes_on_under_it_and_under_an_open_page(tmp_path: Path) -> None:
    port = free_port()
    command = ("uvicorn", "main:app", "--port", str(port), "--reload")
    with dev(tmp_path, command=command) as started, chromium() as browser:
        running_dev = Dev(started.process, started.client, port)
        page = browser.new_page()
        page.goto("{}/?token={}".format(*address(lambda: started.process.output)))
        listed = page.locator(".request-row:not(.head)")
        assert running_dev.visit("/posts/1").json() == {"version": 1}
        listed.filter(has_text="/posts/{number}").wait_for()
        time.sleep(1)  # the reloader compares times of whole seconds
        (tmp_path / "shop" / "main.py").write_text(
            PLAIN.replace('"version": 1', '"version": 2').replace("/posts/", "/articles/")
        )
        eventually(lambda: running_dev.visit("/articles/2").json(), lambda found: found == {"version": 2}, timeout=30)
        eventually(lambda: running_dev.requests("statements:2"), timeout=10)
        listed.filter(has_text="/articles/{number}").first.wait_for()
        assert len(instances(running_dev)) == 2  # the worker before and after, not the process that watches files


# --- its end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "status"),
    [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137), ("pass", 0)],
    ids=["failed", "killed", "well"],
)
def test_the_exit_status_is_that_of_the_command(script: str, status: int) -> None:
    done = run("--port", "0", "--", *python("-c", script))
    assert done.returncode == status


def test_a_program_that_is_not_there_is_named() -> None:
    done = run("--port", "0", "--", "no-such-program")
    assert done.returncode == 127
    assert "no-such-program: No such file or directory" in done.stderr


def test_what_the_command_reads_and_prints_is_passed_through() -> None:
    line = python("-m", "blogauto_otel", "dev", "--port", "0", "--", "cat")
    done = subprocess.run(line, input="typed", capture_output=True, text=True, env=environment(), timeout=60)
    assert (done.returncode, done.stdout) == (0, "typed")
    assert done.stderr.count("\n") == 1  # one line: the address


TRAPPING = """
import signal, sys, time
def end(number, frame):
    print("got", signal.Signals(number).name, flush=True)
    if number != signal.SIGUSR1:
        sys.exit(3)
for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"):
    signal.signal(getattr(signal, name), end)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_reach_the_command_which_decides(name: str, tmp_path: Path) -> None:
    with dev(tmp_path, command=tuple(python("-c", TRAPPING))) as running_dev:
        process = running_dev.process
        eventually(lambda: "ready" in process.output)
        process.send_signal(signal.SIGUSR1)
        eventually(lambda: "got SIGUSR1" in process.output)
        assert process.alive
        process.terminate(getattr(signal, name))
        assert process.returncode == 3
        assert process.output.count(f"got {name}") == 1


def test_ctrl_c_in_a_terminal_ends_both_and_reaches_the_command_once(tmp_path: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        line = python("-m", "blogauto_otel", "dev", "--port", "0", "--", *python("-c", TRAPPING))
        os.execve(line[0], line, environment())
    output = b""
    while b"ready" not in output:
        output += os.read(terminal, 4096)
    os.write(terminal, b"\x03")
    with contextlib.suppress(OSError):  # the terminal is gone when both have ended
        while True:
            output += os.read(terminal, 4096)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 3
    assert output.count(b"got SIGINT") == 1


def test_uvicorn_ends_well_on_sigterm_and_its_last_telemetry_is_kept(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with dev(tmp_path, "--keep", str(kept)) as running_dev:
        running_dev.visit("/posts/1")
        running_dev.process.terminate()
        assert running_dev.process.returncode in (0, 128 + signal.SIGTERM)
        assert "Traceback" not in running_dev.process.output
    with dev(tmp_path, "--keep", str(kept), command=()) as again:
        assert [one["path"] for one in again.requests()] == ["/posts/1"]


# --- alone ------------------------------------------------------------------------------------------------------------


def test_alone_it_receives_from_services_that_already_run_until_ctrl_c(tmp_path: Path) -> None:
    with dev(tmp_path, "--max-spans", "500", command=()) as running_dev:
        found = re.search(
            r"OTLP at (http://127\.0\.0\.1:\d+) and 127\.0\.0\.1:\d+ \(gRPC\)", running_dev.process.output
        )
        assert found, running_dev.process.output
        assert post(found[1], traces([get("/elsewhere")])) == 200
        eventually(running_dev.requests, timeout=5)
        status = running_dev.client.get("/api/status").json()
        assert (status["command"], status["store"]["limit_spans"]) == (None, 500)
        running_dev.process.terminate(signal.SIGINT)
        assert running_dev.process.returncode == 0
        assert "Traceback" not in running_dev.process.output


def test_trees_are_printed_in_the_terminal(tmp_path: Path) -> None:
    with dev(tmp_path, "--terminal") as running_dev:
        running_dev.visit("/posts/12")
        eventually(lambda: "SELECT ? x12" in running_dev.process.output or "SELECT 1 x12" in running_dev.process.output)
        assert re.search(r"^GET /posts/\{number\} .* 200", running_dev.process.output, re.MULTILINE)


def test_the_browser_is_opened_with_the_token(tmp_path: Path) -> None:
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    done = run("--port", "0", "--open", "--", "true", BROWSER=f"{browser} %s")
    assert done.returncode == 0, done.stderr
    assert eventually(opened.read_text).strip() in done.stderr
    assert "?token=" in opened.read_text()


def test_it_speaks_korean() -> None:
    done = run("--port", "0", "--keep", "/dev/null", LC_ALL="ko_KR.UTF-8", PYTHONIOENCODING="utf-8")
    assert done.stderr.startswith("blogauto-otel dev: /dev/null: 사용할 수 없습니다: ")
    assert "요청마다 트리로 출력합니다" in run("--help", LC_ALL="ko_KR.UTF-8", PYTHONIOENCODING="utf-8").stdout


# --- before it starts -------------------------------------------------------------------------------------------------

WITHOUT = """
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.split(".")[0] == "NAME" else found(name, *rest)
from blogauto_otel.cli import main
sys.exit(main(["dev", *sys.argv[1:]]))
"""


@pytest.mark.parametrize(
    ("module", "distribution", "options"),
    [("starlette", "starlette", []), ("sqlparse", "sqlparse", []), ("mcp", "mcp", ["--mcp"])],
)
def test_a_missing_extra_is_one_line_with_the_way_out(module: str, distribution: str, options: list[str]) -> None:
    line = python("-c", WITHOUT.replace("NAME", module), *options)
    done = subprocess.run(line, capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode == 2
    assert done.stderr == f"blogauto-otel dev: {distribution} is missing: pip install 'blogauto_otel[dev]'\n"


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with dev(tmp_path, command=()) as running_dev:
        port = str(running_dev.client.base_url.port)
        done = run("--port", port)
    assert done.returncode == 2
    assert done.stderr == f"blogauto-otel dev: Address already in use (--port {port})\n"


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with dev(tmp_path, "--keep", str(tmp_path / "kept"), command=()):
        done = run("--port", "0", "--keep", str(tmp_path / "kept"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{tmp_path / 'kept'} cannot be used: database is locked" in done.stderr
    (tmp_path / "file").touch()
    assert "cannot be used" in run("--port", "0", "--keep", str(tmp_path / "file")).stderr


@pytest.mark.parametrize(
    "option", [("--max-spans", "0"), ("--max-bytes", "many"), ("--port", "http"), ("--port", "70000")]
)
def test_a_bad_option_is_explained(option: tuple[str, str]) -> None:
    done = run(*option)
    assert done.returncode == 2
    assert option[0] in done.stderr


def test_the_commands_and_options_of_the_page_exist() -> None:
    page = (ROOT / "docs" / "dev.md").read_text()
    lines = re.findall(r"^ *(blogauto-otel dev.*)$", page, re.MULTILINE)
    assert len(lines) >= 4
    parser = argparse.ArgumentParser()
    dev_command.add_to(parser.add_subparsers())
    for line in lines:
        assert parser.parse_args(line.split()[1:]).run is dev_command.run
    documented = set(re.findall(r"`(--[\w-]+)", page)) - {"--reload"}
    known = set(re.findall(r"--[\w-]+", run("--help").stdout)) - {"--help", "--reload"}
    assert documented == known


# --- the environment of the command -----------------------------------------------------------------------------------


def test_settings_of_production_do_not_reach_the_command() -> None:
    given = {
        "PATH": "/bin",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector.example/v1/traces",
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=canary",
        "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY": "/etc/key.pem",
        "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_SDK_DISABLED": "true",
        "OTEL_CONFIG_FILE": "otel.yaml",
        "OTEL_LOGS_EXPORTER": "none",
        "BLOGAUTO_OTEL_ENVIRONMENT": "production",
        "OTEL_SERVICE_NAME": "shop",
        "PYTHONPATH": "/lib",
    }
    built = child.environment(given, endpoint="http://127.0.0.1:1")
    assert "canary" not in str(built)
    assert {name: built[name] for name in built if "ENDPOINT" in name} == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"
    }
    assert not {"OTEL_TRACES_SAMPLER", "OTEL_SDK_DISABLED", "OTEL_CONFIG_FILE"} & built.keys()
    assert (built["OTEL_LOGS_EXPORTER"], built["BLOGAUTO_OTEL_ENVIRONMENT"]) == ("otlp", "development")
    assert (built["BLOGAUTO_OTEL_SAMPLE_RATE"], built["OTEL_SERVICE_NAME"]) == ("1", "shop")
    assert built["PYTHONPATH"] == f"{child.AUTOLOAD}{os.pathsep}/lib"
    assert given["OTEL_SDK_DISABLED"] == "true"


def test_a_python_without_the_package_runs_as_before(tmp_path: Path) -> None:
    """Such as that of a tool in an environment of its own; another sitecustomize is still imported."""
    (tmp_path / "sitecustomize.py").write_text("print('the other one')")
    built = child.environment({"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)}, endpoint="http://127.0.0.1:1")
    script = (
        "import site, sys; sys.path = [path for path in sys.path if 'site-packages' not in path]\n"
        "site.execsitecustomize(); print('ran')"
    )
    line = [sys.executable, "-S", "-c", script]
    done = subprocess.run(line, capture_output=True, text=True, env=built, timeout=60, cwd=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("the other one\nran\n", "", 0)


@pytest.mark.parametrize(("arrived", "lines"), [(None, 1), (1.0, 0)], ids=["nothing", "something"])
def test_that_nothing_arrives_is_said_once(
    arrived: float | None, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dev_command, "SILENCE_SECONDS", 0.0)
    inspector: Any = SimpleNamespace(ingest=SimpleNamespace(last_arrival=arrived), is_stopping=False)
    dev_command._report_silence(inspector)
    assert capsys.readouterr().err.count("no telemetry has arrived yet") == lines


def test_the_command_is_known_to_the_page() -> None:
    command = Command(["uvicorn", "main:app"])
    assert command.as_dict() == {"argv": ["uvicorn", "main:app"], "pid": None, "running": False, "exit_code": None}
