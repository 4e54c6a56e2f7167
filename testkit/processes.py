"""Child processes: started, asked over HTTP, signalled, timed, and always gone at the end."""

from __future__ import annotations

import atexit
import contextlib
import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from typing_extensions import Self

from testkit.ports import LOOPBACK

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 60.0  # seconds; enough for a loaded two-core machine

_running: set[Process] = set()
# A program of util-linux, and no `preexec_fn`: that needs a fork, in which gRPC's threads of an earlier test may fail.
_setpriv = shutil.which("setpriv")
_DIES_WITH_PARENT = (_setpriv, "--pdeathsig", "KILL", "--") if _setpriv else ()
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class StackError(RuntimeError):
    """A program did not start, did not answer, or answered with an error; the message carries the end of its log."""


def get(url: str, *, timeout: float = 10.0, accept: str = "*/*") -> tuple[int, str]:
    """Status and body of a GET; an HTTP error is an answer, not an exception."""
    try:
        with _opener.open(urllib.request.Request(url, headers={"Accept": accept}), timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def eventually(
    ask: Callable[[], T],
    until: Callable[[T], bool] = bool,
    *,
    timeout: float = 60.0,
    every: float = 0.1,
    what: str = "",
) -> T:
    """Call `ask` until its result satisfies `until`, and return that result.

    Raises:
        StackError: `timeout` seconds went by; the message carries the last result.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = ask()
        if until(answer):
            return answer
        if time.monotonic() > deadline:
            raise StackError(
                f"{what or 'the expected answer'} did not come within {timeout:.0f} s; last: {answer!r:.2000}"
            )
        time.sleep(every)


def python(*arguments: str) -> list[str]:
    """A command line of this interpreter."""
    return [sys.executable, *arguments]


def environment(**variables: str) -> dict[str, str]:
    """The environment of a child: this one's without telemetry settings, with the repository importable."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "BLOGAUTO_OTEL_", "SENTRY_"))}
    paths = [str(ROOT), *filter(None, [clean.get("PYTHONPATH")])]
    return {**clean, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", **variables}


def _own_spool(log: Path) -> dict[str, str]:
    """A spool of its own in place of the user's, or the files of another run would be delivered."""
    return {"XDG_STATE_HOME": str(log.parent / "state")}


@atexit.register
def _kill_all() -> None:
    for process in list(_running):
        process.kill()


class Process:
    """One program in a process group of its own; its output goes to a file.

    Args:
        name: For messages.
        command: Program and arguments.
        log: Receives the output; each start appends.
        url: Of the program, ending in its port; empty when it serves nothing.
        ready_url: Answers 200 when the program is ready; `tcp:` when an open port is enough.
        env: Variables in addition to those of this process, or the whole environment when `inherit` is false.
        inherit: Whether the child gets the environment of this process, and is killed when this process dies.
        user: Runs it, when this process is root.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        url: str = "",
        ready_url: str = "",
        env: Mapping[str, str] | None = None,
        inherit: bool = True,
        user: str | None = None,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.url = url
        self.log = log
        self.started = 0.0
        self._ready_url = ready_url
        self._env = dict(env or {})
        self._inherit = inherit
        self._user = user
        self._child: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def port(self) -> int:
        """The port of `url`."""
        return int(self.url.rsplit(":", 1)[1])

    @property
    def pid(self) -> int:
        """The process id of the running program."""
        assert self._child is not None
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether the program runs."""
        return self._child is not None and self._child.poll() is None

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        assert self._child is not None
        return self._child.poll()

    @property
    def output(self) -> str:
        """What it has printed, on both streams."""
        return self.log.read_text(errors="replace")

    def tail(self, lines: int = 20) -> str:
        """The last lines of the output."""
        return "\n".join(self.output.splitlines()[-lines:])

    # -- start

    def start(self) -> None:
        """Start it, or start it again with the same command, ports and data."""
        assert not self.alive, f"{self.name} runs already"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        # The signal goes out when the starting *thread* ends, so only the main thread may ask for it.
        main = threading.current_thread() is threading.main_thread()
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                [*(_DIES_WITH_PARENT if self._inherit and main else ()), *self.command],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **_own_spool(self.log), **self._env} if self._inherit else self._env,
                start_new_session=True,
                user=self._user,
                group=self._user and pwd.getpwnam(self._user).pw_gid,
                extra_groups=[] if self._user else None,
            )
        self.started = time.monotonic()
        _running.add(self)

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Return when `ready_url` says that the program is ready.

        Raises:
            StackError: It ended, or `timeout` seconds went by; with the end of its log.
        """
        deadline = time.monotonic() + timeout
        while not self._ready():
            if not self.alive:
                raise StackError(f"{self.name} ended while starting:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} was not ready after {timeout:.0f} s:\n{self.tail()}")
            time.sleep(0.05)

    def _ready(self) -> bool:
        try:
            if self._ready_url.startswith("tcp:"):
                socket.create_connection((LOOPBACK, self.port), timeout=2.0).close()
                return True
            status, body = get(self._ready_url, timeout=2.0)
        except OSError:
            return False
        return status == 200 and '"healthy":false' not in body

    def wait_until_it_answers(self, path: str = "/") -> float:
        """Wait for the first answer of any status; seconds since the start."""
        while time.monotonic() - self.started < TIMEOUT:
            assert self.alive, f"{self.name} ended with {self.returncode}:\n{self.output}"
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.get(path)
                return time.monotonic() - self.started
            time.sleep(0.05)
        raise AssertionError(f"{self.name} did not answer within {TIMEOUT:g} s:\n{self.output}")

    def get(self, path: str = "/", headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Status and body of one request over a new connection."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=TIMEOUT)
        try:
            connection.request("GET", path, headers=dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    # -- end

    def send_signal(self, number: int) -> None:
        """Signal the program itself, not the processes that it started."""
        assert self._child is not None
        self._child.send_signal(number)

    def terminate(self, number: int = signal.SIGTERM) -> float:
        """Signal the program itself and wait; the seconds until it was gone."""
        began = time.monotonic()
        self.send_signal(number)
        self.wait()
        return time.monotonic() - began

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Wait for its end; the exit status.

        Raises:
            AssertionError: It runs on.
        """
        assert self._child is not None
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {timeout:g} s:\n{self.output}") from None

    def stop(self, timeout: float = 30.0) -> int:
        """SIGTERM to the whole group, SIGKILL after `timeout` seconds; the exit status."""
        return self._end(signal.SIGTERM, timeout)

    def kill(self) -> int:
        """SIGKILL to the whole group: nothing is flushed."""
        return self._end(signal.SIGKILL, 10.0)

    def _end(self, first: signal.Signals, timeout: float) -> int:
        assert self._child is not None
        for number in (first, signal.SIGKILL):
            if self.alive or number is signal.SIGKILL:  # processes that it started may have outlived it
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._child.pid, number)
            try:
                self._child.wait(timeout)
                break
            except subprocess.TimeoutExpired:
                continue
        _running.discard(self)
        return self._child.returncode

    def __enter__(self) -> Self:
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, *, port: int = 0, **variables: str) -> Iterator[Process]:
    """Run a command without this process's telemetry settings; its process group is gone after the block."""
    log.write_bytes(b"")
    url = f"http://{LOOPBACK}:{port}" if port else ""
    env = environment(**{**_own_spool(log), **variables})
    process = Process(log.stem, command, log=log, url=url, env=env, inherit=False)
    try:
        yield process
    finally:
        process.kill()


class JsonWorker:
    """A child that answers each line of JSON on its stdin with a line of JSON on its stdout."""

    def __init__(self, command: Sequence[str], **variables: str) -> None:
        self._child = subprocess.Popen(
            command,
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def call(self, *request: object) -> Any:
        """The answer to one request."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(request) + "\n")
        self._child.stdin.flush()
        return json.loads(self._child.stdout.readline())

    def kill(self) -> None:
        """End it at once."""
        self._child.kill()
        self._child.wait()
