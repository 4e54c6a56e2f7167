"""Windows and macOS, as far as Linux can simulate them: what they lack is removed before the package is imported."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from testkit.ports import free_port
from testkit.processes import environment, python
from testkit.receiver import Receiver

pytestmark = pytest.mark.slow

# The standard library's modules are imported first: they decide by the system what to define.
TAKE_AWAY = """
import asyncio, functools, importlib.abc, logging, multiprocessing, os, pathlib, select, shutil, signal, socket
import ssl, stat, subprocess, sys, tempfile, psutil

def without(module, *names):
    for name in names:
        vars(module).pop(name, None)

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

def fstat(descriptor, original=os.fstat):
    facts = original(descriptor)
    if stat.S_ISSOCK(facts.st_mode):
        raise OSError(9, "Bad file descriptor")  # a socket's number is no descriptor on Windows
    return facts

def windows():
    global BLOCKED
    without(os, "fork", "forkpty", "register_at_fork", "geteuid", "getuid", "getegid", "getgid", "getpgid", "killpg",
            "fchmod", "fchown", "statvfs", "fstatvfs", "uname", "sysconf", "getloadavg", "sched_getaffinity",
            "O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "setsid")
    without(signal, "pthread_sigmask", "pthread_kill", "sigwait", "SIGHUP", "SIGPIPE", "SIGKILL", "SIGUSR1", "SIGXFSZ",
            "SIG_BLOCK", "SIG_SETMASK", "valid_signals")
    socket.socketpair = functools.partial(socket.socketpair, socket.AF_UNIX)  # the event loop of this system needs it
    shutil.disk_usage = lambda path: shutil._ntuple_diskusage(100, 40, 60)  # it uses another system call there
    without(socket, "AF_UNIX", "MSG_NOSIGNAL")
    without(select, "poll", "epoll")
    BLOCKED = {"fcntl", "resource", "grp", "pwd", "termios"}
    os.fstat = fstat
    sys.platform = "win32"

def macos():
    global BLOCKED
    without(os, "sched_getaffinity")
    without(socket, "MSG_NOSIGNAL")
    without(select, "epoll")
    BLOCKED = set()
    sys.platform = "darwin"

{"windows": windows, "macos": macos}[sys.argv[1]]()
for name in [name for name in sys.modules if name.partition(".")[0] in BLOCKED]:
    del sys.modules[name]
sys.meta_path.insert(0, Blocked())
"""

SERVE = """
import json
import blogauto_otel
from blogauto_otel.instrumentation import system

system.Roots = functools.partial(system.Roots, proc=pathlib.Path("/nowhere"), cgroup=pathlib.Path("/nowhere"))
telemetry = blogauto_otel.configure()

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("fine"))])
sent = []

async def main():
    async def receive():
        return {"type": "http.request", "body": b""}
    async def send(message):
        sent.append(message)
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
             "path": "/", "raw_path": b"/", "query_string": b"", "root_path": "", "headers": [],
             "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}
    await app(scope, receive, send)

asyncio.run(main())
telemetry.force_flush()
asyncio.run(main())
facts = telemetry.status().as_dict()
print(json.dumps({"code": sent[0]["status"], **facts}), file=sys.__stdout__)
telemetry.shutdown(2.0)
"""


def run(system: str, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = python("-c", TAKE_AWAY + script, system, *arguments)
    return subprocess.run(command, capture_output=True, text=True, env=environment(**variables), timeout=120)


def facts_of(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stdout.splitlines() if line.startswith("{")]
    facts = json.loads(line)
    assert isinstance(facts, dict)
    return facts


@pytest.mark.parametrize("system", ["windows", "macos"])
def test_a_service_is_recorded_and_delivered(system: str) -> None:
    with Receiver() as receiver:
        facts = facts_of(run(system, SERVE, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url))
        assert [span.name for span in receiver.spans] == ["GET /", "GET /"]
        assert receiver.connections <= 6  # reused, by signal and by thread that sends
    assert facts["code"] == 200
    assert facts["swallowed"] == {}


def test_windows_logs_in_one_line_that_it_has_no_spool(tmp_path: Path) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    done = run("windows", SERVE, OTEL_EXPORTER_OTLP_ENDPOINT=away, BLOGAUTO_OTEL_SPOOL_DIR=str(tmp_path))
    facts = facts_of(done)
    assert facts["swallowed"] == {}
    said = [line for line in (done.stdout + done.stderr).splitlines() if "no spool on this system" in line]
    assert len(said) == 1
    assert "which has no fcntl: what cannot be sent waits in memory only" in said[0]
    assert list(tmp_path.iterdir()) == []


def test_macos_has_a_spool(tmp_path: Path) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    done = run("macos", SERVE, OTEL_EXPORTER_OTLP_ENDPOINT=away, BLOGAUTO_OTEL_SPOOL_DIR=str(tmp_path))
    assert facts_of(done)["swallowed"] == {}
    assert list(tmp_path.rglob("*.traces"))


COMMAND = """
from blogauto_otel.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("command", ["settings", "spool", "check"])
def test_the_command_line_works_on_windows(command: str) -> None:
    with Receiver() as receiver:
        done = run("windows", COMMAND, command, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    if command == "spool":
        assert done.stdout.startswith("off: this system has no fcntl")
