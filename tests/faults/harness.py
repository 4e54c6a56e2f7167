"""The harness of a row: the application as a real process, a faulty receiver, and a control application."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blogauto_otel.spool.file_format import parse
from testkit.console import Line, read_lines
from testkit.ports import free_port
from testkit.processes import python, running
from testkit.receiver import Receiver
from testkit.results import read_result
from testkit.servers import Command, gunicorn, uvicorn
from tests.faults import invariants
from tests.faults.invariants import DEFAULT, Tolerance
from tests.faults.service import Client, Service

APP = "tests.faults.application:app"

UVICORN = uvicorn(APP)
UVICORN_ASYNCIO = uvicorn(APP, "--loop", "asyncio")
UVICORN_WORKERS = uvicorn(APP, "--workers", "2")
UVICORN_RELOAD = uvicorn(APP, "--reload", "--reload-dir", "tests/faults/scripts")
GUNICORN = gunicorn(APP, "-w", "2")
GUNICORN_FOUR = gunicorn(APP, "-w", "4")
GUNICORN_PRELOAD = gunicorn(APP, "-w", "2", "--preload")
GUNICORN_RECYCLING = gunicorn(APP, "-w", "1", "--max-requests", "20")
GUNICORN_SHORT_TIMEOUT = gunicorn(APP, "-w", "1", "--timeout", "2")

SCRIPT_TIMEOUT = 180.0  # seconds; a script that starts telemetry for each setting takes a minute on a loaded machine

VARIABLES = {
    "BLOGAUTO_OTEL_CONSOLE": "json",
    "BLOGAUTO_OTEL_UNTRACED_ROUTES": "/ready,/state",
    "BLOGAUTO_OTEL_SYSTEM_METRICS": "false",
}


@dataclass(frozen=True)
class ScriptResult:
    """A script that has ended."""

    code: int
    seconds: float
    output: str

    @property
    def result(self) -> Any:
        """What it printed with `print_result`."""
        return read_result(self.output)

    @property
    def own_lines(self) -> list[Line]:
        """What the package itself logged."""
        return [line for line in read_lines(self.output) if line.is_own]


@dataclass
class Harness:
    """What a row gets."""

    folder: Path
    control: Client

    @contextlib.contextmanager
    def service(
        self,
        receiver: Receiver | str,
        *,
        tolerance: Tolerance = DEFAULT,
        server: Command = UVICORN,
        with_control: bool = True,
        keep_alive: bool = True,
        **variables: str,
    ) -> Iterator[Service]:
        """Start the application, and assert the invariants when the block ends.

        Args:
            receiver: Gets its telemetry; or the URL of an endpoint with a fault.
            tolerance: How far the fault may affect the application.
            server: Runs it.
            with_control: Whether its latency is compared with the control's.
            keep_alive: Whether requests share one connection; with several workers each needs its own.
            variables: Of its environment.
        """
        with self.unchecked(
            receiver, server=server, with_control=with_control, keep_alive=keep_alive, **variables
        ) as service:
            yield service
            if service.exit_seconds is None:
                if with_control:
                    invariants.latency_is_bounded(service, tolerance)
                service.end()
        assert service.exit_seconds is not None
        invariants.exit_is_quick(service.exit_seconds, tolerance)
        invariants.memory_is_bounded(service, tolerance)
        invariants.nothing_was_raised(service, tolerance)
        invariants.nothing_is_logged_twice(service)
        with self.drained_spool(service):
            invariants.losses_are_counted_and_logged_once(service, tolerance)

    @contextlib.contextmanager
    def drained_spool(self, service: Service) -> Iterator[ScriptResult | None]:
        """If segments are on disk, start a process with a healthy receiver, and wait until the spool is empty."""
        if not self.spooled():
            yield None
            return
        self._move_to_default_directory()
        with Receiver() as receiver:
            script = self.run_script("testkit.drain_spool", receiver)
            assert script.code == 0, script.output
            assert not self.spooled(), script.output
            service.receivers.append(receiver)
            yield script

    def _move_to_default_directory(self) -> None:
        """What was stored for another host, as the log line about it suggests."""
        for directory in self.spool.glob("*+*"):
            default = directory.with_name(directory.name.partition("+")[0])
            default.mkdir(0o700, exist_ok=True)
            for file in directory.iterdir():
                file.rename(default / file.name)

    @property
    def spool(self) -> Path:
        """The spool directory of this row."""
        return self.folder / "spool"

    def spooled(self, state: str = "") -> list[Path]:
        """The segments that wait there, or those in another state: `claim`, `tmp`, `bad`."""
        names = ((path, parse(path.name)) for path in self.spool.rglob("*"))
        wanted = ("", "claim") if not state else (state,)
        return sorted(path for path, name in names if name is not None and name.state in wanted)

    @contextlib.contextmanager
    def unchecked(
        self,
        receiver: Receiver | str,
        *,
        server: Command = UVICORN,
        with_control: bool = True,
        keep_alive: bool = True,
        **variables: str,
    ) -> Iterator[Service]:
        """The same without the invariants."""
        port = free_port()
        log = self.folder / f"{port}.log"
        endpoint = receiver if isinstance(receiver, str) else receiver.url
        environment = self._environment(endpoint, variables)
        with running(server(port), log, port=port, **environment) as child:
            child.wait_until_it_answers("/ready")
            service = Service(child, self.control if with_control else None, keep_alive=keep_alive)
            if isinstance(receiver, Receiver):
                service.receivers.append(receiver)
            service.hit(20)
            service.latencies.clear()
            service.measure_baseline()
            yield service

    def _environment(self, endpoint: str, variables: Mapping[str, str]) -> dict[str, str]:
        where = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "BLOGAUTO_OTEL_SPOOL_DIR": str(self.spool)}
        return {**VARIABLES, **where, **variables}

    def run_script(self, name: str, receiver: Receiver | str = "", *words: str, **variables: str) -> ScriptResult:
        """Run a script of `tests/faults/scripts`, or a module by its full name, to its end."""
        endpoint = receiver if isinstance(receiver, str) else receiver.url
        module = name if "." in name else f"tests.faults.scripts.{name}"
        log = self.folder / f"{name}.log"
        environment = self._environment(endpoint, variables)
        with running(python("-m", module, *words), log, **environment) as child:  # type: ignore[arg-type]
            code = child.wait(SCRIPT_TIMEOUT)
            seconds = time.monotonic() - child.started
        return ScriptResult(code, seconds, child.output)


def succeeded(script: ScriptResult) -> ScriptResult:
    """The script, after asserting that it exited with 0 and raised nothing."""
    assert script.code == 0, script.output
    assert "Traceback" not in script.output, script.output
    return script


@contextlib.contextmanager
def control_application(folder: Path) -> Iterator[Client]:
    """The same application with a healthy receiver, for comparison."""
    with Receiver() as receiver:
        port = free_port()
        variables = {
            **VARIABLES,
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "BLOGAUTO_OTEL_SPOOL_DIR": str(folder / "spool"),
        }
        with running(UVICORN(port), folder / "control.log", port=port, **variables) as child:
            child.wait_until_it_answers("/ready")
            yield Client(port)


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for something that no receiver sees."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.05)
