"""A whole stack for `blogauto-otel doctor`, and runs of it with one hop broken each."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import time
from typing import Any, Final

from stack.processes import Collector, Stack, start_collector, start_prometheus
from testkit.example import example
from testkit.ports import LOOPBACK, free_port
from testkit.processes import environment, eventually, get, python, running
from testkit.servers import uvicorn

PATH: Final = "/api/content/saved"
SERVICE: Final = "blogauto-backend"


@dataclass
class Deployment:
    """A stack under the example, and servers that speak the API contracts of Loki, Grafana and Sentry."""

    folder: Path
    stack: Stack
    app: str
    others: str
    ending: ExitStack

    def addresses(self) -> dict[str, str]:
        """The options of a healthy run."""
        metrics = f"http://{LOOPBACK}:{self.stack.collector.ports['METRICS']}/metrics"
        return {
            "--app": self.app,
            "--path": PATH,
            "--header": "Authorization: Bearer nobody",
            "--collector-metrics": metrics,
            "--jaeger": self.stack.jaeger.url,
            "--prometheus": self.stack.prometheus.url,
            "--loki": self.others,
            "--grafana": self.others,
            "--sentry-dsn": self.others.replace("http://", "http://key@") + "/7",
        }

    def variables(self) -> dict[str, str]:
        """The environment of a healthy run."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.stack.collector.endpoint, "OTEL_SERVICE_NAME": SERVICE}

    def sub(self, name: str) -> Path:
        """A folder of a scenario."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@dataclass
class Change:
    """What differs from a healthy run; an option that is None is left out."""

    variables: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str | None] = field(default_factory=dict)
    in_container: bool = False


@dataclass(frozen=True)
class Report:
    """What the command said."""

    status: int
    document: Mapping[str, Any]
    errors: str

    @property
    def first_broken(self) -> str | None:
        """The hop that it names."""
        name: str | None = self.document["first_broken"]
        return name

    def hop(self, name: str) -> Mapping[str, Any]:
        """The result of one hop."""
        return next(hop for hop in self.document["hops"] if hop["hop"] == name)


_MAIN: Final = """
import sys
from blogauto_otel.cli import main
from blogauto_otel.cli.doctor import collector
in_container = sys.argv.pop(1) == "True"
collector.is_in_container = lambda: in_container
sys.exit(main(sys.argv[1:]))
"""


def run_doctor(deployment: Deployment, change: Change, *more: str) -> Report:
    """Run the command as a process, as JSON."""
    options = {**deployment.addresses(), **change.options}
    given = [part for name, value in options.items() if value is not None for part in (name, value)]
    start = python("-c", _MAIN, str(change.in_container))
    variables = environment(**{**deployment.variables(), **change.variables})
    done = subprocess.run(
        [*start, "doctor", "--json", *given, *more], env=variables, capture_output=True, text=True, timeout=90
    )
    return Report(done.returncode, json.loads(done.stdout), done.stderr)


# --- the stack -------------------------------------------------------------------------------------------------------


@contextmanager
def whole_stack(folder: Path) -> Iterator[Deployment]:
    """Collector, Prometheus and Jaeger, and the example with its traces and metrics in them."""
    with ExitStack() as ending:
        port = free_port()
        stack = ending.enter_context(Stack(folder / "stack", backend=f"{LOOPBACK}:{port}"))
        app = ending.enter_context(
            example(
                folder,
                stack.collector.endpoint,
                port=port,
                OTEL_METRIC_EXPORT_INTERVAL="1000",
                OTEL_BSP_SCHEDULE_DELAY="200",
            )
        )
        others = ending.enter_context(answering(_backend))
        yield Deployment(folder, stack, app.url, others, ending)


Respond = Callable[[BaseHTTPRequestHandler], tuple[int, object, Mapping[str, str]]]


@contextmanager
def answering(respond: Respond) -> Iterator[str]:
    """A server on loopback; yields its base URL."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            self.rfile.read(length)
            status, document, headers = respond(self)
            body = json.dumps(document).encode()
            self.send_response_only(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{LOOPBACK}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def _backend(request: BaseHTTPRequestHandler) -> tuple[int, object, Mapping[str, str]]:
    """The answers of Loki, Grafana and Sentry that the command reads."""
    path = request.path
    if path.startswith("/loki/api/v1/labels"):
        return 200, {"status": "success", "data": ["service_name"]}, {}
    if path.startswith("/loki/api/v1/query_range"):
        return (
            200,
            {"status": "success", "data": {"resultType": "streams", "result": [{"stream": {}, "values": []}]}},
            {},
        )
    if path.startswith("/api/search"):
        return 200, [{"uid": "blogauto-overview"}, {"uid": "blogauto-telemetry"}], {}
    if path.startswith("/api/7/envelope/"):
        return 200, {"id": "0" * 32}, {}
    return 404, {}, {}


# --- broken hops -----------------------------------------------------------------------------------------------------


def endpoint(url: str) -> Change:
    """The settings name another endpoint."""
    return Change({"OTEL_EXPORTER_OTLP_ENDPOINT": url})


def wrong_port(_: Deployment) -> Change:
    return endpoint(f"http://{LOOPBACK}:{free_port()}")


def unknown_host(_: Deployment) -> Change:
    return endpoint("http://otel-collector.invalid:4318")


def localhost_in_a_container(_: Deployment) -> Change:
    return Change({"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://localhost:{free_port()}"}, in_container=True)


def grpc_port(deployment: Deployment) -> Change:
    return endpoint(deployment.stack.collector.grpc_endpoint)


def tls_to_plain(deployment: Deployment) -> Change:
    return endpoint(deployment.stack.collector.endpoint.replace("http://", "https://"))


def wrong_path(deployment: Deployment) -> Change:
    return endpoint(deployment.stack.collector.endpoint + "/otlp")


def refused_token(deployment: Deployment) -> Change:
    folder = deployment.sub("token")
    (folder / "token").write_text("right")
    env = {"OTELCOL_TOKEN_FILE": str(folder / "token")}
    collector = deployment.ending.enter_context(start_collector(("receive-token", "export-file"), tmp=folder, env=env))
    return Change(
        {**endpoint(collector.endpoint).variables, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20wrong"}
    )


def clock_an_hour_off(deployment: Deployment) -> Change:
    def behind(_: BaseHTTPRequestHandler) -> tuple[int, object, Mapping[str, str]]:
        return 200, {}, {"Date": formatdate(time() - 3600, usegmt=True)}

    return endpoint(deployment.ending.enter_context(answering(behind)))


def sampling_0(_: Deployment) -> Change:
    return Change({"OTEL_TRACES_SAMPLER": "always_off"})


def unusable_variable(_: Deployment) -> Change:
    return Change({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"})


def unwritable_spool(_: Deployment) -> Change:
    return Change({"BLOGAUTO_OTEL_SPOOL_DIR": "/dev/null/spool"})


def disabled(_: Deployment) -> Change:
    return Change({"OTEL_SDK_DISABLED": "true"})


def application_down(_: Deployment) -> Change:
    return Change(options={"--app": f"http://{LOOPBACK}:{free_port()}"})


@contextmanager
def _served(deployment: Deployment, app: str, **variables: str) -> Iterator[str]:
    port = free_port()
    log = deployment.folder / f"app-{port}.log"
    with running(uvicorn(app)(port), log, port=port, **variables) as child:
        child.wait_until_it_answers("/")
        yield f"http://{LOOPBACK}:{port}"


def launcher_missing(deployment: Deployment) -> Change:
    """The application without our call, and without the launcher."""
    return Change(options={"--app": deployment.ending.enter_context(_served(deployment, "tests.doctor.apps:bare"))})


def two_instrumentations(deployment: Deployment) -> Change:
    """A middleware of the application makes a server span of its own within ours."""
    variables = {**deployment.variables(), "OTEL_BSP_SCHEDULE_DELAY": "200"}
    url = deployment.ending.enter_context(_served(deployment, "tests.doctor.apps:doubled", **variables))
    return Change(options={"--app": url, "--path": "/"})


def _without_exporter(deployment: Deployment) -> Collector:
    pipeline = "traces/nop: {receivers: [forward/traces_kept], exporters: [nop]}"
    extra = f"yaml:{{exporters: {{nop: {{}}}}, service: {{pipelines: {{{pipeline}}}}}}}"
    return deployment.ending.enter_context(
        start_collector(("export-file",), tmp=deployment.sub("silent"), extra=[extra])
    )


def collector_without_exporter(deployment: Deployment) -> Change:
    """It accepts traces, and passes them on to no Jaeger."""
    collector = _without_exporter(deployment)
    variables = {
        **endpoint(collector.endpoint).variables,
        "OTEL_SERVICE_NAME": SERVICE,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    url = deployment.ending.enter_context(_served(deployment, "tests.doctor.apps:configured", **variables))
    return Change(endpoint(collector.endpoint).variables, {"--app": url, "--path": "/", "--collector-metrics": None})


def jaeger_down(_: Deployment) -> Change:
    return Change(options={"--jaeger": f"http://{LOOPBACK}:{free_port()}"})


def prometheus_not_scraping(deployment: Deployment) -> Change:
    """It scrapes itself only."""
    prometheus = deployment.ending.enter_context(start_prometheus(tmp=deployment.sub("alone")))
    prometheus.wait_for("up")
    return Change(options={"--prometheus": prometheus.url})


def full_queue(deployment: Deployment) -> Change:
    """Jaeger is away, and the queue for it holds twenty spans."""
    queue = "queue_size: 20, num_consumers: 1, batch: {flush_timeout: 200ms, min_size: 1, max_size: 1}"
    extra = f"yaml:{{exporters: {{otlp_grpc/jaeger: {{sending_queue: {{{queue}}}}}}}}}"
    collector = deployment.ending.enter_context(
        start_collector(("export-jaeger",), tmp=deployment.sub("full"), extra=[extra])
    )
    variables = {
        **endpoint(collector.endpoint).variables,
        "OTEL_SERVICE_NAME": SERVICE,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    url = deployment.ending.enter_context(_served(deployment, "tests.doctor.apps:configured", **variables))
    eventually(partial(_fill, url, collector), timeout=60)
    metrics = f"http://{LOOPBACK}:{collector.ports['METRICS']}/metrics"
    return Change(options={"--collector-metrics": metrics})


def _fill(url: str, collector: Collector) -> bool:
    for _ in range(5):
        get(url)
    return collector.total("otelcol_exporter_enqueue_failed_spans_total") > 0


Scenario = Callable[[Deployment], Change]

# Each with the hop that the command must name, and a word of the fix.
BROKEN: Final[Sequence[tuple[Scenario, str, str]]] = (
    (unusable_variable, "settings", "correct the variables"),
    (disabled, "settings", "remove OTEL_SDK_DISABLED"),
    (sampling_0, "sampling", "parentbased_traceidratio"),
    (unwritable_spool, "spool", "BLOGAUTO_OTEL_SPOOL_DIR"),
    (unknown_host, "name", "correct the host"),
    (wrong_port, "connection", "4318 for http/protobuf"),
    (localhost_in_a_container, "connection", "inside a container"),
    (tls_to_plain, "tls", "write http://"),
    (grpc_port, "collector traces", "gRPC port"),
    (wrong_path, "collector traces", "correct the path"),
    (refused_token, "collector traces", "OTEL_EXPORTER_OTLP_HEADERS"),
    (clock_an_hour_off, "clock", "NTP"),
    (full_queue, "collector queues", "start the backend"),
    (application_down, "application", "start it, or correct --app"),
    (launcher_missing, "instrumentation", "opentelemetry-instrument"),
    (jaeger_down, "jaeger", "--jaeger"),
    (collector_without_exporter, "jaeger", "traces pipeline"),
    (two_instrumentations, "trace", "BLOGAUTO_OTEL_REQUESTS=off"),
    (prometheus_not_scraping, "prometheus", "add the target"),
)


def title(scenario: Scenario) -> str:
    """The name of a scenario, for people."""
    return scenario.__name__.replace("_", " ")
