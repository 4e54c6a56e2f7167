"""Fire drill: the example is made to fail until its alerts reach a webhook, through every real program between."""

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
from monitoring.alerts.all import drilled, triggers
from monitoring.generate import ROOT, rules, write
from monitoring.parameters import BLOGAUTO
from monitoring.verification.replay import example
from stack.processes import LOOPBACK, Process, Stack, StackError, eventually, free_port

SPEED_UP: Final = 60  # five minutes become five seconds
SLOW_CLIENTS: Final = 3
ARRIVES: Final = 180.0  # seconds until an alert must have fired, or be resolved; a busy machine needs many of them

_DURATION: Final = re.compile(r"(?<=[\[ ])(\d+)([smhd])(?=[\]\s,)])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Print = Callable[[str], None]


@dataclass(frozen=True)
class Notification:
    """One alert as the webhook received it."""

    receiver: str
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    after: float  # seconds since the drill began

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels["alertname"]


class WebhookReceiver:
    """A webhook on loopback that keeps every notification it receives."""

    def __init__(self, print_line: Print) -> None:
        self.notifications: list[Notification] = []
        self._print = print_line
        self._began = time.monotonic()
        receive = self.receive

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receive(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
                """No access log: the drill prints each notification."""

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)

    def __enter__(self) -> WebhookReceiver:  # noqa: PYI034 - Self is not in typing before Python 3.11
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, receiver: str) -> str:
        """The URL for the file of one of Alertmanager's receivers."""
        return f"http://{LOOPBACK}:{self._server.server_port}/{receiver}"

    def receive(self, message: Mapping[str, Any]) -> None:
        """Keep the alerts of a notification; print each when it first fires or is resolved."""
        after = time.monotonic() - self._began
        for alert in message["alerts"]:
            new = Notification(message["receiver"], alert["status"], alert["labels"], alert["annotations"], after)
            known = {(one.name, one.status) for one in self.notifications}
            if (new.name, new.status) not in known and new.name != "Watchdog":
                self._print(f"{after:6.1f} s  {new.receiver}: {new.status} {new.name}: {new.annotations['summary']}")
            self.notifications.append(new)

    def has(self, name: str, status: str) -> bool:
        """Whether an alert is firing (in one of its instances), or resolved (in all)."""
        last = {tuple(sorted(one.labels.items())): one.status for one in list(self.notifications) if one.name == name}
        return status in last.values() if status == "firing" else set(last.values()) == {status}


def run_drill(alert: str, print_line: Print = lambda line: print(line, flush=True)) -> int:
    """Trigger one alert, or `all`, wait for the notification, then wait until it is resolved; 1 when one does not come.

    The example, Collector, Prometheus, Alertmanager and a webhook run on this machine in a temporary folder; for the alerts
    about tiers, Kafka and five Collectors in place of the example.
    """
    from monitoring.tier_drill import TierDrill

    names = drilled() if alert == "all" else [alert]
    in_tiers = [name for name in names if triggers()[name].in_tiers]
    others = [name for name in names if name not in in_tiers]
    try:
        for kind, chosen in ((Drill, others), (TierDrill, in_tiers)):
            with tempfile.TemporaryDirectory() as folder:
                if chosen:
                    kind(Path(folder), chosen, print_line).run()
    except StackError as error:
        print_line(str(error))
        return 1
    return 0


class Drill:
    """One drill, from the start of the programs to the last resolved alert."""

    def __init__(self, folder: Path, names: Sequence[str], print_line: Print) -> None:
        self._folder = folder
        self._names = names
        self._print = print_line
        # Alerts whose threshold is moved, such as a full disk: their cause would harm the machine.
        self._moved = {name: moved for name in names if (moved := triggers()[name].threshold)}

    def run(self) -> Sequence[Notification]:
        """Every notification that arrived.

        Raises:
            stack.processes.StackError: an alert did not arrive, or was not resolved, in time.
        """
        port = free_port()
        with WebhookReceiver(self._print) as webhook, self._stack(webhook, port) as stack:
            with self._example(stack, port) as blog:
                self._wait_until_up(stack)
                self._wait(webhook, ["Watchdog"], "firing")  # delivery works; without it no other alert would arrive
                self._trigger_alerts(webhook, blog)
                self._resolve_alerts(webhook, stack)
            if "BackendServiceDown" in self._names:
                self._wait(webhook, ["BackendServiceDown"], "firing")
                with self._example(stack, port):
                    self._wait(webhook, ["BackendServiceDown"], "resolved")
        return webhook.notifications

    def _stack(self, webhook: WebhookReceiver, port: int) -> Stack:
        self._write_rules(exceeded=True)
        return Stack(
            self._folder,
            overlays=("process-redact", "export-prometheus-pull"),
            backend=f"{LOOPBACK}:{port}",
            interval="1s",
            alertmanager=alertmanager_file(self._folder, webhook),
            rules=[str(self._folder / "rules" / "*.yml")],
        )

    def _example(self, stack: Stack, port: int) -> AbstractContextManager[Process]:
        return example(self._folder, stack.collector.endpoint, port=port, OTEL_METRIC_EXPORT_INTERVAL="500")

    def _write_rules(self, *, exceeded: bool) -> None:
        limits = {field: always if exceeded else never for field, always, never in self._moved.values()}
        service = replace(BLOGAUTO, thresholds=replace(BLOGAUTO.thresholds, **limits))
        write({f"rules/{name}": shorten_durations(text) for name, text in rules(service).items()}, self._folder)

    def _wait_until_up(self, stack: Stack) -> None:
        """Wait until Prometheus sees the example, and what fired before that is resolved."""
        stack.prometheus.wait_for(f'target_info{{job="{BLOGAUTO.job}"}} and on (job) up == 1')
        stack.prometheus.wait_for(
            'count(ALERTS{alertname="BackendServiceDown"}) or vector(0)', lambda found: found[0].value == 0
        )

    def _trigger_alerts(self, webhook: WebhookReceiver, blog: Process) -> None:
        self._wait(webhook, [name for name in self._moved if not triggers()[name].traffic], "firing")
        for phase in (1, 2, 3):
            by_traffic = {name: triggers()[name] for name in self._names if triggers()[name].traffic}
            wanted = {name: trigger for name, trigger in by_traffic.items() if trigger.drill_phase == phase}
            with ExitStack() as clients:
                for kind in dict.fromkeys(kind for trigger in wanted.values() for kind in trigger.traffic):
                    for _ in range(SLOW_CLIENTS if kind == "slow" else 1):
                        clients.enter_context(_traffic(blog.url, kind))
                self._wait(webhook, list(wanted), "firing")

    def _resolve_alerts(self, webhook: WebhookReceiver, stack: Stack) -> None:
        self._write_rules(exceeded=False)
        os.kill(stack.prometheus.pid, signal.SIGHUP)
        self._wait(webhook, [name for name in self._names if name != "BackendServiceDown"], "resolved")

    def _wait(self, webhook: WebhookReceiver, names: Sequence[str], status: str) -> None:
        for name in names:
            eventually(lambda name=name: webhook.has(name, status), timeout=ARRIVES, what=f"{name} {status}")  # type: ignore[misc]


@contextmanager
def _traffic(url: str, kind: str) -> Iterator[None]:
    """Traffic of one kind while the block runs: the command that the runbook prints."""
    command = [sys.executable, "-m", "examples.traffic", url, kind, "--seconds", "900"]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        child.kill()
        child.wait()


def shorten_durations(text: str) -> str:
    """A configuration with every duration divided by `SPEED_UP`, none below a second."""

    def shorter(match: re.Match[str]) -> str:
        return f"{max(1, int(match[1]) * _SECONDS[match[2]] // SPEED_UP)}s"

    return _DURATION.sub(shorter, text)


def alertmanager_file(folder: Path, webhook: WebhookReceiver) -> Path:
    """The shipped configuration, with shorter durations, whose receivers are the webhook."""
    secrets = folder / "secrets"
    secrets.mkdir()
    for receiver in RECEIVERS:
        (secrets / f"{receiver}_url").write_text(webhook.url(receiver))
    path = folder / "alertmanager.yml"
    path.write_text(shorten_durations(configuration()).replace(SECRETS, str(secrets)))
    return path
