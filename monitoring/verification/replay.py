"""Recorded traffic: what each kind of request of the example adds to every series, measured once through the real Collector.

The example runs and receives each kind of request alone. What Prometheus would scrape is scraped before and after, so the
recording does not depend on the speed of the machine. `day` composes a day from it; every panel is checked on that.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from examples import traffic
from examples.blog_process import PRICES
from monitoring.metrics import known_metrics, sdk_metric
from monitoring.parameters import ALERTMANAGER_JOB, BLOGAUTO, COLLECTOR_JOB, PROMETHEUS_JOB
from stack.build import ROOT
from stack.processes import LOOPBACK, Process, Stack, eventually, free_port, get
from testkit.receiver import LogRecord, Receiver

_LINE: Final = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*?)\})? (\S+)(?: # \{(.*?)\} (\S+).*)?$")
_LABEL: Final = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')

Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]  # a series: its name and its labels, sorted
Send = Callable[[str], traffic.Statuses]

# One request, or session, of each kind.
KINDS: Final[Mapping[str, Send]] = {
    "normal": partial(traffic.normal, rounds=2),
    "lost": partial(traffic.lost, count=1),
    "slow": partial(traffic.slow, seconds=32),  # longer than the limits of all alerts about slow answers
    "bugs": traffic.bugs,
    "repeated_queries": traffic.repeated_queries,
    "content_failures": partial(traffic.content_failures, count=1),
    "ai_limits": partial(traffic.ai_limits, count=1),
    "api_key_failures": partial(traffic.api_key_failures, count=2),
    "wordpress_failures": partial(traffic.wordpress_failures, count=1),
    "blocking": traffic.blocking,
    "failed_logins": traffic.failed_logins,
    "attacks": traffic.attacks,
    "rate_limited": traffic.rate_limited,
}
EXPORTS: Final = "exports"  # a kind without requests: one export of the metrics
QUIET: Final = 3.0  # seconds, of which every tenth has an export
SETTLE: Final = 0.5  # seconds after the last request was counted: several intervals of the metric export


@dataclass(frozen=True)
class Exemplar:
    """A measurement with its trace: the name of the histogram, the value, and the trace's id."""

    name: str
    value: float
    trace_id: str


@dataclass(frozen=True)
class LogLine:
    """One log record as Loki would store it; `time` is in Unix seconds."""

    time: float
    level: str
    text: str
    trace_id: str
    scope: str


@dataclass(frozen=True)
class Added:
    """What one request or session of a kind adds to the counters, and what it leaves beside."""

    counters: Mapping[Key, float]
    exemplars: Sequence[Exemplar] = ()
    logs: Sequence[LogLine] = ()


@dataclass(frozen=True)
class Measured:
    """Every series after the first session, and what each kind adds; `present` exist from the start."""

    present: Mapping[Key, float]
    added: Mapping[str, Added]


@contextmanager
def example(folder: Path, endpoint: str, *, port: int, **variables: str) -> Iterator[Process]:
    """The example blog as a process, its telemetry sent to `endpoint`."""
    environment = {
        "BLOG_DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'blog.db'}",
        "OTEL_SERVICE_NAME": BLOGAUTO.job,
        "OTEL_RESOURCE_ATTRIBUTES": "service.version=1.4.2,service.instance.id=web-1,deployment.environment.name=demo",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_METRIC_EXPORT_INTERVAL": "100",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_BLRP_SCHEDULE_DELAY": "100",
        "BLOGAUTO_OTEL_AI_PRICES": str(PRICES),
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


def measure(folder: Path) -> Measured:
    """Send each kind of request to the example, one after the other."""
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
        recorder = _Recorder(stack, blog, loki)
        recorder.send(KINDS["normal"])  # creates what every session needs
        present = recorder.scrape()[0]
        added = {name: recorder.added(send) for name, send in KINDS.items()}
        return Measured(present, {**added, EXPORTS: recorder.exports()})


class _Recorder:
    """Sends requests and waits until everything about them has arrived."""

    def __init__(self, stack: Stack, blog: Process, loki: Receiver) -> None:
        self._stack, self._blog, self._loki = stack, blog, loki
        self._counted = 0
        self._logs = 0

    def send(self, send: Send) -> None:
        before = self._requests()
        expected = before + sum(send(self._blog.url).values())
        eventually(lambda: self._requests() >= expected, timeout=30, what="metrics of the requests")
        eventually(self._is_all_sent, timeout=30, what="all spans and log records in the backends")
        time.sleep(SETTLE)

    def added(self, send: Send) -> Added:
        before, known = self.scrape()
        self._logs = len(self._loki.logs)
        self.send(send)
        after, exemplars = self.scrape()
        seen = {exemplar.trace_id for exemplar in known}
        counters = {
            key: value - before.get(key, 0.0)
            for key, value in after.items()
            if _is_counter(key) and not _is_of_exports(key) and value > before.get(key, 0.0)
        }
        return Added(
            counters,
            [exemplar for exemplar in exemplars if exemplar.trace_id not in seen],
            [_line(record) for record in list(self._loki.logs)[self._logs :]],
        )

    def exports(self) -> Added:
        """What each export of the metrics adds to the counters of the telemetry itself, whatever is requested."""
        before, _ = self.scrape()
        time.sleep(QUIET)
        after, _ = self.scrape()
        grown = {key: after[key] - before.get(key, 0.0) for key in after if _is_counter(key) and _is_of_exports(key)}
        count = sum(amount for (name, _), amount in grown.items() if name == sdk_metric("export.requests"))
        return Added({key: amount / count for key, amount in grown.items()})

    def scrape(self) -> tuple[dict[Key, float], list[Exemplar]]:
        """Every series that Prometheus would scrape now, and the exemplars."""
        samples: dict[Key, float] = {}
        exemplars: list[Exemplar] = []
        for url, job, instance, is_scraped in self._targets():
            began = time.monotonic()
            status, text = get(url, accept="application/openmetrics-text; version=1.0.0")
            target = {"job": job, "instance": instance}
            samples[_key("up", target)] = float(status == 200)
            samples[_key("scrape_duration_seconds", target)] = time.monotonic() - began
            for name, labels, value, exemplar in parse_exposition(text) if is_scraped else ():
                samples[_key(name, {**target, **labels} if job == "otel-apps" else {**labels, **target})] = value
                exemplars += [exemplar] if exemplar else []
        return samples, exemplars

    def _targets(self) -> Iterator[tuple[str, str, str, bool]]:
        ports = self._stack.collector.ports
        yield f"http://{LOOPBACK}:{ports['PROMETHEUS']}/metrics", "otel-apps", "otel-collector:8889", True
        yield f"http://{LOOPBACK}:{ports['METRICS']}/metrics", COLLECTOR_JOB, "otel-collector:8888", True
        yield f"{self._stack.prometheus.url}/metrics", PROMETHEUS_JOB, "localhost:9090", True
        yield f"{self._stack.alertmanager.url}/metrics", ALERTMANAGER_JOB, "alertmanager:9093", True
        yield f"{self._blog.url}/metrics", BLOGAUTO.job, "backend:8000", False

    def _is_all_sent(self) -> bool:
        """Whether the SDK and the Collector have sent all; what they sent later would be measured with the next kind."""
        accepted, sent = (self._series("PROMETHEUS", sdk_metric(name)) for name in ("items.accepted", "items.sent"))
        by_signal = (
            sent.get(labels, 0.0) >= count for labels, count in accepted.items() if ("signal", "metrics") not in labels
        )
        return all(by_signal) and all(
            self._total("METRICS", f"otelcol_exporter_sent_{items}_total")
            >= self._total("METRICS", f"otelcol_receiver_accepted_{items}_total")
            for items in ("spans", "log_records")
        )

    def _requests(self) -> float:
        return self._total("PROMETHEUS", BLOGAUTO.metric("api.requests"))

    def _total(self, port: str, name: str) -> float:
        return sum(self._series(port, name).values())

    def _series(self, port: str, name: str) -> dict[Labels, float]:
        """The series of a metric at a port of the Collector: the application's (PROMETHEUS), or its own (METRICS)."""
        url = f"http://{LOOPBACK}:{self._stack.collector.ports[port]}/metrics"
        found = parse_exposition(get(url, accept="application/openmetrics-text; version=1.0.0")[1])
        return {_key(one, labels)[1]: value for one, labels, value, _ in found if one == name}


_KNOWN_METRICS: Final = known_metrics(BLOGAUTO)


def _is_counter(key: Key) -> bool:
    return key[0] in _KNOWN_METRICS and _KNOWN_METRICS[key[0]].type == "counter"


def _is_of_exports(key: Key) -> bool:
    """Whether it counts metrics on their way: those grow with the time, not with the requests."""
    return ("signal", "metrics") in key[1] or "metric_points" in key[0]


def _key(name: str, labels: Mapping[str, str]) -> Key:
    return name, tuple(sorted(labels.items()))


def parse_exposition(text: str) -> Iterator[tuple[str, dict[str, str], float, Exemplar | None]]:
    """The samples of a text exposition that rules or boards may use."""
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None or match[1] not in _KNOWN_METRICS:
            continue
        trace_id = dict(_LABEL.findall(match[4] or "")).get("trace_id", "")
        exemplar = Exemplar(match[1].removesuffix("_bucket"), float(match[5]), trace_id) if trace_id else None
        yield match[1], dict(_LABEL.findall(match[2] or "")), float(match[3]), exemplar


def _line(record: LogRecord) -> LogLine:
    moment = (record.time or record.observed_time) / 1e9
    return LogLine(moment, record.severity.lower(), str(record.body), record.trace_id, record.scope)
