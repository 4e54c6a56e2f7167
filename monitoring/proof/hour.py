"""An hour of the example's life, lived in a minute and replayed at its true pace: what every panel is tried on.

The example runs, misbehaves as the script says, and sends its telemetry through the real Collector. Everything that the shipped
Prometheus would scrape is read 240 times; the readings are stored as if fifteen seconds lay between two of them. Nothing is made
up: names, labels, counts and durations are what was emitted.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Final

from examples import traffic
from monitoring.metrics import known
from monitoring.parameters import ALERTMANAGER_JOB, BLOGAUTO, COLLECTOR_JOB, PROMETHEUS_JOB, SCRAPE_INTERVAL
from stack.build import ROOT
from stack.processes import LOOPBACK, Process, Stack, free_port, get
from stack.receiver import LogRecord, Receiver

STEPS: Final = 240
PACE: Final = 0.12  # seconds lived for each fifteen replayed
BEGIN: Final = int(datetime(2026, 11, 2, 9, 0, tzinfo=timezone.utc).timestamp())
END: Final = BEGIN + STEPS * SCRAPE_INTERVAL

_LINE: Final = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*?)\})? (\S+)(?: # \{(.*?)\} (\S+).*)?$")
_LABEL: Final = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Reading:
    """One sample: when (Unix seconds, replayed), of which series, and an exemplar where there was one."""

    time: int
    name: str
    labels: Mapping[str, str]
    value: float
    trace_id: str = ""
    exemplar: float = 0.0


@dataclass(frozen=True)
class LogLine:
    """One log record as Loki would have it."""

    time: float
    level: str
    text: str
    trace_id: str


@dataclass(frozen=True)
class Hour:
    """What was read and written."""

    readings: Sequence[Reading]
    logs: Sequence[LogLine]


Act = Callable[[str], traffic.Statuses]

# What happens when: kind of traffic, first and last step, how many at once, pause in seconds lived between two.
SCRIPT: Final[tuple[tuple[Act, int, int, int, float], ...]] = (
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


def live(folder: Path) -> Hour:
    """Live the hour."""
    port = free_port()
    with ExitStack() as ending:
        loki = ending.enter_context(Receiver())
        stack = ending.enter_context(
            Stack(
                folder,
                overlays=("export-jaeger", "export-loki", "export-prometheus-pull"),
                backend=f"{LOOPBACK}:{port}",
                alertmanager=True,
                env={"LOKI_OTLP_ENDPOINT": loki.url},
            )
        )
        blog = ending.enter_context(example(folder, stack.collector.endpoint, port=port))
        readings, began = _watch(stack, blog)
        logs = _logs(loki, began)
    return Hour(readings, logs)


def _watch(stack: Stack, blog: Process) -> tuple[list[Reading], float]:
    over = threading.Event()
    step = 0
    actors = [
        threading.Thread(target=_act, args=(lambda: step, over, blog.url, *line), daemon=True) for line in _cast()
    ]
    for actor in actors:
        actor.start()
    began = time.time()
    readings: list[Reading] = []
    for step in range(STEPS):
        readings += _scrape(stack, blog, BEGIN + (step + 1) * SCRAPE_INTERVAL)
        time.sleep(max(0.0, began + (step + 1) * PACE - time.time()))
    over.set()
    for actor in actors:
        actor.join(30)
    return readings, began


def _cast() -> Iterator[tuple[Act, int, int, float]]:
    for act, first, last, actors, pause in SCRIPT:
        for _ in range(actors):
            yield act, first, last, pause


def _act(
    step: Callable[[], int], over: threading.Event, url: str, act: Act, first: int, last: int, pause: float
) -> None:
    while not over.is_set() and step() < last:
        if step() >= first:
            act(url)
        over.wait(max(pause, 0.02))


# --- reading what Prometheus would read --------------------------------------------------------------------------------


def _scrape(stack: Stack, blog: Process, when: int) -> Iterator[Reading]:
    collector = f"http://{LOOPBACK}:{stack.collector.ports['PROMETHEUS']}/metrics"
    own = f"http://{LOOPBACK}:{stack.collector.ports['METRICS']}/metrics"
    yield from _page(collector, "otel-apps", "otel-collector:8889", when, honor=True)
    yield from _page(own, COLLECTOR_JOB, "otel-collector:8888", when)
    yield from _page(f"{stack.prometheus.url}/metrics", PROMETHEUS_JOB, "localhost:9090", when)
    yield from _page(f"{stack.alertmanager.url}/metrics", ALERTMANAGER_JOB, "alertmanager:9093", when)
    yield from _page(f"{blog.url}/metrics", BLOGAUTO.job, "backend:8000", when, keep=False)


def _page(url: str, job: str, instance: str, when: int, *, honor: bool = False, keep: bool = True) -> Iterator[Reading]:
    began = time.monotonic()
    status, text = get(url, accept="application/openmetrics-text; version=1.0.0")
    target = {"job": job, "instance": instance}
    yield Reading(when, "up", target, float(status == 200))
    yield Reading(when, "scrape_duration_seconds", target, time.monotonic() - began)
    if keep:
        yield from (_labelled(reading, target, honor=honor) for reading in read(text, when))


def _labelled(reading: Reading, target: Mapping[str, str], *, honor: bool) -> Reading:
    labels = {**target, **reading.labels} if honor else {**reading.labels, **target}
    return Reading(reading.time, reading.name, labels, reading.value, reading.trace_id, reading.exemplar)


_KNOWN: Final = frozenset(known(BLOGAUTO))


def read(text: str, when: int) -> Iterator[Reading]:
    """The samples of an exposition that any rule or board may use."""
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None or match[1] not in _KNOWN:
            continue
        exemplar = dict(_LABEL.findall(match[4] or ""))
        labels = dict(_LABEL.findall(match[2] or ""))
        value = float(match[5]) if match[5] else 0.0
        yield Reading(when, match[1], labels, float(match[3]), exemplar.get("trace_id", ""), value)


def _logs(loki: Receiver, began: float) -> list[LogLine]:
    lines = [_line(record, began) for record in loki.logs]
    return sorted((line for line in lines if BEGIN <= line.time <= END), key=lambda line: line.time)


def _line(record: LogRecord, began: float) -> LogLine:
    lived = (record.time or record.observed_time) / 1e9
    replayed = BEGIN + (lived - began) / PACE * SCRAPE_INTERVAL
    return LogLine(replayed, record.severity.lower(), str(record.body), record.trace_id)


# --- keeping it --------------------------------------------------------------------------------------------------------


def openmetrics(readings: Sequence[Reading]) -> str:
    """For `promtool tsdb create-blocks-from openmetrics`: without types, for which it has no use."""
    ordered = sorted(readings, key=lambda one: (one.name, sorted(one.labels.items()), one.time))
    return "\n".join([*map(_written, ordered), "# EOF", ""])


def _written(reading: Reading) -> str:
    pairs = ",".join(f'{name}="{value}"' for name, value in sorted(reading.labels.items()))
    return f"{reading.name}{{{pairs}}} {reading.value!r} {reading.time}"


def save(hour: Hour, path: Path) -> None:
    """As JSON, for the pictures."""
    path.write_text(json.dumps(asdict(hour)))


def load(path: Path) -> Hour:
    """What was saved."""
    document = json.loads(path.read_text())
    return Hour([Reading(**one) for one in document["readings"]], [LogLine(**one) for one in document["logs"]])
