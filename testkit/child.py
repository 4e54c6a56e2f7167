"""A program of the stack as a child process on loopback: a port of its own, its log in a file, gone when we go."""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import os
import pwd
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TypeVar

from typing_extensions import Self

from stack import build

LOOPBACK = "127.0.0.1"
T = TypeVar("T")


class StackError(RuntimeError):
    """A program did not start, did not answer, or answered with an error; the message carries the end of its log."""


_held: list[IO[str]] = []


def free_port() -> int:
    """A loopback port that nobody listens on, and no other run of this module will be given while this process lives.

    Outside the range that the system hands to outgoing connections: a client that keeps knocking on a closed port of
    that range sooner or later connects to itself, and the restarted program finds its port taken.
    """
    locks = build.cache_root() / "ports"
    locks.mkdir(parents=True, exist_ok=True)
    first_outgoing = _first_outgoing_port()
    for _attempt in range(1000):
        port = random.randrange(10_000, first_outgoing)
        lock = (locks / str(port)).open("w")
        if _lock(lock) and _bindable(port):
            _held.append(lock)
            return port
        lock.close()
    raise StackError("no free port on loopback")


def _first_outgoing_port() -> int:
    try:
        return max(12_000, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]))
    except (OSError, ValueError):
        return 32_768


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


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
    """Ask again and again until the answer satisfies `until`; how tests wait for what must arrive.

    Raises:
        StackError: `timeout` seconds went by; the message carries the last answer.
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


_running: set[Process] = set()
_prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    if _prctl is not None:
        _prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


@atexit.register
def _kill_all() -> None:
    for process in list(_running):
        process.kill()


class Process:
    """One program of the stack from start to end, its log in a file, its group killed when we go.

    Args:
        name: For messages.
        command: Program and arguments.
        ready_url: Answers 200 when the program is ready; `tcp:` when an open port must do.
        log: Takes its output; appended to by each start.
        url: Of the program, ending in its port.
        env: Variables beside those of this process.
        user: Runs it, when this process is root.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        ready_url: str,
        log: Path,
        url: str,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.url = url
        self.log = log
        self._ready_url = ready_url
        self._env = dict(env or {})
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

    def start(self) -> None:
        """Start it, or start it again with the same command, ports and data."""
        assert not self.alive, f"{self.name} runs already"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        # The signal goes out when the starting *thread* ends, so only the main thread may ask for it.
        main = threading.current_thread() is threading.main_thread()
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A spool of its own where the user's would be, or what another run has left would arrive here.
                env={**os.environ, "XDG_STATE_HOME": str(self.log.parent / "state"), **self._env},
                start_new_session=True,
                user=self._user,
                group=self._user and pwd.getpwnam(self._user).pw_gid,
                extra_groups=[] if self._user else None,
                preexec_fn=_die_with_parent if main else None,  # noqa: PLW1509 one prctl call, made before any thread exists in the child
            )
        _running.add(self)

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Return when the program answers that it is ready.

        Raises:
            StackError: it ended, or `timeout` seconds went by; with the end of its log.
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

    def stop(self, timeout: float = 30.0) -> int:
        """SIGTERM, then SIGKILL after `timeout` seconds; the exit status."""
        return self._end(signal.SIGTERM, timeout)

    def kill(self) -> int:
        """SIGKILL to the whole group at once: nothing is flushed."""
        return self._end(signal.SIGKILL, 10.0)

    def _end(self, how: signal.Signals, timeout: float) -> int:
        assert self._child is not None
        for number in (how, signal.SIGKILL):
            self._signal(number)
            try:
                self._child.wait(timeout)
                break
            except subprocess.TimeoutExpired:
                continue
        _running.discard(self)
        return self._child.returncode

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None and self._child.poll() is None:
            os.killpg(self._child.pid, number)

    def tail(self, lines: int = 20) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

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
