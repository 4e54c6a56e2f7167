"""Child processes: reserved ports, complete termination, useful error messages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stack import build
from testkit.ports import LOOPBACK, free_port
from testkit.processes import Process, StackError, eventually

# A web server with a child process; it prints both process ids.
SERVER = """
import http.server, os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
print(os.getpid(), child.pid, flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


def server(tmp: Path) -> Process:
    url = f"http://{LOOPBACK}:{free_port()}"
    command = [sys.executable, "-c", SERVER, url.rpartition(":")[2]]
    return Process("server", command, ready_url=url, log=tmp / "server.log", url=url)


def pids(log: Path) -> list[int]:
    return eventually(lambda: [int(word) for word in log.read_text().split()[:2]] if log.exists() else [], bool)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_port_is_returned_once_and_outside_the_range_of_outgoing_connections() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(ports) < first_outgoing


def test_another_process_does_not_get_a_reserved_port(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = free_port()
    script = (
        "import random; from testkit import ports\n"
        f"offered = iter([{mine}, {mine}, 10_007])\n"
        "random.randrange = lambda *_: next(offered)\n"
        "print(ports.free_port())"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=build.ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "10007", done.stderr


def test_stop_ends_the_whole_group(tmp_path: Path) -> None:
    with server(tmp_path) as process:
        both = pids(process.log)
        assert all(runs(pid) for pid in both)
    eventually(lambda: [pid for pid in both if runs(pid)], lambda left: not left, timeout=10.0)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    process = Process(
        "deaf", [sys.executable, "-c", DEAF], ready_url="", log=tmp_path / "log", url=f"http://{LOOPBACK}:1"
    )
    eventually(lambda: "deaf" in process.log.read_text())
    assert process.stop(timeout=0.3) == -signal.SIGKILL


def test_a_process_starts_again_on_the_same_port(tmp_path: Path) -> None:
    with server(tmp_path) as process:
        for end in (process.stop, process.kill):
            end()
            assert not process.alive
            process.start()
            process.wait_ready()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_program_ends_with_the_process_that_started_it(tmp_path: Path, how: signal.Signals) -> None:
    """A program ends with the process that started it."""
    script = (
        "import signal, time; from pathlib import Path; from tests.testkit.test_processes import server\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # background jobs of a shell ignore SIGINT
        f"process = server(Path({str(tmp_path)!r})); process.wait_ready(); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=build.ROOT, stderr=subprocess.DEVNULL)
    program, _child = pids(tmp_path / "server.log")
    parent.send_signal(how)
    parent.wait(30)
    eventually(lambda: runs(program), lambda running: not running, timeout=10.0)


def test_a_program_that_ends_while_starting_shows_its_output(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such file')"]
    process = Process("brief", command, ready_url="http://127.0.0.1:9", log=tmp_path / "log", url="http://127.0.0.1:9")
    with pytest.raises(StackError, match="brief ended while starting:\nno such file"):
        process.wait_ready()


def test_a_program_that_is_not_ready_in_time_raises(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('still thinking', flush=True); import time; time.sleep(600)"]
    process = Process("slow", command, ready_url="http://127.0.0.1:9", log=tmp_path / "log", url="http://127.0.0.1:9")
    eventually(lambda: "thinking" in process.log.read_text())
    with pytest.raises(StackError, match=r"slow was not ready after 0 s:\nstill thinking"):
        process.wait_ready(timeout=0.2)
    process.kill()


def test_a_timeout_shows_the_last_result() -> None:
    started = time.monotonic()
    with pytest.raises(StackError, match=r"two did not come within 0 s; last: \[1\]"):
        eventually(lambda: [1], lambda answer: len(answer) == 2, timeout=0.2, what="two")
    assert time.monotonic() - started < 10


def test_a_proxy_of_the_environment_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "http_proxy", "http://127.0.0.1:9")
    with server(tmp_path) as process:
        assert process.alive
