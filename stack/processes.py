"""The stack as processes on loopback: shipped configuration, free ports, query APIs as methods, nothing left running.

    with Stack(tmp_path, backend="127.0.0.1:8000") as stack:
        ...                                            # send OTLP to stack.collector.endpoint
        stack.prometheus.query("up")
        stack.jaeger.trace("4bf92f3577b34da6a3ce929d0e0e4736")
        stack.collector.logs()

Every `start_*` returns a context manager: entering waits until the program answers, leaving stops it. Several runs
are independent: each reserves its own ports and keeps its data in its own folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from typing_extensions import Self

from stack import build
from stack.responses import Event, Exemplar, LogRecord, Sample, Span, logs_of, read_exposition, spans_of, total
from testkit.ports import LOOPBACK, free_port
from testkit.processes import Process, StackError, eventually, get

__all__ = [
    "LOOPBACK",
    "Alertmanager",
    "Collector",
    "Event",
    "Exemplar",
    "Jaeger",
    "Kafka",
    "LogRecord",
    "Process",
    "Programs",
    "Prometheus",
    "Sample",
    "Span",
    "Stack",
    "StackError",
    "collector_arguments",
    "collector_environment",
    "ensure_programs",
    "eventually",
    "executable",
    "free_port",
    "get",
    "prometheus_config",
    "scrape_config",
    "start_alertmanager",
    "start_collector",
    "start_jaeger",
    "start_kafka",
    "start_prometheus",
    "write_metrics_token",
]

COLLECTOR = build.ROOT / "collector"
BACKENDS = COLLECTOR / "backends"
TEST_KEY = "0123456789abcdef0123456789abcdef"
SHIPPED_RULES = (str(BACKENDS / "prometheus" / "rules" / "en" / "*.yml"),)


@dataclass(frozen=True)
class Programs:
    """The paths of the stack's executables."""

    otelcol: Path
    prometheus: Path
    promtool: Path
    alertmanager: Path
    amtool: Path
    jaeger: Path


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def ensure_programs(report: build.Report = _report) -> Programs:
    """The executables, built (or copied from images) if they are not in the cache; takes minutes the first time.

    Raises:
        stack.build.BuildError: one message that says what the machine must have.
    """
    quiet = not build.missing()
    return Programs(**build.ensure(report=(lambda _line: None) if quiet else report))


def executable(name: str) -> Path:
    """One executable; builds its own program and no other, if that is not in the cache.

    Raises:
        stack.build.BuildError: one message that says what the machine must have.
    """
    programs = [program for program in (*build.PROGRAMS, build.KAFKA) if name in program.packages]
    quiet = not build.missing(programs)
    return build.ensure(programs, (lambda _line: None) if quiet else _report)[name]


# The overlays of docker-compose.yml, with a file in place of Loki.
SHIPPED_OVERLAYS = ("process-redact", "receive-fluentd", "export-jaeger", "export-prometheus-pull", "export-file")

COLLECTOR_PORTS = ("GRPC", "HTTP", "HEALTH", "METRICS", "PROMETHEUS", "FLUENTD")


# How a document of a signal begins.
_DOCUMENT = {"traces": '{"resourceSpans":', "metrics": '{"resourceMetrics":', "logs": '{"resourceLogs":'}


class Collector(Process):
    """A running Collector: its endpoints and its output."""

    def __init__(self, command: Sequence[str], *, ports: Mapping[str, int], env: Mapping[str, str], tmp: Path) -> None:
        self.ports = ports
        self.files = tmp / "files"
        super().__init__(
            "collector",
            command,
            ready_url=f"http://{LOOPBACK}:{ports['HEALTH']}/",
            log=tmp / "collector.log",
            url=f"http://{LOOPBACK}:{ports['HTTP']}",
            env=env,
        )

    @property
    def endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT with http/protobuf."""
        return self.url

    @property
    def grpc_endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT with grpc."""
        return f"http://{LOOPBACK}:{self.ports['GRPC']}"

    def documents(self, signal_name: str) -> list[Any]:
        """What export-file.yaml wrote for `traces`, `metrics` or `logs`: OTLP JSON, one document per batch."""
        path = self.files / f"{signal_name}.jsonl"
        if not path.exists():
            return []
        # The last line may be incomplete. A Collector that was killed while it wrote begins its next document in the
        # same line; the incomplete one was not acknowledged, so it was sent again.
        lines = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [json.loads(line[line.rindex(_DOCUMENT[signal_name]) :]) for line in lines]

    def spans(self) -> list[Span]:
        """The spans at the file exporter."""
        return [span for document in self.documents("traces") for span in spans_of(document)]

    def logs(self) -> list[LogRecord]:
        """The log records at the file exporter."""
        return [record for document in self.documents("logs") for record in logs_of(document)]

    def figures(self) -> list[Sample]:
        """The Collector's metrics about itself."""
        return read_exposition(get(f"http://{LOOPBACK}:{self.ports['METRICS']}/metrics")[1])

    def total(self, name: str, **labels: str) -> float:
        """Sum over its own series with this name, e.g. `otelcol_receiver_accepted_spans_total`; 0 before the first."""
        return total(self.figures(), name, **labels)


def collector_arguments(overlays: Sequence[str], extra: Sequence[str] = ()) -> list[str]:
    """`--config` arguments: base first, then the overlays by name, then any further URI (`yaml:...`, `file:...`)."""
    files = [f"file:{COLLECTOR / f'{name}.yaml'}" for name in ("base", *overlays)]
    return [f"--config={uri}" for uri in (*files, *extra)]


def collector_environment(tmp: Path, ports: Mapping[str, int] | None = None) -> dict[str, str]:
    """The variables of the overlays, for loopback, with data under `tmp`; every backend address refuses connections."""
    return {
        "OTELCOL_LISTEN_HOST": LOOPBACK,
        "OTELCOL_STORAGE_DIR": str(tmp / "queue"),
        "OTELCOL_FILE_DIR": str(tmp / "files"),
        "REDACTION_HMAC_KEY": TEST_KEY,
        "JAEGER_OTLP_ENDPOINT": f"{LOOPBACK}:9",
        "LOKI_OTLP_ENDPOINT": f"http://{LOOPBACK}:9/otlp",
        "PROMETHEUS_OTLP_ENDPOINT": f"http://{LOOPBACK}:9/api/v1/otlp",
        "PROMETHEUS_SHARD_1_OTLP_ENDPOINT": f"http://{LOOPBACK}:9/api/v1/otlp",
        "PROMETHEUS_SHARD_2_OTLP_ENDPOINT": f"http://{LOOPBACK}:9/api/v1/otlp",
        "SENTRY_OTLP_ENDPOINT": f"http://{LOOPBACK}:9/api/1/integration/otlp",
        "SENTRY_PUBLIC_KEY": "public",
        "OTELCOL_NEXT_ENDPOINT": f"{LOOPBACK}:9",
        "KAFKA_BROKERS": f"{LOOPBACK}:9",
        "SAMPLER_HOST": LOOPBACK,
        "SAMPLER_PORT": "9",
        **{f"OTELCOL_{name}_PORT": str(port) for name, port in (ports or {}).items()},
    }


def start_collector(
    overlays: Sequence[str] = ("export-file",),
    *,
    tmp: Path,
    env: Mapping[str, str] | None = None,
    extra: Sequence[str] = (),
) -> Collector:
    """Start a Collector with base.yaml and the named overlays; data and log go under `tmp`."""
    ports = {name: free_port() for name in COLLECTOR_PORTS}
    command = [str(executable("otelcol")), *collector_arguments(overlays, extra)]
    return Collector(command, ports=ports, env={**collector_environment(tmp, ports), **(env or {})}, tmp=tmp)


class Prometheus(Process):
    """A running Prometheus and its query API."""

    def answer(self, path: str, **parameters: str | float) -> Any:
        """`data` of an API answer.

        Raises:
            StackError: The API reports an error; with its message.
        """
        _status, body = get(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=30.0)
        document = json.loads(body)
        if document["status"] != "success":
            raise StackError(f"{path} {parameters}: {document.get('error')}")
        return document["data"]

    def query(self, promql: str, **parameters: str | float) -> list[Sample]:
        """The instant vector (or scalar, without labels) of an expression, now or at `time`."""
        data = self.answer("query", query=promql, **parameters)
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]), float(data["result"][0]))]
        return [Sample(one["metric"], float(one["value"][1]), float(one["value"][0])) for one in data["result"]]

    def wait_for(
        self, promql: str, until: Callable[[list[Sample]], bool] = bool, *, timeout: float = 60.0
    ) -> list[Sample]:
        """Query until `until` is satisfied, by default until there is a result."""
        return eventually(lambda: self.query(promql), until, timeout=timeout, every=0.25, what=promql)

    def metadata(self, metric: str = "") -> dict[str, str]:
        """Type by metric name; counters come without `_total`. Empty when metrics are pushed."""
        data = self.answer("metadata", **({"metric": metric} if metric else {}))
        return {name: entries[0]["type"] for name, entries in data.items()}

    def exemplars(self, promql: str, *, seconds: float = 3600.0) -> list[Exemplar]:
        """Exemplars of the selected series within the last `seconds`."""
        now = time.time()
        data = self.answer("query_exemplars", query=promql, start=now - seconds, end=now + 60.0)
        return [
            Exemplar(series["seriesLabels"], one["labels"], float(one["value"]))
            for series in data
            for one in series["exemplars"]
        ]

    def targets(self) -> dict[str, str]:
        """Health (`up`, `down`, `unknown`) by job."""
        return {target["labels"]["job"]: target["health"] for target in self.answer("targets")["activeTargets"]}

    def alerts(self) -> list[Any]:
        """Pending and firing alerts."""
        return list(self.answer("alerts")["alerts"])


def prometheus_config(
    tmp: Path,
    targets: Mapping[str, str],
    *,
    rules: Sequence[str],
    scrapes: Sequence[str] = (),
    interval: str | None = None,
    metrics_token: str = "",
) -> Path:
    """The shipped prometheus.yml with host names replaced by `targets`; a job without a target is omitted."""
    config = yaml.safe_load((BACKENDS / "prometheus" / "prometheus.yml").read_text())
    for section in (config["scrape_configs"], config["alerting"]["alertmanagers"]):
        section[:] = [job for job in section if _retarget(job, targets)]
    config["rule_files"] = list(rules)
    config["scrape_config_files"] = list(scrapes)
    if interval is not None:
        config["global"].update(scrape_interval=interval, evaluation_interval=interval, scrape_timeout=interval)
    write_metrics_token(tmp, metrics_token)
    return _write(tmp / "prometheus.yml", config)


def write_metrics_token(folder: Path, token: str = "") -> None:
    """Write the token of the backend's /metrics to the file that prometheus.yml of this folder reads."""
    secrets = folder / "secrets"
    secrets.mkdir(parents=True, exist_ok=True)
    (secrets / "metrics-token").write_text(token)


def scrape_config(tmp: Path, targets: Mapping[str, str]) -> Path:
    """The shipped jobs of the optional services, retargeted likewise."""
    config = yaml.safe_load((BACKENDS / "prometheus" / "scrape-apps.yml").read_text())
    config["scrape_configs"][:] = [job for job in config["scrape_configs"] if _retarget(job, targets)]
    return _write(tmp / "scrape-apps.yml", config)


def _retarget(job: dict[str, Any], targets: Mapping[str, str]) -> bool:
    for static in job["static_configs"]:
        static["targets"] = [targets[name] for name in static["targets"] if name in targets]
    return all(static["targets"] for static in job["static_configs"])


def _write(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def start_prometheus(
    config: Path | None = None, *, tmp: Path, port: int | None = None, push: bool = False, arguments: Sequence[str] = ()
) -> Prometheus:
    """Start Prometheus with `config` (default: the shipped one, itself the only target); `push`: OTLP receiver open."""
    port = port or free_port()
    if config is None:
        config = prometheus_config(tmp, {"localhost:9090": f"{LOOPBACK}:{port}"}, rules=SHIPPED_RULES)
    command = [
        str(executable("prometheus")),
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp / 'prometheus'}",
        f"--web.listen-address={LOOPBACK}:{port}",
        "--enable-feature=exemplar-storage",
        "--scrape.discovery-reload-interval=1s",  # otherwise the first scrape waits five seconds
        "--rules.alert.resend-delay=1s",  # otherwise an alert from before Alertmanager is found waits a minute
        *(["--web.enable-otlp-receiver"] if push else []),
        *arguments,
    ]
    url = f"http://{LOOPBACK}:{port}"
    return Prometheus("prometheus", command, ready_url=f"{url}/-/ready", log=tmp / "prometheus.log", url=url)


class Jaeger(Process):
    """A running Jaeger and its query API."""

    def __init__(self, command: Sequence[str], *, ports: Mapping[str, int], env: Mapping[str, str], tmp: Path) -> None:
        self.ports = ports
        super().__init__(
            "jaeger",
            command,
            ready_url=f"http://{LOOPBACK}:{ports['HEALTH']}/status",
            log=tmp / "jaeger.log",
            url=f"http://{LOOPBACK}:{ports['QUERY']}",
            env=env,
        )

    @property
    def otlp_endpoint(self) -> str:
        """Host and port for the Collector's JAEGER_OTLP_ENDPOINT."""
        return f"{LOOPBACK}:{self.ports['OTLP_GRPC']}"

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace; empty while it is unknown. Duplicates are stored once."""
        status, body = get(f"{self.url}/api/v3/traces/{trace_id}", timeout=60.0)
        return [] if status == 404 else spans_of(json.loads(body)["result"])

    def services(self) -> list[str]:
        """The services that sent spans."""
        return list(json.loads(get(f"{self.url}/api/v3/services")[1]).get("services", []))

    def received(self) -> float:
        """Spans received since it started, including duplicates, which no query shows."""
        page = get(f"http://{LOOPBACK}:{self.ports['METRICS']}/metrics")[1]
        samples = read_exposition(page)
        return total(samples, "otelcol_receiver_accepted_spans_total") or total(
            samples, "otelcol_receiver_accepted_spans"
        )


JAEGER_PORTS = ("OTLP_GRPC", "OTLP_HTTP", "QUERY", "QUERY_GRPC", "HEALTH", "METRICS")


def start_jaeger(
    *, tmp: Path, prometheus_url: str = f"http://{LOOPBACK}:9", env: Mapping[str, str] | None = None
) -> Jaeger:
    """Start Jaeger with the shipped configuration: spans on disk under `tmp`."""
    ports = {name: free_port() for name in JAEGER_PORTS}
    variables = {
        "JAEGER_LISTEN_HOST": LOOPBACK,
        "JAEGER_DATA": str(tmp / "jaeger"),
        "PROMETHEUS_URL": prometheus_url,
        "OTEL_TRACES_SAMPLER": "always_off",  # otherwise its own queries are traced to localhost:4317
        **{f"JAEGER_{name}_PORT": str(port) for name, port in ports.items()},
        **(env or {}),
    }
    command = [str(executable("jaeger")), f"--config=file:{BACKENDS / 'jaeger' / 'jaeger.yaml'}"]
    return Jaeger(command, ports=ports, env=variables, tmp=tmp)


class Alertmanager(Process):
    """A running Alertmanager and its API."""

    def alerts(self) -> list[Any]:
        """Its alerts."""
        return list(json.loads(get(f"{self.url}/api/v2/alerts")[1]))


def start_alertmanager(config: Path | None = None, *, tmp: Path, port: int | None = None) -> Alertmanager:
    """Start Alertmanager with `config` (default: the shipped file), alone, without a cluster port."""
    port = port or free_port()
    command = [
        str(executable("alertmanager")),
        f"--config.file={config or BACKENDS / 'alertmanager' / 'alertmanager.yml'}",
        f"--storage.path={tmp / 'alertmanager'}",
        f"--web.listen-address={LOOPBACK}:{port}",
        "--cluster.listen-address=",
    ]
    url = f"http://{LOOPBACK}:{port}"
    return Alertmanager("alertmanager", command, ready_url=f"{url}/-/ready", log=tmp / "alertmanager.log", url=url)


class Kafka(Process):
    """A running broker, which is also a controller of its cluster."""

    @property
    def address(self) -> str:
        """Host and port for the Collector's KAFKA_BROKERS."""
        return self.url.removeprefix("tcp://")


KAFKA_CLUSTER = "4L6g3nShT-eMCtK--X86sw"  # any 16 bytes in base64; the brokers of a cluster share them


def start_kafka(*, tmp: Path, brokers: int = 1, settings: Mapping[str, str] | None = None) -> list[Kafka]:
    """Start a cluster of brokers in KRaft mode, with data under `tmp`; a topic is created at its first use.

    With three brokers or more each partition has three copies, of which two must have stored a record.
    The caller enters each broker. A broker takes 5 to 30 s to start, and about 300 MB of memory.
    """
    ports = [(free_port(), free_port()) for _ in range(brokers)]
    copies = 3 if brokers >= 3 else 1
    cluster = {
        "process.roles": "broker,controller",
        "controller.quorum.voters": ",".join(f"{n}@{LOOPBACK}:{port}" for n, (_, port) in enumerate(ports, start=1)),
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "num.partitions": "4",
        "default.replication.factor": str(copies),
        "min.insync.replicas": str(min(2, copies)),
        "offsets.topic.replication.factor": str(copies),
        "offsets.topic.num.partitions": "3",
        "transaction.state.log.replication.factor": str(copies),
        "transaction.state.log.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "message.max.bytes": str(16 * 1024 * 1024),
        **(settings or {}),
    }
    return [_broker(tmp / f"kafka-{n}", {**cluster, "node.id": str(n)}, *pair) for n, pair in enumerate(ports, start=1)]


def _broker(folder: Path, properties: Mapping[str, str], port: int, controller: int) -> Kafka:
    own = {
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "log.dirs": str(folder / "data"),
    }
    file = folder / "server.properties"
    folder.mkdir(parents=True)
    file.write_text("".join(f"{name}={value}\n" for name, value in {**properties, **own}.items()))
    kafka = str(executable("kafka"))
    format_data = [kafka, "kafka.tools.StorageTool", "format", "-t", KAFKA_CLUSTER, "-c", str(file)]
    subprocess.run(format_data, check=True, capture_output=True)
    command = [kafka, "kafka.Kafka", str(file)]
    return Kafka("kafka", command, ready_url="tcp:", log=folder / "kafka.log", url=f"tcp://{LOOPBACK}:{port}")


class Stack:
    """Collector, Prometheus, Jaeger (and Alertmanager) wired to each other as docker-compose.yml wires them.

    Args:
        tmp: Folder for data, logs and derived files.
        overlays: Of the Collector, in addition to base.yaml.
        backend: `host:port` of the application, scraped as job `blogauto-backend`; None omits the job.
        interval: Scrape and evaluation interval; the shipped value is 15 s.
        alertmanager: Start it too; a path is its configuration.
        rules: Rule files or globs; shipped are those of collector/backends/prometheus/rules/en.
        targets: Further targets by their compose name, e.g. `{"redis-exporter:9121": "127.0.0.1:9121"}`.
        env: Further variables for the Collector.
        metrics_token: Sent by Prometheus to the backend.
        extra: Further configuration URIs for the Collector, after the overlays.
    """

    collector: Collector
    prometheus: Prometheus
    jaeger: Jaeger
    alertmanager: Alertmanager

    def __init__(
        self,
        tmp: Path,
        *,
        overlays: Sequence[str] = SHIPPED_OVERLAYS,
        backend: str | None = None,
        interval: str = "1s",
        alertmanager: bool | Path = False,
        rules: Sequence[str] = SHIPPED_RULES,
        targets: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        extra: Sequence[str] = (),
        metrics_token: str = "",
    ) -> None:
        self._tmp = tmp
        self._metrics_token = metrics_token
        self._overlays = overlays
        self._interval = interval
        self._alertmanager = alertmanager
        self._rules = rules
        self._env = env or {}
        self._extra = extra
        self._targets = {**({"backend:8000": backend} if backend else {}), **(targets or {})}
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        ensure_programs()
        with ExitStack() as starting:
            processes = [self._started(starting, process) for process in self._start()]
            for process in processes:
                process.wait_ready()
            self._ending = starting.pop_all()
        return self

    @staticmethod
    def _started(starting: ExitStack, process: Process) -> Process:
        starting.callback(process.stop)
        return process

    def _start(self) -> Iterator[Process]:
        port = free_port()
        self.jaeger = start_jaeger(tmp=self._tmp, prometheus_url=f"http://{LOOPBACK}:{port}")
        yield self.jaeger
        env = {"JAEGER_OTLP_ENDPOINT": self.jaeger.otlp_endpoint, **self._env}
        if "export-prometheus-otlp" in self._overlays:
            env["PROMETHEUS_OTLP_ENDPOINT"] = f"http://{LOOPBACK}:{port}/api/v1/otlp"
        self.collector = start_collector(self._overlays, tmp=self._tmp, env=env, extra=self._extra)
        yield self.collector
        targets = {
            "localhost:9090": f"{LOOPBACK}:{port}",
            "jaeger:8888": f"{LOOPBACK}:{self.jaeger.ports['METRICS']}",
            "otel-collector:8888": f"{LOOPBACK}:{self.collector.ports['METRICS']}",
            **self._targets,
        }
        if "export-prometheus-pull" in self._overlays:
            targets["otel-collector:8889"] = f"{LOOPBACK}:{self.collector.ports['PROMETHEUS']}"
        if self._alertmanager:
            config = self._alertmanager if isinstance(self._alertmanager, Path) else None
            self.alertmanager = start_alertmanager(config, tmp=self._tmp)
            targets["alertmanager:9093"] = f"{LOOPBACK}:{self.alertmanager.port}"
            yield self.alertmanager
        scrapes = [str(scrape_config(self._tmp, targets))]
        config = prometheus_config(
            self._tmp,
            targets,
            rules=self._rules,
            scrapes=scrapes,
            interval=self._interval,
            metrics_token=self._metrics_token,
        )
        push = "export-prometheus-otlp" in self._overlays
        self.prometheus = start_prometheus(config, tmp=self._tmp, port=port, push=push)
        yield self.prometheus

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()
