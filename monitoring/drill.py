"""Fire drill: the example misbehaves, and the alert arrives at a webhook, through every real program between."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from monitoring.alertmanager import RECEIVERS, SECRETS, configuration
from monitoring.generate import ROOT, rules, write
from monitoring.parameters import BLOGAUTO
from monitoring.proof.hour import example
from monitoring.provocations import PROVOCATIONS
from stack.processes import LOOPBACK, Process, Stack, StackError, eventually, free_port

FASTER: Final = 60  # five minutes become five seconds

_DURATION: Final = re.compile(r"(?<=[\[ ])(\d+)([smhd])(?=[\]\s,)])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}

# What a host does cannot be provoked without hurting it: limits that every machine is beyond, and none is.
MOVED: Final[Mapping[str, tuple[str, float, float]]] = {
    "HighCpuUsage": ("cpu_percent", -1, 101),
    "LowMemoryAvailable": ("memory_available_ratio", 2, 0),
    "LowDiskSpace": ("disk_percent", -1, 101),
}

# One after the other: fast failures of an endpoint hide slow answers of the same.
ACTS: Final = (
    (
        "HighApiResponseTime",
        "HighRateLimitRejections",
        "AuthFailureSpike",
        "ApiKeyStorageFailure",
        "WordPressPublishFailure",
    ),
    ("HighApiErrorRate", "ContentGenerationFailure"),
)
SLOW_VISITORS: Final = 3

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Notice:
    """One alert as a webhook received it."""

    receiver: str
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    after: float  # seconds since the drill began

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels["alertname"]


class Phone:
    """Where notifications arrive: a webhook on loopback that keeps what it is told."""

    def __init__(self, tell: Tell) -> None:
        self.notices: list[Notice] = []
        self._tell = tell
        self._began = time.monotonic()
        phone = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                phone.ring(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
                """The drill tells what matters."""

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)

    def __enter__(self) -> Phone:  # noqa: PYI034 - Self is not in typing before Python 3.11
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, receiver: str) -> str:
        """What belongs into a receiver's file."""
        return f"http://{LOOPBACK}:{self._server.server_port}/{receiver}"

    def ring(self, message: Mapping[str, Any]) -> None:
        """Take a notification."""
        after = time.monotonic() - self._began
        for alert in message["alerts"]:
            notice = Notice(message["receiver"], alert["status"], alert["labels"], alert["annotations"], after)
            if (notice.name, notice.status) not in {
                (known.name, known.status) for known in self.notices
            } and notice.name != "Watchdog":
                self._tell(
                    f"{after:6.1f} s  {notice.receiver}: {notice.status} {notice.name}: {notice.annotations['summary']}"
                )
            self.notices.append(notice)

    def heard(self, name: str, status: str) -> bool:
        """Whether an alert fires (in one of its instances), or is resolved (in all)."""
        last = {tuple(sorted(one.labels.items())): one.status for one in list(self.notices) if one.name == name}
        return status in last.values() if status == "firing" else set(last.values()) == {status}


def rehearse(alert: str, tell: Tell = lambda line: print(line, flush=True)) -> int:
    """Provoke an alert, or all that can be, until each has arrived, and behave until each is resolved; 1 when one does not.

    Everything runs on this machine and is thrown away: the example, Collector, Prometheus, Alertmanager and a webhook.
    """
    drilled = [name for name, provocation in PROVOCATIONS.items() if provocation.drilled]
    names = drilled if alert == "all" else [alert]
    try:
        with tempfile.TemporaryDirectory() as folder:
            Drill(Path(folder), names, tell).run()
    except StackError as error:
        tell(str(error))
        return 1
    return 0


class Drill:
    """One rehearsal, from the first start to the last resolution."""

    def __init__(self, folder: Path, names: Sequence[str], tell: Tell) -> None:
        self._folder = folder
        self._names = names
        self._tell = tell
        self.notices: list[Notice] = []

    def run(self) -> Sequence[Notice]:
        """Everything that arrived.

        Raises:
            stack.processes.StackError: an alert did not arrive, or was not resolved, in time.
        """
        port = free_port()
        with Phone(self._tell) as phone, self._stack(phone, port) as stack:
            self.notices = phone.notices
            with self._example(stack, port) as blog:
                self._settle(stack)
                self._misbehave(phone, blog)
                self._behave(phone, stack)
            if "BackendServiceDown" in self._names:
                self._wait(phone, ["BackendServiceDown"], "firing")
                with self._example(stack, port):
                    self._wait(phone, ["BackendServiceDown"], "resolved")
        return self.notices

    def _stack(self, phone: Phone, port: int) -> Stack:
        self._write_rules(beyond=True)
        return Stack(
            self._folder,
            overlays=("process-redact", "export-prometheus-pull"),
            backend=f"{LOOPBACK}:{port}",
            interval="1s",
            alertmanager=_alertmanager(self._folder, phone),
            rules=[str(self._folder / "rules" / "*.yml")],
        )

    def _example(self, stack: Stack, port: int) -> AbstractContextManager[Process]:
        return example(self._folder, stack.collector.endpoint, port=port, OTEL_METRIC_EXPORT_INTERVAL="500")

    def _write_rules(self, *, beyond: bool) -> None:
        limits = {field: low if beyond else high for name, (field, low, high) in MOVED.items() if name in self._names}
        service = replace(BLOGAUTO, thresholds=replace(BLOGAUTO.thresholds, **limits))
        write({f"rules/{name}": faster(text) for name, text in rules(service).items()}, self._folder)

    def _settle(self, stack: Stack) -> None:
        """Until the example is seen to be up: what fired because it was not is over."""
        stack.prometheus.wait_for(f'target_info{{job="{BLOGAUTO.job}"}} and on (job) up == 1')
        stack.prometheus.wait_for(
            'count(ALERTS{alertname="BackendServiceDown"}) or vector(0)', lambda found: found[0].value == 0
        )

    def _misbehave(self, phone: Phone, blog: Process) -> None:
        self._wait(phone, [name for name in self._names if name in MOVED], "firing")
        for act in ACTS:
            wanted = [name for name in act if name in self._names]
            kinds = [kind for name in wanted for kind in PROVOCATIONS[name].traffic]
            with ExitStack() as visitors:
                for kind in kinds:
                    for _ in range(SLOW_VISITORS if kind == "slow" else 1):
                        visitors.enter_context(_visitor(blog.url, kind))
                self._wait(phone, wanted, "firing")

    def _behave(self, phone: Phone, stack: Stack) -> None:
        self._write_rules(beyond=False)
        os.kill(stack.prometheus.pid, signal.SIGHUP)
        self._wait(phone, [name for name in self._names if name != "BackendServiceDown"], "resolved")

    def _wait(self, phone: Phone, names: Sequence[str], status: str) -> None:
        for name in names:
            eventually(lambda name=name: phone.heard(name, status), timeout=90, what=f"{name} {status}")  # type: ignore[misc]


@contextmanager
def _visitor(url: str, kind: str) -> Iterator[None]:
    """Traffic of one kind for as long as the block takes: the command of the runbook."""
    command = [sys.executable, "-m", "examples.traffic", url, kind, "--seconds", "900"]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        child.kill()
        child.wait()


def faster(text: str) -> str:
    """A configuration with all its durations divided, none below a second."""

    def shorter(match: re.Match[str]) -> str:
        return f"{max(1, int(match[1]) * _SECONDS[match[2]] // FASTER)}s"

    return _DURATION.sub(shorter, text)


def _alertmanager(folder: Path, phone: Phone) -> Path:
    secrets = folder / "secrets"
    secrets.mkdir()
    for receiver in RECEIVERS:
        (secrets / f"{receiver}_url").write_text(phone.url(receiver))
    path = folder / "alertmanager.yml"
    path.write_text(faster(configuration()).replace(SECRETS, str(secrets)))
    return path
