"""Recorded traffic: what the example emits in half a minute, with timestamps stretched to an hour. Every panel is checked on it.

The example runs, follows the scenario, and sends its telemetry through the real Collector. Everything that the shipped
Prometheus would scrape is scraped 240 times; the samples are stored as if fifteen seconds lay between two scrapes. Names,
labels, counts and durations are what was emitted.
"""

from __future__ import annotations

import bisect
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Final

from examples import traffic
from monitoring.metrics import known_metrics
from monitoring.parameters import ALERTMANAGER_JOB, BLOGAUTO, COLLECTOR_JOB, PROMETHEUS_JOB, SCRAPE_INTERVAL
from stack.build import ROOT
from stack.processes import LOOPBACK, Process, Stack, free_port, get
from testkit.receiver import LogRecord, Receiver

STEPS: Final = 240
SECONDS_PER_STEP: Final = 0.12  # real seconds for each scrape interval of the recording, or more on a busy machine
PATIENCE: Final = 30  # seconds to wait for the last requests of a client
BEGIN: Final = int(datetime(2026, 11, 2, 9, 0, tzinfo=timezone.utc).timestamp())
END: Final = BEGIN + STEPS * SCRAPE_INTERVAL

_LINE: Final = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*?)\})? (\S+)(?: # \{(.*?)\} (\S+).*)?$")
_LABEL: Final = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Sample:
    """One sample of a series: its stretched time in Unix seconds, its value, and an exemplar when there was one."""

    time: int
    name: str
    labels: Mapping[str, str]
    value: float
    trace_id: str = ""
    exemplar: float = 0.0


@dataclass(frozen=True)
class LogLine:
    """One log record as Loki would store it."""

    time: float
    level: str
    text: str
    trace_id: str


@dataclass(frozen=True)
class RecordedTraffic:
    """Samples and log lines of one run of the scenario."""

    samples: Sequence[Sample]
    logs: Sequence[LogLine]


TrafficKind = Callable[[str], traffic.Statuses]

# Kind of traffic, first and last step, number of clients, and their pause between two rounds in real seconds.
SCENARIO: Final[tuple[tuple[TrafficKind, int, int, int, float], ...]] = (
    (partial(traffic.normal, rounds=2), 0, STEPS, 1, 0.2),
    (traffic.lost, 0, STEPS, 1, 1.5),
    (traffic.slow, 60, 78, 3, 0.0),
    (traffic.bugs, 110, 128, 1, 0.1),
    (traffic.content_failures, 114, 130, 1, 0.8),
    (traffic.wordpress_failures, 140, 156, 1, 0.8),
    (traffic.failed_logins, 162, 180, 1, 0.3),
    (traffic.attacks, 165, 190, 1, 0.3),
    (traffic.rate_limited, 196, 206, 1, 0.6),
    (traffic.api_key_failures, 212, 222, 1, 0.8),
)


@contextmanager
def example(folder: Path, endpoint: str, *, port: int, **variables: str) -> Iterator[Process]:
    """The example blog as a process, its telemetry sent to `endpoint`."""
    environment = {
        "BLOG_DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'blog.db'}",
        "OTEL_SERVICE_NAME": BLOGAUTO.job,
        "OTEL_RESOURCE_ATTRIBUTES": "service.version=1.4.2,deployment.environment.name=demo",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_METRIC_EXPORT_INTERVAL": "100",
        "PYTHONPATH": str(ROOT),
        **variables,
    }
    url = f"http://{LOOPBACK}:{port}"
    command = [sys.executable, "-m", "uvicorn", "examples.blog.main:app", "--host", LOOPBACK, "--port", str(port)]
    process = Process(
        "example", command, ready_url=f"{url}/api/health", log=folder / "example.log", url=url, env=environment
    )
    with process:
        yield process


def record_traffic(folder: Path) -> RecordedTraffic:
    """Run the scenario and record it."""
    port = free_port()
    with ExitStack() as running:
        loki = running.enter_context(Receiver())
        stack = running.enter_context(
            Stack(
                folder,
                overlays=("export-jaeger", "export-loki", "export-prometheus-pull"),
                backend=f"{LOOPBACK}:{port}",
                alertmanager=True,
                env={"LOKI_OTLP_ENDPOINT": loki.url},
            )
        )
        blog = running.enter_context(example(folder, stack.collector.endpoint, port=port))
        samples, steps = _record(stack, blog)
        logs = _logs(loki, steps)
    return RecordedTraffic(samples, logs)


def _record(stack: Stack, blog: Process) -> tuple[list[Sample], list[float]]:
    """The samples, and the real time at which each step began."""
    clients = [_Client(blog.url, *line) for line in _clients()]
    samples: list[Sample] = []
    began: list[float] = []
    for step in range(STEPS):
        for client in clients:
            client.at(step)
        began.append(time.time())
        due = began[-1] + SECONDS_PER_STEP  # from now: a late step must not shorten the next ones
        samples += _scrape(stack, blog, BEGIN + (step + 1) * SCRAPE_INTERVAL)
        time.sleep(max(0.0, due - time.time()))
    for client in clients:
        client.at(STEPS)
    return samples, began


def _clients() -> Iterator[tuple[TrafficKind, int, int, float]]:
    for send, first, last, count, pause in SCENARIO:
        for _ in range(count):
            yield send, first, last, pause


class _Client:
    """One client of the scenario: it sends from its first step to its last, and at least once on the slowest machine."""

    def __init__(self, url: str, send: TrafficKind, first: int, last: int, pause: float) -> None:
        self._first, self._last = first, last
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(partial(send, url), pause), daemon=True)

    def at(self, step: int) -> None:
        """Start or stop at this step; the recording waits for what was sent last."""
        if step == self._first:
            self._thread.start()
        if step == self._last:
            self._finished.set()
            self._thread.join(PATIENCE)

    def _run(self, send: Callable[[], object], pause: float) -> None:
        while True:
            send()
            if self._finished.wait(max(pause, 0.02)):
                return


# --- scraping what Prometheus would scrape --------------------------------------------------------------------------------


def _scrape(stack: Stack, blog: Process, when: int) -> Iterator[Sample]:
    collector = f"http://{LOOPBACK}:{stack.collector.ports['PROMETHEUS']}/metrics"
    own = f"http://{LOOPBACK}:{stack.collector.ports['METRICS']}/metrics"
    yield from _scrape_target(collector, "otel-apps", "otel-collector:8889", when, honor_labels=True)
    yield from _scrape_target(own, COLLECTOR_JOB, "otel-collector:8888", when)
    yield from _scrape_target(f"{stack.prometheus.url}/metrics", PROMETHEUS_JOB, "localhost:9090", when)
    yield from _scrape_target(f"{stack.alertmanager.url}/metrics", ALERTMANAGER_JOB, "alertmanager:9093", when)
    yield from _scrape_target(f"{blog.url}/metrics", BLOGAUTO.job, "backend:8000", when, samples=False)


def _scrape_target(
    url: str, job: str, instance: str, when: int, *, honor_labels: bool = False, samples: bool = True
) -> Iterator[Sample]:
    began = time.monotonic()
    status, text = get(url, accept="application/openmetrics-text; version=1.0.0")
    target = {"job": job, "instance": instance}
    yield Sample(when, "up", target, float(status == 200))
    yield Sample(when, "scrape_duration_seconds", target, time.monotonic() - began)
    if samples:
        yield from (
            _with_target_labels(sample, target, honor_labels=honor_labels) for sample in parse_exposition(text, when)
        )


def _with_target_labels(sample: Sample, target: Mapping[str, str], *, honor_labels: bool) -> Sample:
    labels = {**target, **sample.labels} if honor_labels else {**sample.labels, **target}
    return replace(sample, labels=labels)


_KNOWN_METRICS: Final = frozenset(known_metrics(BLOGAUTO))


def parse_exposition(text: str, when: int) -> Iterator[Sample]:
    """The samples of a text exposition that rules or boards may use."""
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None or match[1] not in _KNOWN_METRICS:
            continue
        exemplar = dict(_LABEL.findall(match[4] or ""))
        labels = dict(_LABEL.findall(match[2] or ""))
        value = float(match[5]) if match[5] else 0.0
        yield Sample(when, match[1], labels, float(match[3]), exemplar.get("trace_id", ""), value)


def _logs(loki: Receiver, steps: Sequence[float]) -> list[LogLine]:
    lines = [_line(record, steps) for record in loki.logs]
    return sorted((line for line in lines if BEGIN <= line.time <= END), key=lambda line: line.time)


def _line(record: LogRecord, steps: Sequence[float]) -> LogLine:
    real = (record.time or record.observed_time) / 1e9
    stretched = BEGIN + bisect.bisect(steps, real) * SCRAPE_INTERVAL
    return LogLine(stretched, record.severity.lower(), str(record.body), record.trace_id)


# --- writing --------------------------------------------------------------------------------------------------------


def openmetrics(samples: Sequence[Sample]) -> str:
    """Text for `promtool tsdb create-blocks-from openmetrics`, which ignores types."""
    ordered = sorted(samples, key=lambda one: (one.name, sorted(one.labels.items()), one.time))
    return "\n".join([*map(_line_of, ordered), "# EOF", ""])


def _line_of(sample: Sample) -> str:
    pairs = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
    return f"{sample.name}{{{pairs}}} {sample.value!r} {sample.time}"
