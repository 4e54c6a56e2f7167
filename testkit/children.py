"""Real child processes: servers and scripts that are started, asked, signalled and timed."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Long enough for a loaded two-core machine; a test that needs it all has failed.
PATIENCE = 60.0


def environment(**variables: str) -> dict[str, str]:
    """The environment of a child: this one's without telemetry settings, with the repository importable."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "BLOGAUTO_OTEL_", "SENTRY_"))}
    paths = [str(ROOT), *filter(None, [clean.get("PYTHONPATH")])]
    return {**clean, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", **variables}


@dataclass
class Child:
    """A process in a group of its own; its output goes to a file."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def get(self, path: str = "/", headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """One request on a connection of its own: status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers=dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def wait_until_it_answers(self, path: str = "/") -> float:
        """Wait for the first answer; seconds since the start."""
        while time.monotonic() - self.started < PATIENCE:
            if self.process.poll() is not None:
                raise AssertionError(f"the child ended with {self.process.returncode}:\n{self.output}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.get(path)
                return time.monotonic() - self.started
            time.sleep(0.05)
        raise AssertionError(f"no answer within {PATIENCE} s:\n{self.output}")

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> float:
        """Signal and wait; seconds until the process was gone."""
        began = time.monotonic()
        self.send(number)
        self.wait()
        return time.monotonic() - began

    def wait(self) -> int:
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the child does not end:\n{self.output}") from None


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, *, port: int = 0, **variables: str) -> Iterator[Child]:
    """Run a command in a process group that is gone after the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            # A spool of its own where the user's would be, or what another test has left would arrive here.
            env=environment(**{"XDG_STATE_HOME": str(log.parent / "state"), **variables}),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Child(process, log, port)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


def python(*arguments: str) -> list[str]:
    """A command line of this interpreter."""
    return [sys.executable, *arguments]
